"""The events of a run and of its planner calls: a declaration and a constructor for each.

Names and keys are a contract with the original system's reports (ADR 6). A key whose value isn't known is null, never
left out. Nothing here takes free text: what goes in are numbers, ids, codes and words from closed lists, and of an
error only its name, so a guest's name or note has no way in (ADR 10).

All constructors take `at`, the moment of the event as an instant with a zone. None leaves it to whoever writes the
event: the recorder takes the moment it was handed the event, the database its own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, get_args
from uuid import UUID

from maitred import __version__
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCategory, ReasonCode
from maitred.model.scoring import Relaxation
from maitred.observability.event import Event, JsonValue, Severity
from maitred.observability.registry import Declaration, Group, HasValues, Key, constructs, declare
from maitred.observability.values import (
    Count,
    ErrorName,
    Flag,
    Identifier,
    Number,
    Packed,
    Packs,
    Release,
    Word,
    Words,
    error_name,
)

# Defined elsewhere, and part of what this module offers. All it defines itself is public too.
__all__ = ["Event", "JsonValue", "Severity", "error_name"]

# Why a planner was called. A word that isn't listed is stored as null.
Trigger: TypeAlias = Literal[
    "creation", "modification", "inline_creation", "inline_modification", "ultra_fast", "loop", "manual"
]
InlineTrigger: TypeAlias = Literal["inline_creation", "inline_modification"]
RunResult: TypeAlias = Literal["succeeded", "cutoff", "already_confirmed", "exhausted", "error"]

SOURCE = "auto_assign"
NO_HOLD = "NO_HOLD"

MS = Number("ms")
COUNT = Count()
FLAG = Flag()
ID = Identifier()
CODE = Word(ReasonCode, "reason code")
CODE_OR_NO_HOLD = Word([*ReasonCode, NO_HOLD], f"reason code, or `{NO_HOLD}`")
TEXT = Word([code.text for code in ReasonCode], "text of a reason code")
TEXT_OR_NO_HOLD = Word([*(code.text for code in ReasonCode), NO_HOLD], f"text of a reason code, or `{NO_HOLD}`")
ERROR = ErrorName()

_TRIGGER = Key("trigger", Word(get_args(Trigger)), "why the planner was called")
_ATTEMPT_INDEX = Key("attempt_index", COUNT, "which attempt of its run, from 0")
_CACHE_HIT = Key("cache_hit", FLAG, "a failure of a moment ago answered instead of the planner")


@dataclass(frozen=True, slots=True)
class PlannerInternal(HasValues):
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

    def as_values(self) -> dict[str, object]:
        """Always all keys."""
        return {
            "plan_ms": self.plan_ms,
            "read_ms": self.read_ms,
            "hold_ms": self.hold_ms,
            "candidates": self.candidates,
            "sets_in_catalogue": self.sets_in_catalogue,
            "exact": self.exact,
            "relaxed": self.relaxed,
            "replans": self.replans,
            "alternates": self.alternates,
            "round_trips": self.round_trips,
        }


_INTERNAL = Group(
    Key("plan_ms", MS, "choosing alone", nullable=True),
    Key("read_ms", MS, "waiting for the rows", nullable=True),
    Key("hold_ms", MS, "waiting for the hold", nullable=True),
    Key("candidates", COUNT, "sets of tables looked at", nullable=True),
    Key("sets_in_catalogue", COUNT, "sets of tables there are", nullable=True),
    Key("exact", FLAG, "whether the answer is proven best", nullable=True),
    Key("relaxed", Words(Relaxation), "rules that gave way", nullable=True),
    Key("replans", COUNT, "plans made anew after a lost race", nullable=True),
    Key("alternates", COUNT, "further plans of the answer", nullable=True),
    Key("round_trips", COUNT, "waits for the database", nullable=True),
)
_STRATEGY = Group(
    Key("requireAdjacency", FLAG, nullable=True),
    Key("maxTables", COUNT, nullable=True),
)


STARTED = declare(
    Declaration(
        "auto_assign.started",
        SOURCE,
        "A run takes a booking that is not final.",
        (Key("status", Word(BookingStatus), "the booking's"), _TRIGGER),
        rides="either",
    )
)


@constructs(STARTED)
def started(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    status: BookingStatus,
    trigger: Trigger,
    at: datetime | None = None,
) -> Event:
    """A run takes a booking that is not final."""
    return STARTED.event(restaurant_id, booking_id, at, {"status": status, "trigger": trigger})


QUOTE = declare(
    Declaration(
        "auto_assign.quote",
        SOURCE,
        "A planner call is over, on whatever way out: one call of `quote_tables_for_booking` (read, plan, hold).",
        (
            Key("planner_duration_ms", MS, "the whole call; 0 for a cache hit"),
            Key("planner_success", FLAG, "whether there is a hold"),
            Key("planner_reason", TEXT, "why not", nullable=True),
            Key("planner_reason_code", CODE, "why not", nullable=True),
            Key("planner_reason_category", Word(ReasonCategory), nullable=True),
            Key("planner_strategy", _STRATEGY, "what the caller passed, null where nothing was"),
            Key("planner_internal", _INTERNAL, "what the call did", nullable=True),
            Key("planner_error", ERROR, "what the call raised, a cancellation too", nullable=True),
            _TRIGGER,
            _ATTEMPT_INDEX,
            Key("attemptId", ID, "the inline attempt that called, if one did", nullable=True),
            _CACHE_HIT,
            Key("release", Release(), "the release of maitred that decided"),
            Key("planner_record", Packed(), "the flight record: all that is needed to decide again", nullable=True),
        ),
        measures=("planner_duration_ms",),
        outcome="planner_success",
    )
)


@constructs(QUOTE)
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
    record: Packs | None = None,
    at: datetime | None = None,
) -> Event:
    """A planner call is over, on whatever way out: one call of `quote_tables_for_booking` (read, plan, hold).

    `require_adjacency` and `max_tables` are what the caller passed, None where nothing was. `error` is what the call
    raised, a cancellation too. `attempt_id` names the inline attempt that called, if one did. `record` is the flight
    record, None where nothing was planned.
    """
    return QUOTE.event(
        restaurant_id,
        booking_id,
        at,
        {
            "planner_duration_ms": duration_ms,
            "planner_success": success,
            "planner_reason": None if reason is None else reason.text,
            "planner_reason_code": reason,
            "planner_reason_category": None if reason is None else reason.category,
            "planner_strategy": {"requireAdjacency": require_adjacency, "maxTables": max_tables},
            "planner_internal": internal,
            "planner_error": None if error is None else error_name(error),
            "trigger": trigger,
            "attempt_index": attempt_index,
            "attemptId": attempt_id,
            "cache_hit": cache_hit,
            "release": __version__,
            "planner_record": record,
        },
    )


ATTEMPT = declare(
    Declaration(
        "auto_assign.attempt",
        SOURCE,
        "A planner call gave no hold.",
        (
            _ATTEMPT_INDEX,
            Key("success", FLAG, "always false"),
            Key("reason", TEXT_OR_NO_HOLD),
            Key("reasonCode", CODE, nullable=True),
            Key("alternates", COUNT, "further plans of the answer", nullable=True),
            _TRIGGER,
            _CACHE_HIT,
        ),
        outcome="reasonCode",
    )
)


@constructs(ATTEMPT)
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
    return ATTEMPT.event(
        restaurant_id,
        booking_id,
        at,
        {
            "attempt_index": attempt_index,
            "success": False,
            "reason": NO_HOLD if reason is None else reason.text,
            "reasonCode": reason,
            "alternates": alternates,
            "trigger": trigger,
            "cache_hit": cache_hit,
        },
    )


ATTEMPT_ERROR = declare(
    Declaration(
        "auto_assign.attempt_error",
        SOURCE,
        "An attempt raised.",
        (_ATTEMPT_INDEX, Key("error", ERROR), Key("reasonCode", CODE, nullable=True), _TRIGGER),
        Severity.WARNING,
        outcome="reasonCode",
    )
)


@constructs(ATTEMPT_ERROR)
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
    return ATTEMPT_ERROR.event(
        restaurant_id,
        booking_id,
        at,
        {"attempt_index": attempt_index, "error": error_name(error), "reasonCode": reason, "trigger": trigger},
    )


HARD_STOP = declare(
    Declaration(
        "auto_assign.hard_stop",
        SOURCE,
        "A failure that would come back the same ended the retries.",
        (_ATTEMPT_INDEX, Key("reason", TEXT), Key("reasonCode", CODE), _TRIGGER),
        outcome="reasonCode",
    )
)


@constructs(HARD_STOP)
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
    return HARD_STOP.event(
        restaurant_id,
        booking_id,
        at,
        {"attempt_index": attempt_index, "reason": reason.text, "reasonCode": reason, "trigger": trigger},
    )


INLINE_SKIP_ATTEMPT = declare(
    Declaration(
        "auto_assign.inline_skip_attempt",
        SOURCE,
        "The first attempt is skipped because the inline attempt just failed for a hard reason.",
        (
            Key("inline_attempt_id", ID),
            Key("reason", TEXT),
            Key("reasonCode", CODE),
            Key("previousMaxAttempts", COUNT),
            Key("nextMaxAttempts", COUNT),
            _TRIGGER,
        ),
    )
)


@constructs(INLINE_SKIP_ATTEMPT)
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
    return INLINE_SKIP_ATTEMPT.event(
        restaurant_id,
        booking_id,
        at,
        {
            "inline_attempt_id": inline_attempt_id,
            "reason": reason.text,
            "reasonCode": reason,
            "previousMaxAttempts": previous_max_attempts,
            "nextMaxAttempts": next_max_attempts,
            "trigger": trigger,
        },
    )


INLINE_TIMEOUT_ADJUSTMENT = declare(
    Declaration(
        "auto_assign.inline_timeout_adjustment",
        SOURCE,
        "The inline attempt had timed out: a looser strategy, fewer attempts.",
        (
            _ATTEMPT_INDEX,
            Key("adjustedRequireAdjacency", FLAG, nullable=True),
            Key("adjustedMaxTables", COUNT, nullable=True),
            Key("maxAttempts", COUNT),
        ),
    )
)


@constructs(INLINE_TIMEOUT_ADJUSTMENT)
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
    return INLINE_TIMEOUT_ADJUSTMENT.event(
        restaurant_id,
        booking_id,
        at,
        {
            "attempt_index": attempt_index,
            "adjustedRequireAdjacency": require_adjacency,
            "adjustedMaxTables": max_tables,
            "maxAttempts": max_attempts,
        },
    )


PLANNER_CACHE_HIT = declare(
    Declaration(
        "auto_assign.planner_cache_hit",
        SOURCE,
        "A recent failure for the same question answered instead of the planner.",
        (
            _ATTEMPT_INDEX,
            Key("cache_status", Word(["hit"])),
            Key("reason", TEXT),
            Key("reasonCode", CODE),
            _TRIGGER,
        ),
        outcome="reasonCode",
    )
)


@constructs(PLANNER_CACHE_HIT)
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
    return PLANNER_CACHE_HIT.event(
        restaurant_id,
        booking_id,
        at,
        {
            "attempt_index": attempt_index,
            "cache_status": "hit",
            "reason": reason.text,
            "reasonCode": reason,
            "trigger": trigger,
        },
    )


CUTOFF_SKIPPED = declare(
    Declaration(
        "auto_assign.cutoff_skipped",
        SOURCE,
        "Too close to the booking's start for another attempt.",
        (
            _ATTEMPT_INDEX,
            Key("cutoffMinutes", Number("min"), "how close is too close"),
            Key("inline_reason", CODE, nullable=True),
        ),
    )
)


@constructs(CUTOFF_SKIPPED)
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
    return CUTOFF_SKIPPED.event(
        restaurant_id,
        booking_id,
        at,
        {"attempt_index": attempt_index, "cutoffMinutes": cutoff_minutes, "inline_reason": inline_reason},
    )


FAILED_LOOKUP = declare(
    Declaration(
        "auto_assign.failed_lookup",
        SOURCE,
        "There is no booking of that id: no run, no summary.",
        (_TRIGGER,),
        severity=Severity.ERROR,
    )
)


@constructs(FAILED_LOOKUP)
def failed_lookup(
    *, restaurant_id: UUID | None = None, booking_id: UUID | None, trigger: Trigger, at: datetime | None = None
) -> Event:
    """There is no booking of that id: no run, no summary."""
    return FAILED_LOOKUP.event(restaurant_id, booking_id, at, {"trigger": trigger})


EXITED_ALREADY_CONFIRMED = declare(
    Declaration(
        "auto_assign.exited_already_confirmed",
        SOURCE,
        "Somebody else confirmed the booking meanwhile.",
        (_ATTEMPT_INDEX, _TRIGGER),
    )
)


@constructs(EXITED_ALREADY_CONFIRMED)
def exited_already_confirmed(
    *,
    restaurant_id: UUID | None,
    booking_id: UUID | None,
    trigger: Trigger,
    attempt_index: int,
    at: datetime | None = None,
) -> Event:
    """Somebody else confirmed the booking meanwhile."""
    return EXITED_ALREADY_CONFIRMED.event(
        restaurant_id, booking_id, at, {"attempt_index": attempt_index, "trigger": trigger}
    )


SUCCEEDED = declare(
    Declaration(
        "auto_assign.succeeded",
        SOURCE,
        "This run confirmed the booking.",
        (_ATTEMPT_INDEX, Key("durationMs", MS, "from the run's start"), _TRIGGER),
        rides="transaction",
        measures=("durationMs",),
    )
)


@constructs(SUCCEEDED)
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
    return SUCCEEDED.event(
        restaurant_id,
        booking_id,
        at,
        {"attempt_index": attempt_index, "durationMs": duration_ms, "trigger": trigger},
    )


FAILED = declare(
    Declaration(
        "auto_assign.failed",
        SOURCE,
        "The run gave up.",
        (
            Key("attempts", COUNT, "how many it made"),
            _TRIGGER,
            Key("hardStopReason", CODE, nullable=True),
        ),
        Severity.WARNING,
        rides="transaction",
        measures=("attempts",),
        outcome="hardStopReason",
    )
)


@constructs(FAILED)
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
    return FAILED.event(
        restaurant_id,
        booking_id,
        at,
        {"attempts": attempts, "trigger": trigger, "hardStopReason": hard_stop_reason},
    )


SUMMARY = declare(
    Declaration(
        "auto_assign.summary",
        SOURCE,
        "A run is over: once per run, on every way out.",
        (
            Key("attemptsUsed", COUNT, "a skipped one was not made"),
            Key("maxAttempts", COUNT),
            Key("result", Word(get_args(RunResult))),
            Key("totalDurationMs", MS, "from the run's start"),
            _TRIGGER,
            Key("skippedInitialAttempt", FLAG),
            Key("inlineSkipReason", CODE, "why the first attempt was skipped", nullable=True),
            Key("hardStopReason", CODE, nullable=True),
            Key("inline_attempt_id", ID, "the inline attempt that the run follows", nullable=True),
            Key("inline_reason", CODE, nullable=True),
            Key("inline_trigger", Word(get_args(Trigger)), nullable=True),
        ),
        rides="either",
        measures=("attemptsUsed", "totalDurationMs"),
        outcome="result",
    )
)


@constructs(SUMMARY)
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
    return SUMMARY.event(
        restaurant_id,
        booking_id,
        at,
        {
            "attemptsUsed": attempts_used,
            "maxAttempts": max_attempts,
            "result": result,
            "totalDurationMs": total_duration_ms,
            "trigger": trigger,
            "skippedInitialAttempt": skipped_initial_attempt,
            "inlineSkipReason": inline_skip_reason,
            "hardStopReason": hard_stop_reason,
            "inline_attempt_id": inline_attempt_id,
            "inline_reason": inline_reason,
            "inline_trigger": inline_trigger,
        },
    )
