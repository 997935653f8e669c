"""How a change by staff is written: its history and its event with it, and nothing when it didn't happen."""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.observability.registry import admit
from maitred.observability.staff_events import StaffAction, action

# To be put behind `WITH changed AS (...)`, a change whose rows are bookings, with their `id` and `restaurant_id`.
EVENT_OF_CHANGED: LiteralString = """
INSERT INTO observability_events (id, created_at, source, event_type, severity, context, restaurant_id, booking_id,
                                  version)
SELECT %(event_id)s, clock_timestamp(), %(event_source)s, %(event_type)s, %(event_severity)s, %(event_context)s,
       changed.restaurant_id, changed.id, %(event_version)s::smallint
  FROM changed
"""


def event_params(what: StaffAction, booking_id: UUID, key_id: UUID | None) -> dict[str, Any]:
    """The parameters of EVENT_OF_CHANGED."""
    event = action(restaurant_id=None, booking_id=booking_id, action=what, key_id=key_id)
    declaration, context = admit(event)
    return {
        "event_id": event.id,
        "event_source": declaration.source,
        "event_type": declaration.name,
        "event_severity": str(declaration.severity),
        "event_context": Jsonb(context),
        "event_version": declaration.version,
    }
