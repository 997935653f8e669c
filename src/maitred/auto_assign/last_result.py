"""`bookings.auto_assign_last_result`: how the latest attempt ended, in the original's keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.booking.question import Strategy
from maitred.model.reason import ReasonCode
from maitred.observability.events import Trigger
from maitred.storage.database import Statement

_PENDING: LiteralString = """
UPDATE bookings SET auto_assign_last_result = %(result)s WHERE id = %(booking_id)s AND status = 'pending'
"""
_CONFIRMED: LiteralString = """
UPDATE bookings SET auto_assign_last_result = %(result)s
 WHERE id = %(booking_id)s AND EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s)
"""


def last_result(
    *,
    source: Literal["inline", "job"],
    reason: ReasonCode | None,
    strategy: Strategy,
    trigger: Trigger,
    alternates: int | None,
    duration_ms: float,
    attempt_id: str,
    email_variant: str | None = None,
) -> dict[str, Any]:
    """The value; no reason means success. `emailSent` turns true when the mail has gone out."""
    return {
        "source": source,
        "lastAttemptAt": datetime.now(UTC).isoformat(),
        "success": reason is None,
        "reason": None if reason is None else reason.value,
        "strategy": {"requireAdjacency": strategy.require_adjacency, "maxTables": strategy.max_tables},
        "trigger": trigger,
        "alternates": alternates,
        "durationMs": round(duration_ms, 3),
        "attemptId": attempt_id,
        "emailSent": False,
        "emailVariant": email_variant,
    }


def keep_last_result(booking_id: UUID, result: dict[str, Any]) -> Statement:
    """Writes it on a booking that is still pending."""
    return Statement(_PENDING, {"booking_id": booking_id, "result": Jsonb(result)})


def keep_last_result_if_confirmed(booking_id: UUID, result: dict[str, Any], confirmation_id: UUID) -> Statement:
    """Writes it in the transaction that confirms."""
    return Statement(
        _CONFIRMED, {"booking_id": booking_id, "result": Jsonb(result), "confirmation_id": confirmation_id}
    )
