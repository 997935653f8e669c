"""Events have the catalogue's names and keys, always all of them, and no way in for a guest's data."""

from __future__ import annotations

import json
import math
from datetime import datetime
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.errors import NotFound
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.observability import events
from maitred.observability.events import Event, PlannerInternal, Severity
from maitred.observability.registry import CONSTRUCTORS, REGISTRY
from tests.observability.drawing import BY_TYPE, GUEST, arguments, numbers, parameters

# Written from the catalogue of the original's events, and not from the code.
JOB, INLINE = "auto_assign", "bookings.inline_auto_assign"
CATALOGUE: dict[str, tuple[str, str, set[str]]] = {
    "auto_assign.started": (JOB, "info", {"status", "trigger"}),
    "auto_assign.quote": (
        JOB,
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
        },
    ),
    "auto_assign.attempt": (
        JOB,
        "info",
        {"attempt_index", "success", "reason", "reasonCode", "alternates", "trigger", "cache_hit"},
    ),
    "auto_assign.attempt_error": (JOB, "warning", {"attempt_index", "error", "reasonCode", "trigger"}),
    "auto_assign.hard_stop": (JOB, "info", {"attempt_index", "reason", "reasonCode", "trigger"}),
    "auto_assign.inline_skip_attempt": (
        JOB,
        "info",
        {"inline_attempt_id", "reason", "reasonCode", "previousMaxAttempts", "nextMaxAttempts", "trigger"},
    ),
    "auto_assign.inline_timeout_adjustment": (
        JOB,
        "info",
        {"attempt_index", "adjustedRequireAdjacency", "adjustedMaxTables", "maxAttempts"},
    ),
    "auto_assign.planner_cache_hit": (
        JOB,
        "info",
        {"attempt_index", "cache_status", "reason", "reasonCode", "trigger"},
    ),
    "auto_assign.cutoff_skipped": (JOB, "info", {"attempt_index", "cutoffMinutes", "inline_reason"}),
    "auto_assign.failed_lookup": (JOB, "error", {"trigger"}),
    "auto_assign.exited_already_confirmed": (JOB, "info", {"attempt_index", "trigger"}),
    "auto_assign.succeeded": (JOB, "info", {"attempt_index", "durationMs", "trigger"}),
    "auto_assign.failed": (JOB, "warning", {"attempts", "trigger", "hardStopReason"}),
    "auto_assign.summary": (
        JOB,
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
    "inline_auto_assign.quote_result": (
        INLINE,
        "info",
        {"durationMs", "hasHold", "attemptId", "reason", "alternates"},
    ),
    "inline_auto_assign.no_hold": (INLINE, "info", {"reason", "alternates", "durationMs", "attemptId"}),
    "inline_auto_assign.quote_error": (INLINE, "warning", {"durationMs", "attemptId"}),
    "inline_auto_assign.confirm_succeeded": (INLINE, "info", {"attemptId", "holdId", "durationMs"}),
    "inline_auto_assign.confirm_failed": (INLINE, "error", {"attemptId", "holdId", "durationMs"}),
    "inline_auto_assign.succeeded": (
        INLINE,
        "info",
        {"holdId", "idempotencyKey", "attemptId", "quoteDurationMs", "confirmDurationMs"},
    ),
    "inline_auto_assign.timeout": (INLINE, "warning", {"timeoutMs", "elapsedMs", "attemptId"}),
    "inline_auto_assign.operation_aborted": (INLINE, "warning", {"attemptId", "durationMs", "timeoutMs"}),
}
# Keys of our own beside the original's.
OURS = {"auto_assign.quote": {"release", "planner_record"}}
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


@pytest.mark.parametrize("name", CATALOGUE)
@settings(max_examples=settings().max_examples // 6)  # of each event
@given(data=st.data())
def test_an_event_has_exactly_the_keys_of_the_catalogue_and_is_valid_json(name: str, data: st.DataObject) -> None:
    constructor = CONSTRUCTORS[name]
    event = constructor(**data.draw(arguments(constructor, BY_TYPE)))

    source, severity, keys = CATALOGUE[name]
    assert (event.event_type, event.source, event.severity) == (name, source, severity)
    assert set(event.context) == keys | OURS.get(name, set())
    text = json.dumps(dict(event.context), allow_nan=False)
    assert json.loads(text) == event.context


def test_the_catalogue_has_all_events_that_the_original_has_too() -> None:
    modules = {"maitred.observability.events", "maitred.observability.inline_events"}
    assert set(CATALOGUE) == {name for name in REGISTRY if CONSTRUCTORS[name].__module__ in modules}


@pytest.mark.parametrize("name", CATALOGUE)
def test_no_parameter_takes_free_text(name: str) -> None:
    # BY_TYPE has no str, so a constructor with one would have no entry here
    assert set(parameters(CONSTRUCTORS[name]).values()) <= set(BY_TYPE)
    assert str not in BY_TYPE


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
