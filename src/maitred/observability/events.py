"""The events of a run and of its planner calls, one constructor for each.

Names and keys are a contract with the original system's reports (ADR 6). A key whose value isn't known is null, never
left out. Nothing here takes free text: what goes in are numbers, ids, codes and words from closed lists, and of an
error only its name, so a guest's name or note has no way in.

All constructors take `at`, the moment of the event as an instant with a zone. None leaves it to whoever writes the
event: the recorder takes the moment it was handed the event, the database its own clock.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias, get_args
from uuid import UUID, uuid4

from maitred.errors import MaitredError
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

# Why a planner was called. A word that isn't listed is stored as null.
Trigger: TypeAlias = Literal[
    "creation", "modification", "inline_creation", "inline_modification", "ultra_fast", "loop", "manual"
]
InlineTrigger: TypeAlias = Literal["inline_creation", "inline_modification"]
RunResult: TypeAlias = Literal["succeeded", "cutoff", "already_confirmed", "exhausted", "error"]

SOURCE = "auto_assign"
NO_HOLD = "NO_HOLD"

_TRIGGERS: frozenset[str] = frozenset(get_args(Trigger))
_RESULTS: frozenset[str] = frozenset(get_args(RunResult))


class Severity(StrEnum):
    """How much an event matters; the database knows these and no others."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Event:
    """One row of `observability_events`. `id` makes writing it twice the same as writing it once.

    Raises ValueError for a `created_at` without a zone.
    """

    source: str
    event_type: str
    severity: Severity
    context: Mapping[str, JsonValue]
    restaurant_id: UUID | None = None
    booking_id: UUID | None = None
    created_at: datetime | None = None
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        if self.created_at is not None and self.created_at.tzinfo is None:
            raise ValueError("an event needs an instant with a zone")


@dataclass(frozen=True, slots=True)
class PlannerInternal:
    """What one planner call did. Times in milliseconds; None for what it didn't get to.

    `plan_ms` is choosing alone, `read_ms` and `hold_ms` are waiting for the database. `candidates` are the sets that
    were looked at, of `sets_in_catalogue`. `alternates` are the further plans of the answer, `replans` the plans made
    anew after a lost race.
    """

    plan_ms: float | None = None
    read_ms: float | None = None
    hold_ms: float | None = None
    candidates: int | None = None
    sets_in_catalogue: int | None = None
    exact: bool | None = None
    relaxed: frozenset[Relaxation] | None = None
    replans: int | None = None
    alternates: int | None = None
    round_trips: int | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """Always all keys."""
        return {
            "plan_ms": number(self.plan_ms),
            "read_ms": number(self.read_ms),
            "hold_ms": number(self.hold_ms),
            "candidates": number(self.candidates),
            "sets_in_catalogue": number(self.sets_in_catalogue),
            "exact": self.exact,
            "relaxed": None if self.relaxed is None else [*sorted(each.value for each in self.relaxed)],
            "replans": number(self.replans),
            "alternates": number(self.alternates),
            "round_trips": number(self.round_trips),
        }


def started(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    status: BookingStatus,
    trigger: Trigger,
    at: datetime | None = None,
) -> Event:
    """A run takes a booking that is not final."""
    context: dict[str, JsonValue] = {"status": status.value, "trigger": _listed(trigger, _TRIGGERS)}
    return Event(SOURCE, "auto_assign.started", Severity.INFO, context, restaurant_id, booking_id, at)


def quote(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    duration_ms: float | None,
    success: bool,
    reason: ReasonCode | None = None,
    require_adjacency: bool | None = None,
    max_tables: int | None = None,
    internal: PlannerInternal | None = None,
    error: BaseException | None = None,
    cache_hit: bool = False,
    attempt_id: UUID | None = None,
    at: datetime | None = None,
) -> Event:
    """A planner call is over, on whatever way out: one call of `quote_tables_for_booking` (read, plan, hold).

    `require_adjacency` and `max_tables` are what the caller passed, None where nothing was. `error` is what the call
    raised, a cancellation too. `attempt_id` names the inline attempt that called, if one did.
    """
    context: dict[str, JsonValue] = {
        "planner_duration_ms": number(duration_ms),
        "planner_success": success,
        "planner_reason": None if reason is None else reason.text,
        "planner_reason_code": _code(reason),
        "planner_reason_category": None if reason is None else reason.category.value,
        "planner_strategy": {"requireAdjacency": require_adjacency, "maxTables": number(max_tables)},
        "planner_internal": None if internal is None else internal.as_json(),
        "planner_error": None if error is None else error_name(error),
        "trigger": _listed(trigger, _TRIGGERS),
        "attempt_index": number(attempt_index),
        "attemptId": None if attempt_id is None else str(attempt_id),
        "cache_hit": cache_hit,
    }
    return Event(SOURCE, "auto_assign.quote", Severity.INFO, context, restaurant_id, booking_id, at)


def attempt(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    reason: ReasonCode | None,
    alternates: int | None = None,
    cache_hit: bool = False,
    at: datetime | None = None,
) -> Event:
    """A planner call gave no hold. Without a reason the event says NO_HOLD, as in the original."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "success": False,
        "reason": NO_HOLD if reason is None else reason.text,
        "reasonCode": _code(reason),
        "alternates": number(alternates),
        "trigger": _listed(trigger, _TRIGGERS),
        "cache_hit": cache_hit,
    }
    return Event(SOURCE, "auto_assign.attempt", Severity.INFO, context, restaurant_id, booking_id, at)


def attempt_error(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    error: BaseException,
    reason: ReasonCode | None = None,
    at: datetime | None = None,
) -> Event:
    """An attempt raised."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "error": error_name(error),
        "reasonCode": _code(reason),
        "trigger": _listed(trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.attempt_error", Severity.WARNING, context, restaurant_id, booking_id, at)


def hard_stop(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    reason: ReasonCode,
    at: datetime | None = None,
) -> Event:
    """A failure that would come back the same ended the retries."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "reason": reason.text,
        "reasonCode": reason.value,
        "trigger": _listed(trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.hard_stop", Severity.INFO, context, restaurant_id, booking_id, at)


def inline_skip_attempt(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    inline_attempt_id: UUID,
    reason: ReasonCode,
    previous_max_attempts: int,
    next_max_attempts: int,
    at: datetime | None = None,
) -> Event:
    """The first attempt is skipped because the inline attempt just failed for a hard reason."""
    context: dict[str, JsonValue] = {
        "inline_attempt_id": str(inline_attempt_id),
        "reason": reason.text,
        "reasonCode": reason.value,
        "previousMaxAttempts": number(previous_max_attempts),
        "nextMaxAttempts": number(next_max_attempts),
        "trigger": _listed(trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.inline_skip_attempt", Severity.INFO, context, restaurant_id, booking_id, at)


def inline_timeout_adjustment(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    attempt_index: int,
    require_adjacency: bool | None,
    max_tables: int | None,
    max_attempts: int,
    at: datetime | None = None,
) -> Event:
    """The inline attempt had timed out: a looser strategy, fewer attempts."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "adjustedRequireAdjacency": require_adjacency,
        "adjustedMaxTables": number(max_tables),
        "maxAttempts": number(max_attempts),
    }
    return Event(SOURCE, "auto_assign.inline_timeout_adjustment", Severity.INFO, context, restaurant_id, booking_id, at)


def planner_cache_hit(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    reason: ReasonCode,
    at: datetime | None = None,
) -> Event:
    """A recent failure for the same question answered instead of the planner."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "cache_status": "hit",
        "reason": reason.text,
        "reasonCode": reason.value,
        "trigger": _listed(trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.planner_cache_hit", Severity.INFO, context, restaurant_id, booking_id, at)


def cutoff_skipped(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    attempt_index: int,
    cutoff_minutes: float,
    inline_reason: ReasonCode | None = None,
    at: datetime | None = None,
) -> Event:
    """Too close to the booking's start for another attempt."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "cutoffMinutes": number(cutoff_minutes),
        "inline_reason": _code(inline_reason),
    }
    return Event(SOURCE, "auto_assign.cutoff_skipped", Severity.INFO, context, restaurant_id, booking_id, at)


def exited_already_confirmed(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    at: datetime | None = None,
) -> Event:
    """Somebody else confirmed the booking meanwhile."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "trigger": _listed(trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.exited_already_confirmed", Severity.INFO, context, restaurant_id, booking_id, at)


def succeeded(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    duration_ms: float | None,
    at: datetime | None = None,
) -> Event:
    """This run confirmed the booking; `duration_ms` counts from the run's start."""
    context: dict[str, JsonValue] = {
        "attempt_index": number(attempt_index),
        "durationMs": number(duration_ms),
        "trigger": _listed(trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.succeeded", Severity.INFO, context, restaurant_id, booking_id, at)


def failed(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempts: int,
    hard_stop_reason: ReasonCode | None = None,
    at: datetime | None = None,
) -> Event:
    """The run gave up after so many attempts."""
    context: dict[str, JsonValue] = {
        "attempts": number(attempts),
        "trigger": _listed(trigger, _TRIGGERS),
        "hardStopReason": _code(hard_stop_reason),
    }
    return Event(SOURCE, "auto_assign.failed", Severity.WARNING, context, restaurant_id, booking_id, at)


def summary(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    result: RunResult,
    attempts_used: int,
    max_attempts: int,
    total_duration_ms: float | None,
    skipped_initial_attempt: bool = False,
    inline_skip_reason: ReasonCode | None = None,
    hard_stop_reason: ReasonCode | None = None,
    inline_attempt_id: UUID | None = None,
    inline_reason: ReasonCode | None = None,
    inline_trigger: Trigger | None = None,
    at: datetime | None = None,
) -> Event:
    """A run is over: once per run, on every way out."""
    context: dict[str, JsonValue] = {
        "attemptsUsed": number(attempts_used),
        "maxAttempts": number(max_attempts),
        "result": _listed(result, _RESULTS),
        "totalDurationMs": number(total_duration_ms),
        "trigger": _listed(trigger, _TRIGGERS),
        "skippedInitialAttempt": skipped_initial_attempt,
        "inlineSkipReason": _code(inline_skip_reason),
        "hardStopReason": _code(hard_stop_reason),
        "inline_attempt_id": None if inline_attempt_id is None else str(inline_attempt_id),
        "inline_reason": _code(inline_reason),
        "inline_trigger": _listed(inline_trigger, _TRIGGERS),
    }
    return Event(SOURCE, "auto_assign.summary", Severity.INFO, context, restaurant_id, booking_id, at)


def error_name(error: BaseException) -> str:
    """What may be kept of an error: our own code, else the name of its class. Messages may quote data."""
    return error.code if isinstance(error, MaitredError) else type(error).__name__


def number(value: float | None) -> float | None:
    """The number, to a thousandth; None for what is no number or has no place in a double: NaN, infinities, giants."""
    if not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        return None
    return round(value, 3)


def _code(reason: ReasonCode | None) -> str | None:
    return None if reason is None else reason.value


def _listed(word: str | None, words: frozenset[str]) -> str | None:
    """The word if it is one of the closed list. The types say so already; this holds when they are not checked."""
    return word if word in words else None
