"""Arguments for the constructors of events, drawn by the types they are declared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints
from uuid import UUID

import psycopg
from hypothesis import strategies as st

from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.observability import events, optimiser_events, table_events
from maitred.observability.event import Event
from maitred.observability.events import PlannerInternal
from maitred.observability.staff_events import StaffAction
from maitred.observability.values import Packs

GUEST = "Ada Guest, ada@example.org, +44 20 7946 0000, allergic to nuts"


class Pack(Packs):
    """Something packed, as a planner call leaves it."""

    def packed(self) -> bytes:
        import zlib

        return zlib.compress(b"[1,2,3]")


numbers = st.none() | st.floats() | st.integers()
moments = st.none() | st.datetimes(timezones=st.just(UTC))
errors = st.sampled_from([ValueError(GUEST), psycopg.errors.DeadlockDetected(GUEST), NotFound("booking", GUEST)])
internals = st.none() | st.builds(
    PlannerInternal,
    plan_ms=numbers,
    read_ms=numbers,
    hold_ms=numbers,
    relaxed=st.none() | st.frozensets(st.sampled_from(Relaxation)),
)
sane = st.floats(0, 1e9, allow_nan=False)
counts = st.integers(0, 2**53)

# What to draw for a parameter, by the type it is declared with. There is no str.
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    UUID: st.uuids(),
    UUID | None: st.none() | st.uuids(),
    datetime | None: moments,
    float | None: sane,
    float: sane,
    int: counts,
    int | None: st.none() | counts,
    bool: st.booleans(),
    bool | None: st.none() | st.booleans(),
    ReasonCode: st.sampled_from(ReasonCode),
    ReasonCode | None: st.none() | st.sampled_from(ReasonCode),
    BookingStatus: st.sampled_from(BookingStatus),
    BaseException: errors,
    BaseException | None: st.none() | errors,
    PlannerInternal | None: internals,
    Packs | None: st.none() | st.builds(Pack),
    Iterable[int]: st.lists(counts, max_size=6),
    optimiser_events.OptimiserMode: st.sampled_from(get_args(optimiser_events.OptimiserMode)),
    optimiser_events.OptimiserStatus: st.sampled_from(get_args(optimiser_events.OptimiserStatus)),
    table_events.MoveCause: st.sampled_from(get_args(table_events.MoveCause)),
    events.Trigger: st.sampled_from(get_args(events.Trigger)),
    events.Trigger | None: st.none() | st.sampled_from(get_args(events.Trigger)),
    events.RunResult: st.sampled_from(get_args(events.RunResult)),
    StaffAction: st.sampled_from(get_args(StaffAction)),
}


def parameters(constructor: Callable[..., Event]) -> dict[str, Any]:
    """The constructor's parameters with their types."""
    return {key: hint for key, hint in get_type_hints(constructor).items() if key != "return"}


def arguments(constructor: Callable[..., Event], by_type: dict[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """All of them at once."""
    return st.fixed_dictionaries({key: by_type[hint] for key, hint in parameters(constructor).items()})
