"""Quoting: plan on one moment's rows, hold the best plan, and plan again when somebody was faster.

The first try is optimistic: nothing is locked while the planner thinks. A lost race is answered by looking and planning
under the venue's day lock, where nobody who takes that lock can be faster; only rows written around it can still be.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID, uuid4

import psycopg

from maitred.booking.desk import Desk
from maitred.booking.hold import Hold, HoldRequest, hold_from, hold_statements, lock_day
from maitred.booking.question import Question, Strategy, question_for
from maitred.booking.snapshot import Snapshot, snapshot_of, snapshot_statement
from maitred.booking.venues import PlannedVenue
from maitred.model.booking import BookingStatus
from maitred.model.policy import Window
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.observability import events
from maitred.planner.answer import Effort, Plan, Ranked, Refused
from maitred.planner.rules import request_rules
from maitred.storage.database import RoundTrips, Session, Statement, count_round_trips

BEGIN = Statement("BEGIN", {})
COMMIT = Statement("COMMIT", {})
ROLLBACK = Statement("ROLLBACK", {})

_LOST_RACE = (psycopg.errors.ExclusionViolation, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


@dataclass(frozen=True, slots=True)
class Quote:
    """What came of a quote: a hold on `plan`, or the reason why there is none; never both.

    `alternates` are the plans ranked behind the held one, as they were at that moment; nothing keeps them. `planner_ms`
    is the whole call (read, plan, hold) and `plan_ms` the choosing alone, both in milliseconds. `zone` is the plan's.
    `release_seq` is the snapshot's: it tells whether tables came free since.
    """

    booking_id: UUID
    restaurant_id: UUID
    reference: str
    party: int
    starts_at: datetime
    status: BookingStatus
    window: Window | None
    hold: Hold | None
    plan: Plan | None
    alternates: tuple[Plan, ...]
    reason: ReasonCode | None
    relaxed: frozenset[Relaxation]
    zone: str | None
    release_seq: int
    planner_ms: float
    plan_ms: float


@dataclass(slots=True)
class _Measured:
    """What the quote event will say, gathered on the way so that every way out can say it."""

    began: float = field(default_factory=time.perf_counter)
    total_s: float = 0.0
    plan_s: float = 0.0
    read_s: float = 0.0
    hold_s: float = 0.0
    replans: int = 0
    effort: Effort | None = None
    restaurant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    question: Question
    answer: Ranked
    adjacent: bool
    zone: str | None


@dataclass(frozen=True, slots=True)
class _No:
    reason: ReasonCode
    window: Window | None = None


async def quote_tables_for_booking(
    desk: Desk,
    booking_id: UUID,
    *,
    now: Callable[[], datetime],
    ttl_s: int,
    trigger: events.Trigger,
    attempt_index: int = 0,
    strategy: Strategy | None = None,
    attempt_id: UUID | None = None,
) -> Quote:
    """Plans and holds the best tables for a pending booking.

    `ttl_s` is the hold's time to live in seconds. An earlier hold of the same booking is replaced. Leaves one
    `auto_assign.quote` event on every way out. Raises NotFound for an unknown booking and DatabaseUnavailable; not
    finding tables is an answer and not an error.
    """
    asked = strategy or Strategy()
    measured = _Measured()
    quote: Quote | None = None
    failure: BaseException | None = None
    with count_round_trips() as trips:
        try:
            quote = await _quote(desk, booking_id, now, ttl_s, asked, measured)
        except BaseException as error:
            failure = error
            raise
        finally:
            measured.total_s = time.perf_counter() - measured.began
            desk.events.record_observability_event(
                events.quote(
                    restaurant_id=measured.restaurant_id,
                    booking_id=booking_id,
                    trigger=trigger,
                    attempt_index=attempt_index,
                    duration_ms=measured.total_s * 1000,
                    success=quote is not None and quote.hold is not None,
                    reason=None if quote is None else quote.reason,
                    require_adjacency=asked.require_adjacency,
                    max_tables=asked.max_tables,
                    internal=_internal(measured, quote, trips),
                    error=failure,
                    attempt_id=attempt_id,
                )
            )
    return replace(quote, planner_ms=measured.total_s * 1000, plan_ms=measured.plan_s * 1000)


def _internal(measured: _Measured, quote: Quote | None, trips: RoundTrips) -> events.PlannerInternal:
    effort = measured.effort
    return events.PlannerInternal(
        plan_ms=measured.plan_s * 1000,
        read_ms=measured.read_s * 1000,
        hold_ms=measured.hold_s * 1000,
        candidates=None if effort is None else effort.candidates,
        sets_in_catalogue=None if effort is None else effort.sets_in_catalogue,
        exact=None if effort is None else effort.exact,
        relaxed=None if quote is None else quote.relaxed,
        replans=measured.replans,
        alternates=None if quote is None else len(quote.alternates),
        round_trips=trips.count,
    )


async def _quote(
    desk: Desk, booking_id: UUID, now: Callable[[], datetime], ttl_s: int, strategy: Strategy, measured: _Measured
) -> Quote:
    with _Timer(measured, "read_s"):
        rows = await desk.database.fetch(*snapshot_statement(booking_id))
        snapshot = snapshot_of(booking_id, rows)
        measured.restaurant_id = snapshot.restaurant_id
        planned = await desk.venues.get(snapshot)
    choice = _choose(snapshot, planned, strategy, now(), measured)
    if isinstance(choice, _No):
        return _refused(snapshot, choice)
    try:
        hold = await _hold_unlocked(desk, snapshot, choice, ttl_s, measured)
        while hold is None:
            if measured.replans == desk.quote_replans:
                return _refused(snapshot, _No(ReasonCode.HOLD_CONFLICT, choice.question.window))
            measured.replans += 1
            service_day = choice.question.window.service_day
            tried = await _plan_locked(desk, snapshot, service_day, now, ttl_s, strategy, measured)
            if isinstance(tried, Quote):
                return tried
            snapshot, choice, hold = tried
    except psycopg.errors.LockNotAvailable:
        return _refused(snapshot, _No(ReasonCode.LOCK_WAIT, choice.question.window))
    except psycopg.errors.QueryCanceled:
        return _refused(snapshot, _No(ReasonCode.TIMEOUT, choice.question.window))
    return _held(snapshot, choice, hold)


async def _hold_unlocked(
    desk: Desk, snapshot: Snapshot, choice: _Choice, ttl_s: int, measured: _Measured
) -> Hold | None:
    request = _hold_request(choice, ttl_s)
    lock = lock_day(snapshot.restaurant_id, choice.question.window.service_day, desk.lock_timeout_ms)
    with _Timer(measured, "hold_s"):
        try:
            _, *rows = await desk.database.transact([lock, *hold_statements(snapshot, request)])
        except _LOST_RACE:
            return None
    return hold_from(snapshot, request, rows)


async def _plan_locked(
    desk: Desk,
    snapshot: Snapshot,
    service_day: date,
    now: Callable[[], datetime],
    ttl_s: int,
    strategy: Strategy,
    measured: _Measured,
) -> Quote | tuple[Snapshot, _Choice, Hold | None]:
    """One look, plan and hold under the day lock. Hands back fresh rows and no hold when it must be tried again."""
    async with desk.database.session() as session:
        with _Timer(measured, "read_s"):
            *_, rows = await session.send(
                [
                    BEGIN,
                    lock_day(snapshot.restaurant_id, service_day, desk.lock_timeout_ms),
                    snapshot_statement(snapshot.booking_id),
                ]
            )
        fresh = snapshot_of(snapshot.booking_id, rows)
        planned = desk.venues.kept(fresh)
        if planned is not None:
            choice = _choose(fresh, planned, strategy, now(), measured)
            if isinstance(choice, _No):
                await session.send([ROLLBACK])
                return _refused(fresh, choice)
            with _Timer(measured, "hold_s"):
                return fresh, choice, await _hold_in(session, fresh, choice, ttl_s)
        await session.send([ROLLBACK])
    # The venue's rules changed just now. They are read without holding the lock, and the loop comes round again.
    with _Timer(measured, "read_s"):
        planned = await desk.venues.get(fresh)
    choice = _choose(fresh, planned, strategy, now(), measured)
    if isinstance(choice, _No):
        return _refused(fresh, choice)
    return fresh, choice, None


async def _hold_in(session: Session, snapshot: Snapshot, choice: _Choice, ttl_s: int) -> Hold | None:
    request = _hold_request(choice, ttl_s)
    try:
        rows = await session.send([*hold_statements(snapshot, request), COMMIT])
    except _LOST_RACE:
        return None
    return hold_from(snapshot, request, rows)


def _choose(
    snapshot: Snapshot, planned: PlannedVenue, strategy: Strategy, now: datetime, measured: _Measured
) -> _Choice | _No:
    with _Timer(measured, "plan_s"):
        question = question_for(snapshot, planned.venue.policy, planned.venue.floor, strategy, now)
        if isinstance(question, ReasonCode):
            return _No(question)
        answer = planned.planner.answer(question.request)
    measured.effort = answer.effort
    if isinstance(answer, Refused):
        return _No(answer.reason, question.window)
    required = request_rules(planned.venue.policy.scoring, question.request).adjacency_required
    return _Choice(
        question,
        answer,
        adjacent=required and Relaxation.ADJACENCY not in answer.relaxed,
        zone=planned.venue.floor.zones.get(answer.best.zone_id),
    )


def _hold_request(choice: _Choice, ttl_s: int) -> HoldRequest:
    best = choice.answer.best
    return HoldRequest(
        hold_id=uuid4(),
        table_ids=best.table_ids,
        period=choice.question.window.blocked,
        require_adjacency=choice.adjacent,
        ttl_s=ttl_s,
    )


def _refused(snapshot: Snapshot, no: _No) -> Quote:
    return Quote(
        booking_id=snapshot.booking_id,
        restaurant_id=snapshot.restaurant_id,
        reference=snapshot.reference,
        party=snapshot.party,
        starts_at=snapshot.starts_at,
        status=snapshot.status,
        window=no.window,
        hold=None,
        plan=None,
        alternates=(),
        reason=no.reason,
        relaxed=frozenset(),
        zone=None,
        release_seq=snapshot.release_seq,
        planner_ms=0.0,
        plan_ms=0.0,
    )


def _held(snapshot: Snapshot, choice: _Choice, hold: Hold) -> Quote:
    best, *alternates = choice.answer.plans
    return replace(
        _refused(snapshot, _No(ReasonCode.UNKNOWN)),
        window=choice.question.window,
        hold=hold,
        plan=best,
        alternates=tuple(alternates),
        reason=None,
        relaxed=choice.answer.relaxed,
        zone=choice.zone,
    )


class _Timer:
    """Adds the time spent inside to one field, also when it is left by an error or a cancellation."""

    def __init__(self, measured: _Measured, name: str) -> None:
        self._measured = measured
        self._name = name
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._began
        setattr(self._measured, self._name, getattr(self._measured, self._name) + spent)
