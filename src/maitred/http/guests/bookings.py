"""Bookings of guests: made, seen, changed, cancelled."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute

from maitred.auto_assign.book import Booked, book, seat_anew
from maitred.auto_assign.changes import cancel_booking, move_booking
from maitred.auto_assign.rules import general_inline_rules, inline_rules
from maitred.booking.change import Move, write_notes, write_wishes
from maitred.booking.create import LONGEST_NOTES, Created, NewBooking, check_ahead, check_text
from maitred.booking.details import BookingDetails, Wait, booking_details
from maitred.booking.quote import Quote
from maitred.booking.seat import KeptWithSeats
from maitred.bootstrap import Application
from maitred.errors import BookingNotPending, Forbidden, NotFound, VersionConflict
from maitred.http.access import Caller, GuestSite, Principal
from maitred.http.guests.schemas import (
    Booking,
    BookingChange,
    CreatedBooking,
    NewBookingBody,
    booking_fields,
    booking_of,
    etag,
    utc_now,
)
from maitred.http.idempotency import KeyedOperation, Operation, keeping_of
from maitred.http.parts import Parts, parts_for
from maitred.http.role import Role
from maitred.messages.calendar_entry import calendar_entry
from maitred.messages.facts import Facts
from maitred.messages.mail_address import MailAddress, read_address
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode

router = APIRouter(tags=["guests"])


class _Straight(APIRoute):
    """The one route that is asked most. Where admission has read the request to its end, it isn't read again; any
    other one goes FastAPI's way, and is refused there.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        usual = super().get_route_handler()

        async def straight(request: Request) -> Response:
            coming = getattr(request.state, "coming", None)
            if coming is None:
                return await usual(request)
            principal: Principal = request.state.principal
            principal.must_be(Role.GUEST_SITE)
            parts = parts_for(request, principal)
            return await create(coming.body, parts, principal, request.state.operation_id, request)

        return straight


new_bookings = APIRouter(tags=["guests"], route_class=_Straight)

BookingId = Annotated[UUID, Path(description="The booking's id.")]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=200, description="The ETag of the booking that is to be changed.")
]


@new_bookings.post("/bookings", status_code=201, summary="Book a table", response_model=CreatedBooking)
async def create(
    body: NewBookingBody, parts: Parts, principal: GuestSite, operation_id: KeyedOperation, request: Request
) -> Response:
    """Creates the booking and looks for tables at once. It is `confirmed` with its tables, or `pending` with the
    reason why and what happens next. The `token` in the answer opens this booking to the guest.
    """
    principal.must_see(body.restaurant_id)
    if body.vip is not None:
        principal.must_be(Role.STAFF)
    new, keeping = body.booking(), keeping_of(request)

    def answer(created: Created, planned: Quote) -> KeptWithSeats | None:
        details = _seated(parts, new, created, planned)
        return None if details is None else keeping.with_seats(_created(details, created.token))

    booked = await book(
        parts.desk,
        new,
        rules=general_inline_rules(parts.settings),
        booking_id=operation_id,
        now=utc_now,
        ahead=request.state.ahead,
        answer=answer,
    )
    if booked.result.answered:
        return keeping.has_been_kept()
    details = _details_of(parts, booked) or await booking_details(parts.database, booked.created.id)
    return _created(details, booked.created.token)


def _created(details: BookingDetails, token: str) -> Response:
    made = CreatedBooking.model_validate({**booking_fields(details), "token": token})
    headers = {"Location": f"/v1/bookings/{made.id}", "ETag": etag(booking_of(details))}
    return Response(made.model_dump_json(), status_code=201, media_type="application/json", headers=headers)


@router.get("/bookings/{booking_id}", summary="See a booking")
async def see(booking_id: BookingId, parts: Parts, principal: Caller, response: Response) -> Booking:
    """With the booking's own token, or with a key of staff."""
    _must_be_theirs(principal, booking_id)
    booking = booking_of(await booking_details(parts.database, booking_id))
    response.headers["ETag"] = etag(booking)
    return booking


@router.patch("/bookings/{booking_id}", summary="Change a booking's time, size or notes")
async def change(
    booking_id: BookingId,
    body: BookingChange,
    parts: Parts,
    principal: Caller,
    _operation: Operation,
    response: Response,
    if_match: IfMatch = None,
) -> Booking:
    """Another time or size gives the tables back and looks for new ones at once, as for a new booking; a restaurant
    may keep the old ones for the guest until there are new ones.
    """
    _must_be_theirs(principal, booking_id)
    if body.vip is not None:
        principal.must_be(Role.STAFF)
    before = await booking_details(parts.database, booking_id)
    current = etag(booking_of(before))
    if if_match not in (None, "*", current):
        raise VersionConflict("booking", current.strip('"'))
    starts_at = before.starts_at if body.starts_at is None else body.starts_at.replace(microsecond=0)
    move = Move(starts_at, body.party or before.party)
    moved = (move.starts_at, move.party) != (before.starts_at, before.party)
    if moved:
        check_ahead(move.starts_at, utc_now())
    if before.status not in (BookingStatus.PENDING, BookingStatus.CONFIRMED):
        raise BookingNotPending(booking_id, before.status.value)
    if "notes" in body.model_fields_set:
        check_text("notes", body.notes, LONGEST_NOTES, lines=True)
    expected = None if if_match in (None, "*") else before.revision
    try:
        moved, waits = await _write(parts, booking_id, body, move if moved else None, expected)
    except VersionConflict:  # between the look above and the booking's lock
        current = etag(booking_of(await booking_details(parts.database, booking_id)))
        raise VersionConflict("booking", current.strip('"')) from None
    if moved or waits:
        venue = before.restaurant_id
        rules = await inline_rules(parts.settings, parts.database, venue)
        await seat_anew(parts.desk, booking_id, move.starts_at, restaurant_id=venue, rules=rules, now=utc_now)
    booking = booking_of(await booking_details(parts.database, booking_id))
    response.headers["ETag"] = etag(booking)
    return booking


async def _write(
    parts: Application, booking_id: UUID, body: BookingChange, move: Move | None, expected: int | None
) -> tuple[bool, bool]:
    """Writes what is to be another; whether it was moved, and whether it waits with other wishes."""
    moved = False
    if move is not None:  # first, since it may be refused, and then nothing is to be changed
        retry = general_inline_rules(parts.settings).retry
        run = await move_booking(parts.desk, booking_id, move, rules=retry, expected=expected, now=utc_now)
        moved = run is not None
        expected = None  # what follows belongs to the move, which raised the revision
    if "notes" in body.model_fields_set:
        written = await write_notes(parts.database, booking_id, body.notes, expected=expected)
        expected = None if expected is None else written
    wishes, waits = body.wishes(), False
    if wishes is not None or body.vip is not None:
        waits = await write_wishes(parts.database, booking_id, wishes, body.vip, expected=expected)
    return moved, waits


@router.delete("/bookings/{booking_id}", summary="Cancel a booking")
async def cancel(
    booking_id: BookingId, parts: Parts, principal: Caller, _operation: Operation, response: Response
) -> Booking:
    """Its tables are free at once. Cancelling a booking that is cancelled changes nothing."""
    _must_be_theirs(principal, booking_id)
    await cancel_booking(parts.desk, booking_id, cause="cancelled by guest" if principal.booking_id else "cancelled")
    booking = booking_of(await booking_details(parts.database, booking_id))
    response.headers["ETag"] = etag(booking)
    return booking


@router.get(
    "/bookings/{booking_id}/calendar.ics",
    summary="A booking's entry for calendars",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/calendar": {"schema": {"type": "string"}}}, "description": "iCalendar"}},
)
async def calendar(booking_id: BookingId, parts: Parts, principal: Caller) -> Response:
    """For a booking that has its tables, the entry that its mail has too."""
    _must_be_theirs(principal, booking_id)
    details = await booking_details(parts.database, booking_id)
    if details.status not in (BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN):
        raise NotFound("calendar entry of booking", str(booking_id))
    return Response(
        calendar_entry(_facts(details), _organizer(parts, details)),
        media_type="text/calendar; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{details.reference}.ics"'},
    )


def _must_be_theirs(principal: Principal, booking_id: UUID) -> None:
    principal.must_see_booking(booking_id)
    if principal.booking_id is None and principal.role.rank < Role.STAFF.rank:
        raise Forbidden("staff, or the token of the booking")


def _details_of(parts: Application, booked: Booked) -> BookingDetails | None:
    """What the booking is now, if that is known without reading it again."""
    result, quote, created = booked.result, booked.result.quote, booked.created
    if quote is None or created.snapshot.status is not BookingStatus.PENDING:
        return None
    if result.confirmed:
        seated = _seated(parts, booked.asked, created, quote) if quote.exchanged else None
        return None if seated is None else replace(seated, tables=tuple(sorted(result.tables)))
    if result.next_attempt is None or result.reason is ReasonCode.NOT_PENDING:
        return None
    wait = Wait(result.reason, result.next_attempt.run_id, result.next_attempt.due_at)
    return _new_booking(parts, booked.asked, created, wait)


def _seated(parts: Application, asked: NewBooking, created: Created, planned: Quote) -> BookingDetails | None:
    """What the booking is once it has the tables that were planned."""
    new = _new_booking(parts, asked, created, None)
    if new is None or planned.plan is None or planned.window is None:
        return None
    return replace(
        new,
        status=BookingStatus.CONFIRMED,
        tables=tuple(sorted(planned.plan.numbers)),
        zone=planned.zone,
        kept_until=planned.window.blocked.end,
    )


def _new_booking(parts: Application, asked: NewBooking, created: Created, wait: Wait | None) -> BookingDetails | None:
    new, planned = created.snapshot, parts.desk.venues.latest(asked.restaurant_id)
    if planned is None:
        return None
    return BookingDetails(
        id=new.booking_id,
        restaurant_id=new.restaurant_id,
        venue="",
        timezone=planned.venue.policy.timezone,
        reference=new.reference,
        party=new.party,
        starts_at=new.starts_at,
        status=BookingStatus.PENDING,
        revision=1,
        tables=(),
        zone=None,
        kept_until=None,
        wait=wait,
        name=asked.name,
        email=asked.email,
        phone=asked.phone,
        notes=asked.notes,
        preferences=asked.preferences,
    )


def _facts(details: BookingDetails) -> Facts:
    return Facts(
        message_id=details.id,
        kind="confirmation",
        written_at=details.confirmed_at or details.starts_at,
        restaurant_id=details.restaurant_id,
        venue=details.venue,
        timezone=details.timezone,
        booking_id=details.id,
        reference=details.reference,
        party=details.party,
        starts_at=details.starts_at,
        revision=details.revision,
        tables=details.tables,
        kept_until=details.kept_until,
    )


def _organizer(parts: Application, details: BookingDetails) -> MailAddress:
    for known in (details.venue_email, parts.settings.mail_from):
        address = read_address(known.rpartition("<")[2].removesuffix(">")) if known else None
        if address is not None:
            return address
    return MailAddress("noreply", "maitred.invalid")
