"""Events have the catalogue's names and keys, always all of them, and no way in for a guest's data."""

from __future__ import annotations

import inspect
import json
import math
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.observability import events
from maitred.observability.events import Event, PlannerInternal, Severity
from maitred.observability.values import Packs

# Written from the catalogue of the original's events, and not from the code.
CATALOGUE: dict[str, tuple[str, set[str]]] = {
    "started": ("info", {"status", "trigger"}),
    "quote": (
        "info",
        {
            "planner_duration_ms",
            "planner_success",
            "planner_reason",
            "planner_reason_code",
            "planner_reason_category",
            "planner_strategy",
            "trigger",
            "attempt_index",
            "planner_error",
            "planner_internal",
            "cache_hit",
            "attemptId",
            "release",
            "planner_record",
        },
    ),
    "attempt": (
        "info",
        {"attempt_index", "success", "reason", "reasonCode", "alternates", "trigger", "cache_hit"},
    ),
    "attempt_error": ("warning", {"attempt_index", "error", "reasonCode", "trigger"}),
    "hard_stop": ("info", {"attempt_index", "reason", "reasonCode", "trigger"}),
    "cutoff_skipped": ("info", {"attempt_index", "cutoffMinutes", "inline_reason"}),
    "exited_already_confirmed": ("info", {"attempt_index", "trigger"}),
    "succeeded": ("info", {"attempt_index", "durationMs", "trigger"}),
    "failed": ("warning", {"attempts", "trigger", "hardStopReason"}),
    "summary": (
        "info",
        {
            "attemptsUsed",
            "maxAttempts",
            "result",
            "totalDurationMs",
            "trigger",
            "skippedInitialAttempt",
            "inlineSkipReason",
            "hardStopReason",
            "inline_attempt_id",
            "inline_reason",
            "inline_trigger",
        },
    ),
}
INTERNAL = {
    "plan_ms",
    "read_ms",
    "hold_ms",
    "candidates",
    "sets_in_catalogue",
    "exact",
    "relaxed",
    "replans",
    "alternates",
    "round_trips",
}

GUEST = "Ada Guest, ada@example.org, +44 20 7946 0000, allergic to nuts"

numbers = st.none() | st.floats() | st.integers()
moments = st.none() | st.datetimes(timezones=st.just(UTC))
reasons = st.none() | st.sampled_from(ReasonCode)
triggers = st.sampled_from(get_args(events.Trigger))
errors = st.sampled_from([ValueError(GUEST), psycopg.errors.DeadlockDetected(GUEST), NotFound("booking", GUEST)])
internals = st.none() | st.builds(
    PlannerInternal,
    plan_ms=numbers,
    read_ms=numbers,
    hold_ms=numbers,
    relaxed=st.none() | st.frozensets(st.sampled_from(Relaxation)),
)


class Numbers(Packs):
    """Packs some numbers, or fails."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def packed(self) -> bytes:
        return zlib.compress(bytes(self.numbers))


# What to draw for a parameter, by the type it is declared with.
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    UUID | None: st.none() | st.uuids(),
    datetime | None: moments,
    float | None: numbers,
    float: st.floats(),
    int: st.integers(),
    int | None: st.none() | st.integers(),
    bool: st.booleans(),
    bool | None: st.none() | st.booleans(),
    ReasonCode: st.sampled_from(ReasonCode),
    ReasonCode | None: reasons,
    BookingStatus: st.sampled_from(BookingStatus),
    BaseException: errors,
    BaseException | None: st.none() | errors,
    PlannerInternal | None: internals,
    Packs | None: st.none() | st.builds(Numbers, st.lists(st.integers(0, 300))),
    events.Trigger: triggers,
    events.Trigger | None: st.none() | triggers,
    events.RunResult: st.sampled_from(get_args(events.RunResult)),
}


def constructor(name: str) -> Callable[..., Event]:
    found: Callable[..., Event] = getattr(events, name)
    return found


def parameters(name: str) -> dict[str, Any]:
    return {key: hint for key, hint in get_type_hints(constructor(name)).items() if key != "return"}


@pytest.mark.parametrize("name", CATALOGUE)
@given(data=st.data())
def test_an_event_has_exactly_the_keys_of_the_catalogue_and_is_valid_json(name: str, data: st.DataObject) -> None:
    event = constructor(name)(**{key: data.draw(BY_TYPE[hint], key) for key, hint in parameters(name).items()})

    severity, keys = CATALOGUE[name]
    assert event.event_type == f"auto_assign.{name}"
    assert (event.source, event.severity) == ("auto_assign", severity)
    assert set(event.context) == keys
    text = json.dumps(dict(event.context), allow_nan=False)
    assert json.loads(text) == event.context
    assert "Ada" not in text


@pytest.mark.parametrize("name", CATALOGUE)
def test_no_parameter_takes_free_text(name: str) -> None:
    # BY_TYPE has no str, so a constructor with one would have no entry here
    assert set(parameters(name).values()) <= set(BY_TYPE)
    assert str not in BY_TYPE


@pytest.mark.parametrize("name", CATALOGUE)
def test_text_that_comes_in_unchecked_does_not_get_out(name: str) -> None:
    given_text: dict[str, Any] = {}
    for key, hint in parameters(name).items():
        if hint in (events.Trigger, events.Trigger | None, events.RunResult, int, float, int | None, float | None):
            given_text[key] = GUEST
        elif inspect.signature(constructor(name)).parameters[key].default is inspect.Parameter.empty:
            given_text[key] = {
                BookingStatus: BookingStatus.PENDING,
                ReasonCode: ReasonCode.TIMEOUT,
                bool: True,
                BaseException: ValueError(GUEST),
            }.get(hint)
    event = constructor(name)(**given_text)
    assert "Ada" not in json.dumps(dict(event.context))


@given(value=numbers)
def test_only_numbers_that_a_double_can_hold_are_kept(value: float | None) -> None:
    event = events.quote(
        restaurant_id=None, booking_id=None, trigger="loop", attempt_index=0, duration_ms=value, success=True
    )
    kept = event.context["planner_duration_ms"]
    if value is None or not abs(value) < math.inf:
        assert kept is None
    else:
        assert kept == pytest.approx(value, abs=0.000_501)


def test_a_quote_without_reason_has_nulls_for_it() -> None:
    event = events.quote(
        restaurant_id=None, booking_id=None, trigger="loop", attempt_index=0, duration_ms=1.0, success=False
    )
    assert event.context["planner_reason"] is None
    assert event.context["planner_reason_code"] is None
    assert event.context["planner_reason_category"] is None
    assert event.context["planner_strategy"] == {"requireAdjacency": None, "maxTables": None}
    assert event.context["planner_internal"] is None


@given(reason=st.sampled_from(ReasonCode))
def test_a_quotes_reason_has_text_code_and_category(reason: ReasonCode) -> None:
    event = events.quote(
        restaurant_id=None,
        booking_id=None,
        trigger="loop",
        attempt_index=0,
        duration_ms=1.0,
        success=False,
        reason=reason,
    )
    assert event.context["planner_reason"] == reason.text
    assert event.context["planner_reason_code"] == reason.value
    assert reason.value.startswith(str(event.context["planner_reason_category"]))


def test_the_planners_inside_has_always_all_keys() -> None:
    assert set(PlannerInternal().as_values()) == INTERNAL
    assert set(PlannerInternal().as_values().values()) == {None}
    event = events.quote(
        restaurant_id=None,
        booking_id=None,
        trigger="loop",
        attempt_index=0,
        duration_ms=1.0,
        success=True,
        internal=PlannerInternal(relaxed=frozenset({Relaxation.OVERAGE, Relaxation.ADJACENCY})),
    )
    internal = event.context["planner_internal"]
    assert isinstance(internal, dict)
    assert set(internal) == INTERNAL
    assert internal["relaxed"] == ["adjacency", "overage"]


def test_an_attempt_without_reason_says_no_hold() -> None:
    event = events.attempt(restaurant_id=None, booking_id=None, trigger="loop", attempt_index=0, reason=None)
    assert (event.context["reason"], event.context["reasonCode"]) == ("NO_HOLD", None)


def test_of_an_error_only_its_name_is_kept() -> None:
    assert events.error_name(ValueError(GUEST)) == "ValueError"
    assert events.error_name(NotFound("booking", GUEST)) == "not_found"


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Event("s", "t", Severity.INFO, {}, created_at=datetime(2025, 11, 6, 12))  # noqa: DTZ001 - that is the point


def test_each_event_has_an_id_of_its_own() -> None:
    made = [
        events.exited_already_confirmed(restaurant_id=None, booking_id=uuid4(), trigger="loop", attempt_index=0)
        for _ in range(2)
    ]
    assert made[0].id != made[1].id
