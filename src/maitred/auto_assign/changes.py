"""Cancelling and moving bookings that a run may be working on: no seat is left behind, no run without an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from maitred.auto_assign import runs
from maitred.auto_assign.begin import run_statements
from maitred.auto_assign.retry import RetryRules
from maitred.booking.change import Move, cancel_statements, move_statements
from maitred.booking.desk import Desk
from maitred.booking.hold import NOT_HELD
from maitred.errors import BookingNotPending, InvalidInput, NotFound, VersionConflict
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.storage.database import Statement

_TRIES = 5

LOOK: LiteralString = """
SELECT b.id AS booking_id, b.restaurant_id, b.status, b.revision, b.starts_at, b.party_size,
       r.id AS run_id, r.trigger, r.expected_attempt, r.max_attempts, r.skipped_initial, r.inline_skip_reason,
       r.inline_attempt_id, r.inline_reason, r.inline_trigger,
       (extract(epoch FROM clock_timestamp() - r.created_at) * 1000)::float8 AS age_ms
  FROM bookings b LEFT JOIN runs r ON r.booking_id = b.id AND r.ended_at IS NULL
 WHERE b.id = %(booking_id)s
"""

# The run ends itself when it sees that its booking is gone; there is no reason to let it wait until its next attempt.
_END_SOON: LiteralString = """
WITH due AS (
    UPDATE runs r SET due_at = clock_timestamp()
      FROM bookings b
     WHERE r.booking_id = %(booking_id)s AND r.ended_at IS NULL AND b.id = r.booking_id AND b.status = 'cancelled'
    RETURNING r.job_id
)
UPDATE procrastinate_jobs j SET scheduled_at = clock_timestamp() FROM due WHERE j.id = due.job_id AND j.status = 'todo'
"""

_SUPERSEDE: LiteralString = """
UPDATE runs SET ended_at = clock_timestamp(), result = 'exhausted', hard_stop_reason = 'hard.superseded'
 WHERE id = %(run_id)s AND ended_at IS NULL
   AND EXISTS (SELECT FROM bookings b WHERE b.id = runs.booking_id AND b.revision = %(revision)s + 1)
"""


async def cancel_booking(desk: Desk, booking_id: UUID, *, cause: str = "cancelled") -> None:
    """Cancels a pending or confirmed booking, also while a run is under way; its tables are free at once.

    Cancelling what is cancelled already changes nothing. Raises NotFound, and BookingNotPending for a booking that is
    seated or over.
    """
    params = {"booking_id": booking_id}
    booking, cancelled, *_ = await desk.database.transact(
        [*cancel_statements(booking_id, cause), Statement(_END_SOON, params)]
    )
    if not booking:
        raise NotFound("booking", str(booking_id))
    if not cancelled and booking[0]["status"] != "cancelled":
        raise BookingNotPending(booking_id, booking[0]["status"])


async def move_booking(
    desk: Desk,
    booking_id: UUID,
    move: Move,
    *,
    rules: RetryRules | None = None,
    cause: str = "moved",
    expected: int | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> UUID | None:
    """Moves a pending or confirmed booking and begins a run for it with trigger `modification`; returns that run.

    A run under way for the old time ends as superseded, with its summary, in the same transaction. A move that changes
    nothing begins nothing and returns None. Raises InvalidInput, NotFound, and BookingNotPending for a booking that is
    seated or over.
    """
    if move.starts_at.tzinfo is None:
        raise InvalidInput("booking", "starts_at", "must have a time zone")
    if move.party < 1:
        raise InvalidInput("booking", "party", "must be 1 or more")
    for _ in range(_TRIES):
        rows = await desk.database.fetch(LOOK, {"booking_id": booking_id})
        if not rows:
            raise NotFound("booking", str(booking_id))
        seen = rows[0]
        if expected is not None and seen["revision"] != expected:
            raise VersionConflict("booking", str(seen["revision"]))
        if seen["status"] not in ("pending", "confirmed"):
            raise BookingNotPending(booking_id, seen["status"])
        if (seen["starts_at"], seen["party_size"]) == (move.starts_at, move.party):
            return None
        try:
            begun = await desk.database.transact(_moving(seen, move, rules or RetryRules(), cause, now()))
        except psycopg.DatabaseError as error:
            if error.sqlstate != NOT_HELD:
                raise
            continue
        if begun[-2]:
            run_id: UUID = begun[-2][0]["id"]
            return run_id
        # somebody moved, confirmed or cancelled it since we looked, or a run began: look again
    raise BookingNotPending(booking_id, "being changed by others")


def _moving(seen: dict[str, Any], move: Move, rules: RetryRules, cause: str, now: datetime) -> list[Statement]:
    booking_id: UUID = seen["booking_id"]
    return [
        *move_statements(booking_id, seen["revision"], move, cause),
        *superseding(seen),
        *run_statements(booking_id, trigger="modification", rules=rules, now=now, mail_variant="modified"),
    ]


def superseding(seen: Mapping[str, Any]) -> list[Statement]:
    """Ends the run that LOOK saw, with its summary, if the booking's revision has risen by one since."""
    if seen["run_id"] is None:
        return []
    return [
        Statement(_SUPERSEDE, {"run_id": seen["run_id"], "revision": seen["revision"]}),
        runs.event_if_ended(seen["run_id"], _summary(seen), "exhausted", ReasonCode.SUPERSEDED),
    ]


def _summary(seen: Mapping[str, Any]) -> events.Event:
    return events.summary(
        restaurant_id=seen["restaurant_id"],
        booking_id=seen["booking_id"],
        trigger=seen["trigger"],
        result="exhausted",
        attempts_used=seen["expected_attempt"] - (1 if seen["skipped_initial"] else 0),
        max_attempts=seen["max_attempts"],
        total_duration_ms=seen["age_ms"],
        skipped_initial_attempt=seen["skipped_initial"],
        inline_skip_reason=_reason(seen["inline_skip_reason"]),
        hard_stop_reason=ReasonCode.SUPERSEDED,
        inline_attempt_id=seen["inline_attempt_id"],
        inline_reason=_reason(seen["inline_reason"]),
        inline_trigger=seen["inline_trigger"],
    )


def _reason(code: str | None) -> ReasonCode | None:
    return None if code is None else ReasonCode(code)
