"""Events that state a change: they ride in the transaction that makes them true."""

from __future__ import annotations

import json
from typing import Any, LiteralString
from uuid import UUID

from maitred.observability.event import Event
from maitred.observability.registry import admit, identifier
from maitred.storage.database import Statement

_STATE_EVENT: LiteralString = """
INSERT INTO observability_events
    (id, created_at, source, event_type, severity, context, restaurant_id, booking_id, version)
SELECT %(id)s::uuid, coalesce(%(created_at)s::timestamptz, clock_timestamp()), %(source)s::text, %(event_type)s::text,
       %(severity)s::text, %(context)s::jsonb, %(restaurant_id)s::uuid, %(booking_id)s::uuid, %(version)s::smallint
"""
_ONCE: LiteralString = " ON CONFLICT (id) DO NOTHING"
_STATE_EVENT_ALWAYS: LiteralString = _STATE_EVENT + _ONCE
_STATE_EVENT_IF_CONFIRMED: LiteralString = (
    _STATE_EVENT + " WHERE EXISTS (SELECT FROM confirmations WHERE id = %(confirmation_id)s::uuid)" + _ONCE
)


def state_event_statement(event: Event) -> Statement:
    """The insert of an event that states a change, to be sent in the transaction that makes the change.

    Without `created_at` the database's clock decides, at the moment of the statement. Raises UnregisteredEvent for a
    type that nobody declared.
    """
    return Statement(_STATE_EVENT_ALWAYS, _params(event))


def state_event_if_confirmed(event: Event, confirmation_id: UUID) -> Statement:
    """The same, for an event that is true only if this confirmation exists once the statement's turn has come."""
    return Statement(_STATE_EVENT_IF_CONFIRMED, {**_params(event), "confirmation_id": confirmation_id})


def _params(event: Event) -> dict[str, Any]:
    declaration, context = admit(event)
    return {
        "id": event.id,
        "created_at": event.created_at,
        "source": declaration.source,
        "event_type": declaration.name,
        "severity": str(declaration.severity),
        "context": json.dumps(context, allow_nan=False),
        "restaurant_id": identifier(event.restaurant_id),
        "booking_id": identifier(event.booking_id),
        "version": declaration.version,
    }
