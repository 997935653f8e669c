"""What became of the tables of a booking that is seated already."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

from maitred.observability.event import Event
from maitred.observability.registry import Declaration, Key, constructs, declare
from maitred.observability.values import Identifier, Numbered, Word

MoveCause: TypeAlias = Literal["made_way", "optimised"]

SOURCE = "booking"

TABLES_MOVED = declare(
    Declaration(
        "booking.tables_moved",
        SOURCE,
        "A seated booking got other tables for the same time. Written with the move.",
        (
            Key("from_tables", Numbered(), "the ids of the tables that it had"),
            Key("to_tables", Numbered(), "the ids of those that it has now"),
            Key("cause", Word(get_args(MoveCause)), "another booking needed room, or the whole service was optimised"),
            Key("moved_for", Identifier(), "the booking that got room by it", nullable=True),
        ),
        rides="transaction",
        outcome="cause",
    )
)


@constructs(TABLES_MOVED)
def tables_moved(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    from_tables: Iterable[int],
    to_tables: Iterable[int],
    cause: MoveCause,
    moved_for: UUID | None = None,
    at: datetime | None = None,
) -> Event:
    """A seated booking got other tables, by their ids, for the same time."""
    return TABLES_MOVED.event(
        restaurant_id,
        booking_id,
        at,
        {
            "from_tables": tuple(from_tables),
            "to_tables": tuple(to_tables),
            "cause": cause,
            "moved_for": moved_for,
        },
    )
