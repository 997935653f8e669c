"""An event's row as the writer sends it and as a spill file keeps it: one line of JSON in ASCII."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from maitred.observability.event import Event
from maitred.observability.registry import REGISTRY, UnregisteredEvent, admit, identifier

LARGEST_EVENT_BYTES = 65_536

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What a declaration admits has no circles; one in something else ends at the interpreter's limit and is refused too.
_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode


def encode(event: Event, recorded_at: int, producer: str, seq: int) -> str:
    """The row. `recorded_at` is in nanoseconds since 1970 and stands in where the event has no moment of its own.

    Raises UnregisteredEvent, and any error for what is no event or has no valid JSON.
    """
    declaration, context = admit(event)
    at = event.created_at or _EPOCH + timedelta(microseconds=recorded_at // 1000)
    restaurant_id, booking_id = identifier(event.restaurant_id), identifier(event.booking_id)
    return _line(
        {
            "id": str(event.id),
            "created_at": at.isoformat(),
            "source": declaration.source,
            "event_type": declaration.name,
            "severity": declaration.severity,
            "context": context,
            "restaurant_id": None if restaurant_id is None else str(restaurant_id),
            "booking_id": None if booking_id is None else str(booking_id),
            "producer": producer,
            "seq": seq,
            "version": declaration.version,
        }
    )


def read_again(line: str, producer: str) -> str:
    """The row of a line that was kept in a file, looked through like a new one.

    Raises UnregisteredEvent, and ValueError, KeyError or TypeError for a line that is damaged or another producer's.
    """
    row: Any = json.loads(line)
    declaration = REGISTRY.get(row["event_type"])
    if declaration is None:
        raise UnregisteredEvent("an event that the registry doesn't know")
    seq = row["seq"]
    if row["producer"] != producer or type(seq) is not int or not 0 < seq < 2**62:
        raise ValueError("not this producer's")
    if datetime.fromisoformat(row["created_at"]).tzinfo is None:
        raise ValueError("an instant needs a zone")
    return _line(
        {
            "id": str(UUID(row["id"])),
            "created_at": row["created_at"],
            "source": declaration.source,
            "event_type": declaration.name,
            "severity": declaration.severity,
            "context": declaration.admitted(row["context"]),
            "restaurant_id": _id(row["restaurant_id"]),
            "booking_id": _id(row["booking_id"]),
            "producer": producer,
            "seq": seq,
            "version": declaration.version,
        }
    )


def _line(row: dict[str, Any]) -> str:
    text = _to_json(row)
    if len(text) > LARGEST_EVENT_BYTES:
        raise ValueError("the event is too large")
    return text


def _id(text: Any) -> str | None:
    return None if text is None else str(UUID(text))
