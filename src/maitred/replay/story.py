"""Why a booking got its tables or none, told from what was recorded at the time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.period import Period
from maitred.model.policy import Window, zone_of
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Refused
from maitred.planner.explain import TableObstacle, explain_tables
from maitred.replay.decide import VenueRules, as_recorded, changes, decide
from maitred.replay.history import BookingNow, History, KeptEvent, StatusChange, TablesMoved
from maitred.replay.record import Recorded, read_record
from maitred.replay.venues import KeptVenues
from maitred.replay.versions import VersionKey

QUOTE = "auto_assign.quote"


@dataclass(frozen=True, slots=True)
class Planned:
    """One planning. `floor` None: what the floor was isn't kept, so tables have no numbers.

    `service` is the window's, None when there was no window. `taken` counts the tables that were taken at any moment of
    the window, `waiting` the bookings that look-ahead had in view. `obstacles` are told for a planning that found
    nothing. `price`: for a party that was declined, what the tables would otherwise have earned, in covers. `agrees`:
    whether today's code decides the same; None when that can't be told.
    """

    recorded: Recorded
    floor: Floor | None
    service: str | None
    taken: int
    waiting: int
    obstacles: tuple[TableObstacle, ...]
    agrees: bool | None
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened, in one sentence."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote: an attempt's planner call, or a look that wanted no tables. Instants are when it ended.

    `since_last_s` is the time since the quote before it, for a retry. `error` is the name of what broke it off.
    `problem` says why there is no planning to tell of.
    """

    at: datetime
    trigger: str | None
    attempt_index: int
    duration_ms: float | None
    release: str | None
    held: bool
    looked: bool
    reason: ReasonCode | None
    error: str | None
    since_last_s: float | None
    plannings: tuple[Planned, ...]
    problem: str | None


Step = Told | Quoted


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to a booking, in order of time."""

    booking: BookingNow
    steps: tuple[Step, ...]


def versions_in(history: History) -> set[VersionKey]:
    """The venue versions that the story needs."""
    restaurant_id = history.booking.restaurant_id
    return {
        VersionKey(restaurant_id, recorded.policy_version, recorded.floor_version)
        for event in history.events
        for recorded in _plannings(event) or ()
    }


def tell(history: History, venues: KeptVenues) -> Story:
    """The story, with those versions at hand that were kept."""
    steps: list[Step] = [
        *_events(history, venues),
        *(Told(each.at, _of_change(each)) for each in history.changes),
        *(Told(each.at, _of_move(each)) for each in history.moved),
    ]
    return Story(history.booking, tuple(sorted(steps, key=lambda step: step.at)))


def _events(history: History, venues: KeptVenues) -> Iterator[Step]:
    last: datetime | None = None
    for event in history.events:
        if event.event_type == QUOTE:
            quoted = _quoted(event, history, venues, last)
            last = event.at
            yield quoted
        elif text := _of_event(event):
            yield Told(event.at, text)


def _plannings(event: KeptEvent) -> tuple[Recorded, ...] | None:
    record = event.context.get("planner_record") if event.event_type == QUOTE else None
    try:
        return read_record(record) if isinstance(record, str) else None
    except InvalidInput:
        return None


def _quoted(event: KeptEvent, history: History, venues: KeptVenues, last: datetime | None) -> Quoted:
    context = event.context
    plannings = _plannings(event)
    internal = context.get("planner_internal")
    index = context.get("attempt_index")
    index = index if type(index) is int else 0
    cached = context.get("cache_hit") is True
    return Quoted(
        at=event.at,
        trigger=_text(context, "trigger"),
        attempt_index=index,
        duration_ms=context.get("planner_duration_ms"),
        release=_text(context, "release"),
        held=context.get("planner_success") is True,
        # a look doesn't hold, and says nothing of the time that holding took
        looked=not cached and (internal or {}).get("hold_ms") is None,
        reason=_reason(context.get("planner_reason_code")),
        error=_text(context, "planner_error"),
        since_last_s=(event.at - last).total_seconds() if index and last else None,
        plannings=tuple(_planned(each, event.at, history, venues) for each in plannings or ()),
        problem=None if plannings is not None else _problem(context, cached=cached),
    )


def _problem(context: Mapping[str, Any], *, cached: bool) -> str | None:
    if cached:
        return "the same question had just been answered, and no table had come free since"
    if context.get("planner_record") is not None:
        return "its flight record can't be read by this release"
    if context.get("planner_error") is not None:
        return None
    return "it has no flight record"


def _planned(recorded: Recorded, at: datetime, history: History, venues: KeptVenues) -> Planned:
    key = VersionKey(history.booking.restaurant_id, recorded.policy_version, recorded.floor_version)
    rules, asked = venues.own(key), recorded.asked
    taken = 0 if asked is None else asked.occupied.bit_count()
    waiting = 0 if asked is None else sum(count for _, _, count in asked.upcoming)
    if rules is None:
        return Planned(recorded, None, None, taken, waiting, (), None)
    window = rules.policy.window(recorded.starts_at, recorded.party)
    try:
        decided = decide(recorded, rules)
        obstacles = _obstacles(recorded, at, history, rules)
    except InvalidInput:
        return Planned(recorded, rules.floor, None, taken, waiting, (), None)
    return Planned(
        recorded,
        rules.floor,
        window.service if isinstance(window, Window) and recorded.blocked is not None else None,
        taken,
        waiting,
        obstacles,
        None if decided is None else not changes(as_recorded(recorded), decided),
        _price(recorded, rules),
    )


def _price(recorded: Recorded, rules: VenueRules) -> float | None:
    """The record has the prices, so what made the difference is worked out again."""
    if recorded.asked is None or recorded.outcome.reason is not ReasonCode.DECLINED:
        return None
    answer = rules.planner.answer(recorded.asked.request(recorded.party, rules.floor))
    return answer.price if isinstance(answer, Refused) else None


def _obstacles(recorded: Recorded, at: datetime, history: History, rules: VenueRules) -> tuple[TableObstacle, ...]:
    """What stood in each table's way, when nothing was found."""
    if recorded.asked is None or recorded.blocked is None or recorded.outcome.plans:
        return ()
    request = recorded.asked.request(recorded.party, rules.floor)
    taken = frozenset(table_id for table_id, bit in rules.floor.bit_of.items() if request.occupied & bit)
    local = zone_of(rules.policy.timezone)
    seats = history.taken_by(taken, recorded.blocked, at)
    blockers = {
        table_id: ", ".join(
            f"{seat.reference} {seat.period.start.astimezone(local):%H:%M}-{seat.period.end.astimezone(local):%H:%M}"
            for seat in by
        )
        for table_id, by in seats.items()
    }
    # Who it was isn't in the record. Without a trace of it: a hold, or a booking that was moved or deleted.
    blockers |= dict.fromkeys(
        taken - blockers.keys(), f"at some time in {_between(recorded.blocked, rules.policy.timezone)}"
    )
    return explain_tables(rules.planner, request, blockers)


def _between(period: Period, timezone: str) -> str:
    local = zone_of(timezone)
    return f"{period.start.astimezone(local):%H:%M}-{period.end.astimezone(local):%H:%M}"


def _of_change(change: StatusChange) -> str:
    where = f", tables {' '.join(change.tables)}" if change.tables else ""
    if change.before == change.after:
        return f"The booking stayed {change.after} ({change.cause}){where}."
    came = "new" if change.before is None else change.before
    return f"The booking went from {came} to {change.after} ({change.cause}){where}."


def _of_move(move: TablesMoved) -> str:
    span = f"from {' '.join(move.before)} to {' '.join(move.after)} for the same time"
    if not move.own:
        return f"{move.reference} made way for it: {span}."
    return f"It was moved {span}" + (f", to make way for {move.moved_for}." if move.moved_for else ".")


def _of_event(event: KeptEvent) -> str | None:
    """A sentence for what happened besides quotes; None for what a quote or the run's end tells anyway."""
    context = event.context
    family, _, name = event.event_type.partition(".")
    if family == "inline_auto_assign":
        return _of_inline(name, context)
    if family == "staff":
        return _of_staff(context)
    trigger = context.get("trigger")
    match name:
        case "started":
            return f"A run began ({trigger})."
        case "attempt_error":
            return f"The attempt broke off: {context.get('error')}."
        case "hard_stop":
            return f"No further attempt: {context.get('reason')}"
        case "inline_skip_attempt":
            return (
                f"The first attempt was skipped, as the inline attempt had just failed: {context.get('reason')} "
                f"{context.get('nextMaxAttempts')} attempts at most instead of {context.get('previousMaxAttempts')}."
            )
        case "inline_timeout_adjustment":
            return (
                "The inline attempt had timed out, so the run looks less far: adjacency "
                f"{'required' if context.get('adjustedRequireAdjacency') else 'not required'}, at most "
                f"{context.get('adjustedMaxTables')} tables, {context.get('maxAttempts')} attempts."
            )
        case "cutoff_skipped":
            return f"Less than {context.get('cutoffMinutes')} minutes to the start: no further attempt."
        case "exited_already_confirmed":
            return "Somebody else had confirmed the booking meanwhile."
        case "summary":
            return (
                f"The run ended: {context.get('result')}, attempts {context.get('attemptsUsed')} of at most "
                f"{context.get('maxAttempts')} ({trigger}), {_ms(context.get('totalDurationMs'))} in all."
            )
    return None


def _of_staff(context: Mapping[str, Any]) -> str | None:
    """What the booking's history doesn't tell anyway."""
    match context.get("action"):
        case "held":
            return "Staff held tables for it by hand."
        case "extended":
            return "Staff extended the hold."
        case "released":
            return "Staff released the hold."
    return None


def _of_inline(name: str, context: Mapping[str, Any]) -> str | None:
    match name:
        case "timeout":
            return f"The inline attempt timed out after {_ms(context.get('elapsedMs'))}."
        case "operation_aborted":
            return f"The inline attempt was broken off after {_ms(context.get('durationMs'))}: the caller went away."
        case "quote_error":
            return "The inline attempt's quote broke off."
        case "confirm_failed":
            return f"The inline attempt could not confirm its hold ({_ms(context.get('durationMs'))})."
        case "succeeded":
            return "The inline attempt confirmed the booking."
    return None


def _ms(value: object) -> str:
    return f"{value:,.1f} ms" if isinstance(value, (int, float)) else "an unknown time"


def _text(context: Mapping[str, Any], key: str) -> str | None:
    value = context.get(key)
    return value if isinstance(value, str) else None


def _reason(code: object) -> ReasonCode | None:
    try:
        return ReasonCode(code) if isinstance(code, str) else None
    except ValueError:
        return None
