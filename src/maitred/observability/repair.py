"""What can be derived of events that are missing: the summary of a run whose row says how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.observability.completeness import summary_id
from maitred.observability.registry import admit
from maitred.storage.database import Database, Row, Statement

_AT_ONCE = 500

_ENDED: LiteralString = """
SELECT *, (extract(epoch FROM ended_at - created_at) * 1000)::float8 AS total_ms
  FROM runs WHERE id = ANY (%(ids)s::uuid[]) AND ended_at IS NOT NULL
"""

_DERIVED: LiteralString = """
INSERT INTO observability_events
    (id, created_at, source, event_type, severity, context, restaurant_id, booking_id, version, derived)
VALUES (%(id)s, %(created_at)s, %(source)s, %(event_type)s, %(severity)s, %(context)s::jsonb, %(restaurant_id)s,
        %(booking_id)s, %(version)s, true)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""


async def derive_summaries(db: Database, run_ids: Sequence[UUID]) -> int:
    """Writes the summaries that these ended runs lack, marked as derived; returns how many.

    Each stands at the moment its run ended. A summary that is there after all is left as it is. Raises what `Database`
    raises; what was written before stays.
    """
    written = 0
    for first in range(0, len(run_ids), _AT_ONCE):
        rows = await db.fetch(_ENDED, {"ids": list(run_ids[first : first + _AT_ONCE])})
        results = await db.transact([_derived(row) for row in rows]) if rows else []
        written += sum(len(result) for result in results)
    return written


def _derived(run: Row) -> Statement:
    hard_reason = _code(run["hard_stop_reason"])
    # An attempt that was expected when the run was superseded was never made.
    made = 0 if hard_reason is ReasonCode.SUPERSEDED else 1
    event = events.summary(
        restaurant_id=run["restaurant_id"],
        booking_id=run["booking_id"],
        trigger=run["trigger"],
        result=run["result"],
        attempts_used=run["expected_attempt"] + made - (1 if run["skipped_initial"] else 0),
        max_attempts=run["max_attempts"],
        total_duration_ms=run["total_ms"],
        skipped_initial_attempt=run["skipped_initial"],
        inline_skip_reason=_code(run["inline_skip_reason"]),
        hard_stop_reason=hard_reason,
        inline_attempt_id=run["inline_attempt_id"],
        inline_reason=_code(run["inline_reason"]),
        inline_trigger=run["inline_trigger"],
    )
    declaration, context = admit(event)
    return Statement(
        _DERIVED,
        {
            "id": summary_id(run["id"]),
            "created_at": run["ended_at"],
            "source": declaration.source,
            "event_type": declaration.name,
            "severity": str(declaration.severity),
            "context": json.dumps(context),
            "restaurant_id": run["restaurant_id"],
            "booking_id": run["booking_id"],
            "version": declaration.version,
        },
    )


def _code(text: str | None) -> ReasonCode | None:
    return None if text is None else ReasonCode(text)
