"""What the service optimiser changed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

from maitred.observability.event import Event
from maitred.observability.registry import Declaration, Key, constructs, declare
from maitred.observability.values import Count, Number, Word

OptimiserMode: TypeAlias = Literal["covers", "parties"]
OptimiserStatus: TypeAlias = Literal["optimal", "feasible", "deadline"]

SOURCE = "optimiser"

APPLIED = declare(
    Declaration(
        "optimiser.applied",
        SOURCE,
        "A service day was seated as the optimiser found it best. Written with the seats; each move has an event too.",
        (
            Key("mode", Word(get_args(OptimiserMode)), "what counted most"),
            Key("status", Word(get_args(OptimiserStatus)), "how far the answer was proved best"),
            Key("seated", Count(), "bookings of the day that have tables now"),
            Key("covers", Count(), "their covers"),
            Key("newly_seated", Count(), "those of them that were waiting"),
            Key("moves", Count(), "those of them that got other tables"),
            Key("bound", Number("covers or parties, by mode"), "what no answer can beat"),
            Key("duration_ms", Number("ms"), "how long the optimiser took"),
        ),
        rides="transaction",
        outcome="status",
    )
)


@constructs(APPLIED)
def applied(
    *,
    restaurant_id: UUID | None,
    mode: OptimiserMode,
    status: OptimiserStatus,
    seated: int,
    covers: int,
    newly_seated: int,
    moves: int,
    bound: float,
    duration_ms: float,
    at: datetime | None = None,
) -> Event:
    """A service day was seated anew."""
    return APPLIED.event(
        restaurant_id,
        None,
        at,
        {
            "mode": mode,
            "status": status,
            "seated": seated,
            "covers": covers,
            "newly_seated": newly_seated,
            "moves": moves,
            "bound": bound,
            "duration_ms": duration_ms,
        },
    )
