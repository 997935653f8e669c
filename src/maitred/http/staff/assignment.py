"""One booking in staff's hands: what it could get, tables chosen for it, its course through service."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter

from maitred.auto_assign.rules import retry_rules
from maitred.auto_assign.unassign import unassign_booking
from maitred.booking.by_hand import confirm_by_hand, extend_hold, hold_tables, release_by_hand, validate_tables
from maitred.booking.lock import set_lock
from maitred.booking.preview import preview_booking
from maitred.booking.service import take_step
from maitred.booking.transitions import Transition
from maitred.bootstrap import Application
from maitred.http.access import Principal, Staff
from maitred.http.idempotency import KeyedOperation, Operation
from maitred.http.parts import Parts
from maitred.http.schema import in_zone
from maitred.http.staff.schemas import (
    BookingId,
    ConfirmationAnswer,
    HeldAnswer,
    HoldAnswer,
    HoldAsked,
    HoldExtension,
    HoldId,
    LockAnswer,
    QuoteAnswer,
    QuoteAsked,
    StepAnswer,
    TablesChosen,
    UnassignedAnswer,
    Unassignment,
    ValidationAnswer,
    hold_answer,
    quote_answer,
    validation_answer,
)
from maitred.http.staff.venue import zone_of_booking
from maitred.model.booking import BookingStatus

router = APIRouter(prefix="/bookings/{booking_id}", tags=["staff"])


@router.post("/quote", summary="What a booking could get")
async def quote(booking_id: BookingId, body: QuoteAsked, parts: Parts, _: Staff) -> QuoteAnswer:
    """The best tables and the next best, or what is in each table's way; and the nearest times with tables. Holds
    nothing.
    """
    return quote_answer(await preview_booking(parts.desk, booking_id, now=_now(), **body.model_dump()))


@router.post("/validation", summary="Look at chosen tables")
async def validate(booking_id: BookingId, body: TablesChosen, parts: Parts, _: Staff) -> ValidationAnswer:
    """Each check is ok, a warning for staff to weigh, or an error that nothing gets past. Holds nothing."""
    return validation_answer(await validate_tables(parts.desk, booking_id, body.tables, now=_now()))


@router.post("/holds", status_code=201, summary="Hold chosen tables")
async def hold(
    booking_id: BookingId, body: HoldAsked, parts: Parts, principal: Staff, operation_id: KeyedOperation
) -> HeldAnswer:
    """As safe as a hold of our own: nobody else gets the tables while it lasts. It takes the place of an earlier hold
    of the booking. Errors of the validation refuse it with 409, warnings don't.
    """
    held = await hold_tables(
        parts.desk,
        booking_id,
        body.tables,
        ttl_s=body.ttl_s or parts.settings.hold_ttl_manual_s,
        key_id=principal.key_id,
        now=_now(),
        hold_id=operation_id,
    )
    return HeldAnswer(
        hold=hold_answer(held.hold, held.validation.timezone), validation=validation_answer(held.validation)
    )


@router.patch("/holds/{hold_id}", summary="Extend a hold")
async def extend(
    booking_id: BookingId, hold_id: HoldId, body: HoldExtension, parts: Parts, principal: Staff, _: Operation
) -> HoldAnswer:
    """A hold ends half an hour after it was made at the latest."""
    extended = await extend_hold(parts.desk, booking_id, hold_id, ttl_s=body.ttl_s, key_id=principal.key_id)
    return hold_answer(extended, await zone_of_booking(parts.database, booking_id))


@router.delete("/holds/{hold_id}", status_code=204, summary="Let held tables go")
async def release(booking_id: BookingId, hold_id: HoldId, parts: Parts, principal: Staff, _: Operation) -> None:
    """They are free at once, and whoever waits for them is woken."""
    await release_by_hand(parts.desk, booking_id, hold_id, key_id=principal.key_id)


@router.post("/holds/{hold_id}/confirmation", summary="Confirm held tables")
async def confirm(
    booking_id: BookingId, hold_id: HoldId, parts: Parts, principal: Staff, _: Operation
) -> ConfirmationAnswer:
    """The booking is confirmed, and the guest gets the mail. Confirming the same hold again changes nothing."""
    done = await confirm_by_hand(
        parts.desk,
        booking_id,
        hold_id,
        key_id=principal.key_id,
        messages_suppressed=parts.settings.messages_suppressed,
    )
    zone = await zone_of_booking(parts.database, booking_id)
    return ConfirmationAnswer(
        id=done.id,
        booking_id=booking_id,
        table_ids=list(done.table_ids),
        from_=in_zone(done.period.start, zone),
        until=in_zone(done.period.end, zone),
        confirmed_at=in_zone(done.confirmed_at, zone),
        repeated=done.repeated,
    )


@router.post("/unassignment", summary="Take a booking's tables away")
async def unassign(
    booking_id: BookingId, body: Unassignment, parts: Parts, principal: Staff, _: Operation
) -> UnassignedAnswer:
    """The booking is pending again and its tables are free. A run goes on looking for others; with `begin_run` false
    nobody does until staff see to it. A locked booking has to be unlocked first.
    """
    done = await unassign_booking(
        parts.desk,
        booking_id,
        begin_run=body.begin_run,
        key_id=principal.key_id,
        rules=retry_rules(parts.settings),
    )
    return UnassignedAnswer(booking_id=booking_id, status=BookingStatus.PENDING, run_id=done.run_id)


@router.put("/lock", summary="Lock a booking to its tables")
async def lock(booking_id: BookingId, parts: Parts, principal: Staff, _: Operation) -> LockAnswer:
    """Neither a move nor an optimiser takes them away. The lock ends with the tables: when the guest changes time or
    size, when the booking is cancelled, when the party leaves.
    """
    changed = await set_lock(parts.desk, booking_id, locked=True, key_id=principal.key_id)
    return LockAnswer(booking_id=booking_id, locked=True, changed=changed)


@router.delete("/lock", summary="Unlock a booking")
async def unlock(booking_id: BookingId, parts: Parts, principal: Staff, _: Operation) -> LockAnswer:
    """It may be moved to other tables again."""
    changed = await set_lock(parts.desk, booking_id, locked=False, key_id=principal.key_id)
    return LockAnswer(booking_id=booking_id, locked=False, changed=changed)


@router.post("/check-in", summary="The party is here")
async def check_in(booking_id: BookingId, parts: Parts, principal: Staff, _: Operation) -> StepAnswer:
    """From confirmed to checked in."""
    return await _step(parts, booking_id, Transition.CHECK_IN, principal)


@router.post("/no-show", summary="The party did not come")
async def no_show(booking_id: BookingId, parts: Parts, principal: Staff, _: Operation) -> StepAnswer:
    """From confirmed to no-show, once the start has passed; the tables are free at once."""
    return await _step(parts, booking_id, Transition.NO_SHOW, principal)


@router.post("/completion", summary="The party has left")
async def complete(booking_id: BookingId, parts: Parts, principal: Staff, _: Operation) -> StepAnswer:
    """From checked in to completed; the tables are free at once."""
    return await _step(parts, booking_id, Transition.COMPLETE, principal)


async def _step(parts: Application, booking_id: UUID, transition: Transition, principal: Principal) -> StepAnswer:
    served = await take_step(parts.desk, booking_id, transition, key_id=principal.key_id, now=_now())
    return StepAnswer(booking_id=served.booking_id, status=served.status, changed=served.changed)


def _now() -> datetime:
    return datetime.now(UTC)
