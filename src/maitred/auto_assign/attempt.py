"""One attempt: quote, and confirm what the quote holds. Each way it can end is an outcome, told apart to decide on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import psycopg

from maitred.booking.confirm import confirm_hold, confirm_statements
from maitred.booking.desk import Desk
from maitred.booking.hold import release_hold
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote, quote_tables_for_booking
from maitred.errors import (
    BookingNotPending,
    DatabaseUnavailable,
    HoldExpired,
    HoldForeign,
    HoldNotFound,
    NotFound,
    PolicyDrift,
)
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.observability.events import Trigger
from maitred.storage.database import Statement

SEATED = frozenset({BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN})
_HOLD_LOST = (HoldExpired, HoldNotFound, HoldForeign, PolicyDrift)

BROKE_DOWN = frozenset({ReasonCode.RPC_ERROR, ReasonCode.UNKNOWN})
"""The reasons of an attempt that raised because something is broken, and not because others were faster."""

Also = Callable[[Quote, UUID], Sequence[Statement]]
"""What else belongs into the confirming transaction, given the quote and the id of the confirmation it depends on."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The booking has its tables, by this attempt."""

    quote: Quote


@dataclass(frozen=True, slots=True)
class AlreadyConfirmed:
    """Somebody else confirmed the booking; `quote` None when that was known without quoting."""

    quote: Quote | None


@dataclass(frozen=True, slots=True)
class NoTables:
    """The planner gave no hold, for this reason."""

    quote: Quote
    reason: ReasonCode


@dataclass(frozen=True, slots=True)
class Raised:
    """An error broke the attempt off. `quote` is there when it happened after the quote."""

    quote: Quote | None
    reason: ReasonCode
    error: Exception


AttemptOutcome = Confirmed | AlreadyConfirmed | NoTables | Raised


async def make_attempt(
    desk: Desk,
    booking_id: UUID,
    *,
    now: Callable[[], datetime],
    ttl_s: int,
    trigger: Trigger,
    attempt_index: int,
    strategy: Strategy,
    idempotency_key: str,
    also: Also,
) -> AttemptOutcome:
    """Quotes once and confirms the hold, with `also` in the same transaction. Raises only NotFound."""
    quote: Quote | None = None
    confirmation_id = uuid4()

    def closing(planned: Quote) -> list[Statement]:
        return confirm_statements(
            desk,
            planned.held.id,
            booking_id=booking_id,
            idempotency_key=idempotency_key,
            cause="auto_assign",
            confirmation_id=confirmation_id,
            also=also(planned, confirmation_id),
        )

    try:
        quote = await quote_tables_for_booking(
            desk,
            booking_id,
            now=now,
            ttl_s=ttl_s,
            trigger=trigger,
            attempt_index=attempt_index,
            strategy=strategy,
            closing=closing,
        )
        if quote.status in SEATED:
            return AlreadyConfirmed(quote)
        if quote.hold is None:
            return NoTables(quote, quote.reason or ReasonCode.UNKNOWN)
        if not quote.exchanged:
            await _confirm(desk, quote, idempotency_key, confirmation_id, also)
        return Confirmed(quote)
    except _HOLD_LOST as error:
        await _let_go(desk, quote)
        return Raised(quote, ReasonCode.HOLD_LOST, error)
    except BookingNotPending as error:
        await _let_go(desk, quote)
        if quote is not None and BookingStatus(error.status) in SEATED:
            return AlreadyConfirmed(quote)
        return Raised(quote, ReasonCode.NOT_PENDING, error)
    except (DatabaseUnavailable, psycopg.Error) as error:
        return Raised(quote, ReasonCode.RPC_ERROR, error)
    except NotFound:
        raise
    except Exception as error:  # noqa: BLE001 - for example a venue whose rows break a rule: its runs have to end too
        return Raised(quote, ReasonCode.UNKNOWN, error)


async def _confirm(desk: Desk, quote: Quote, key: str, confirmation_id: UUID, also: Also) -> None:
    statements = also(quote, confirmation_id)
    for last in (False, True):
        try:
            await confirm_hold(
                desk,
                quote.held.id,
                booking_id=quote.booking_id,
                idempotency_key=key,
                cause="auto_assign",
                confirmation_id=confirmation_id,
                also=statements,
            )
        except DatabaseUnavailable:
            # a lost connection leaves open whether it happened: asking again with the same key settles it
            if last:
                raise
        else:
            return


async def _let_go(desk: Desk, quote: Quote | None) -> None:
    """Releases a hold that can't be confirmed any more, for others to use at once."""
    if quote is None or quote.hold is None:
        return
    try:
        await release_hold(desk.database, quote.hold.id, booking_id=quote.booking_id)
    except (HoldNotFound, HoldForeign, DatabaseUnavailable):
        return  # expired and swept, replaced, gone with the booking; or it expires by itself
