"""Quoting: plan on one moment's rows, hold the best plan, and plan again when somebody was faster.

The first try is optimistic: nothing is locked while the planner thinks. A lost race is answered by looking and planning
under the venue's day lock, where nobody who takes that lock can be faster; only rows written around it can still be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID, uuid4

import psycopg

from maitred.booking.desk import Desk
from maitred.booking.hold import NOT_HELD, Hold, HoldRequest, lock_day
from maitred.booking.moves import MovedBooking, Way, look_for_way, move_statements, must_be_seated, read_standing
from maitred.booking.prices import PriceBook
from maitred.booking.question import Question, Strategy, question_for
from maitred.booking.seat import SeatOrder
from maitred.booking.snapshot import AtBooking, Looking, Snapshot
from maitred.booking.taking import Exchanging, Holding, Moving, Seating, Taking, hold_of
from maitred.booking.venues import PlannedVenue
from maitred.errors import PacingExceeded
from maitred.model.booking import BookingStatus
from maitred.model.policy import Window
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.observability import events
from maitred.planner.answer import Effort, Plan, Ranked, Refused
from maitred.planner.rules import request_rules
from maitred.replay.record import Decision, FlightRecord
from maitred.storage.database import RoundTrips, Row, Session, Statement, count_round_trips

BEGIN = Statement("BEGIN", {})
COMMIT = Statement("COMMIT", {})
ROLLBACK = Statement("ROLLBACK", {})

_LOST_RACE = (
    psycopg.errors.ExclusionViolation,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.ForeignKeyViolation,  # one of the tables was deleted just now
)


@dataclass(frozen=True, slots=True)
class Quote:
    """What came of a quote: a hold on `plan`, or the reason why there is none; never both.

    `alternates` are the plans ranked behind the held one, as they were at that moment; nothing keeps them. `planner_ms`
    is the whole call (read, plan, hold) and `plan_ms` the choosing alone, both in milliseconds. `zone` is the plan's.
    `release_seq` is the snapshot's: it tells whether tables came free since. `exchanged`: the tables are the booking's
    seats already, in exchange for whatever it had. `take_ms` is the round trip that took the tables. `moved` are the
    bookings that made way, in the transaction that seated this one.
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
    exchanged: bool
    planner_ms: float
    plan_ms: float
    take_ms: float = 0.0
    moved: tuple[MovedBooking, ...] = ()

    @property
    def held(self) -> Hold:
        """The hold of a quote that has one. Raises ValueError for one that hasn't."""
        if self.hold is None:
            raise ValueError("the quote gave no hold")
        return self.hold


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
    decisions: list[Decision] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Choice:
    question: Question
    answer: Ranked
    adjacent: bool
    zone: str | None


@dataclass(frozen=True, slots=True)
class _No:
    """`question` is there when it was put and nothing fitted."""

    reason: ReasonCode
    window: Window | None = None
    question: Question | None = None


Closing = Callable[[Quote], Sequence[Statement]]
"""The statements that make the quote's hold the booking's seats, for a booking that gives others up for them."""

Ordering = Callable[[Quote], SeatOrder]
"""What is written with the seats, for tables that become the booking's seats at once."""


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
    closing: Closing | None = None,
    ordering: Ordering | None = None,
    looked: Snapshot | None = None,
    looking: Looking | None = None,
) -> Quote:
    """Plans and holds the best tables for a pending booking.

    `ttl_s` is the hold's time to live in seconds. An earlier hold of the same booking is replaced. A booking that keeps
    old seats until it has new ones can't hold tables beside them: with `closing` both are exchanged in one transaction,
    without it only tables apart from the old ones are to be had. With `ordering` the tables become the booking's seats
    in the transaction that would hold them, old seats or not. `looked` is a snapshot read just now, which saves the
    first look; `looking` is for a booking that comes to be with its seats. Leaves one `auto_assign.quote` event on
    every way out, except where the venue's pacing lets no such booking come to be.
    Raises NotFound for an unknown booking, DatabaseUnavailable and PacingExceeded; not finding tables is an answer and
    not an error.
    """
    asked = strategy or Strategy()
    measured = _Measured()
    asking = _Asking(desk, looking or AtBooking(booking_id), now, ttl_s, asked, measured, closing, ordering)
    quote: Quote | None = None
    failure: BaseException | None = None
    with count_round_trips() as trips:
        try:
            quote = await _quote(asking, looked)
        except BaseException as error:
            failure = error
            raise
        finally:
            measured.total_s = time.perf_counter() - measured.began
            if not isinstance(failure, PacingExceeded):
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
                        record=FlightRecord(measured.decisions) if measured.decisions else None,
                    )
                )
    return replace(
        quote,
        planner_ms=measured.total_s * 1000,
        plan_ms=measured.plan_s * 1000,
        take_ms=measured.hold_s * 1000,
    )


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


@dataclass(frozen=True, slots=True)
class _Asking:
    """What one quote works with from beginning to end."""

    desk: Desk
    looking: Looking
    now: Callable[[], datetime]
    ttl_s: int
    strategy: Strategy
    measured: _Measured
    closing: Closing | None
    ordering: Ordering | None

    async def choose(self, snapshot: Snapshot, planned: PlannedVenue) -> _Choice | _No:
        strategy = self.strategy
        if self.closing is None and self.ordering is None and snapshot.old_seats:
            # then the old seats stay where they are, and a booking can't have one table twice, at whatever times
            kept = frozenset(seat.table_id for seat in snapshot.old_seats)
            strategy = replace(strategy, avoid=strategy.avoid | kept)
        return await _choose(snapshot, planned, strategy, self.now(), self.measured, self.desk.prices)


async def _quote(asking: _Asking, looked: Snapshot | None) -> Quote:
    desk, measured = asking.desk, asking.measured
    with _Timer(measured, "read_s"):
        looking = asking.looking
        snapshot = looked or looking.snapshot(await desk.database.fetch(*looking.statement()))
        measured.restaurant_id = snapshot.restaurant_id
        planned = await desk.venues.get(snapshot)
    choice = await asking.choose(snapshot, planned)
    if isinstance(choice, _No):
        return await _seat_by_moving(asking, snapshot, planned, choice)
    try:
        held = await _hold_unlocked(asking, snapshot, choice)
        while held is None:
            if measured.replans == desk.quote_replans:
                return _refused(snapshot, _No(ReasonCode.HOLD_CONFLICT, choice.question.window))
            measured.replans += 1
            tried = await _plan_locked(asking, snapshot, choice.question.window.service_day)
            if isinstance(tried, Quote):
                return await _moves_after_race(asking, snapshot, tried)
            snapshot, choice, held = tried
    except psycopg.errors.LockNotAvailable:
        return _refused(snapshot, _No(ReasonCode.LOCK_WAIT, choice.question.window))
    except psycopg.errors.QueryCanceled:
        return _refused(snapshot, _No(ReasonCode.TIMEOUT, choice.question.window))
    return held


async def _seat_by_moving(asking: _Asking, snapshot: Snapshot, planned: PlannedVenue, no: _No) -> Quote:
    """Looks for bookings that can make way, where the venue allows it, and seats this one in the transaction that
    moves them; otherwise the refusal stands.

    A hold can't be had this way: nobody is moved for somebody who may never confirm. A lost race is answered by
    another look, as often as the desk plans again.
    """
    desk, measured = asking.desk, asking.measured
    seats_at_once = asking.ordering is not None or asking.closing is not None
    while (
        seats_at_once
        and no.reason is ReasonCode.NO_CAPACITY
        and no.question is not None
        and planned.venue.policy.scoring.moves.most > 0
    ):
        with _Timer(measured, "read_s"):
            standing = await read_standing(desk.database, snapshot)
        with _Timer(measured, "plan_s"):
            way = await look_for_way(standing, snapshot, no.question, planned, asking.now())
        if way is None:
            break
        try:
            with _Timer(measured, "hold_s"):
                quote = await _take_by_moving(asking, snapshot, planned, no.question, way)
        except psycopg.errors.LockNotAvailable:
            return _refused(snapshot, _No(ReasonCode.LOCK_WAIT, no.window))
        except psycopg.errors.QueryCanceled:
            return _refused(snapshot, _No(ReasonCode.TIMEOUT, no.window))
        if quote is not None:
            return quote
        if measured.replans == desk.quote_replans:
            return _refused(snapshot, _No(ReasonCode.HOLD_CONFLICT, no.window))
        measured.replans += 1
        snapshot, planned = await _look_again(asking)
        choice = await asking.choose(snapshot, planned)
        if isinstance(choice, _Choice):  # something came free meanwhile: nobody need move
            held = await _hold_unlocked(asking, snapshot, choice)
            return held or _refused(snapshot, _No(ReasonCode.HOLD_CONFLICT, no.window))
        no = choice
    return _refused(snapshot, no)


async def _moves_after_race(asking: _Asking, snapshot: Snapshot, refused: Quote) -> Quote:
    """The same for a booking whose tables others took while it was being quoted."""
    if refused.reason is not ReasonCode.NO_CAPACITY:
        return refused
    snapshot, planned = await _look_again(asking)
    if not planned.venue.policy.scoring.moves.most:
        return refused
    choice = await asking.choose(snapshot, planned)
    return await _seat_by_moving(asking, snapshot, planned, choice) if isinstance(choice, _No) else refused


async def _look_again(asking: _Asking) -> tuple[Snapshot, PlannedVenue]:
    with _Timer(asking.measured, "read_s"):
        fresh = asking.looking.snapshot(await asking.desk.database.fetch(*asking.looking.statement()))
        return fresh, await asking.desk.venues.get(fresh)


async def _take_by_moving(
    asking: _Asking, snapshot: Snapshot, planned: PlannedVenue, question: Question, way: Way
) -> Quote | None:
    required = request_rules(planned.venue.policy.scoring, question.request).adjacency_required
    choice = _Choice(
        question,
        Ranked((way.found.plan,), asking.measured.effort or Effort(0, 0), way.found.relaxed),
        adjacent=required and Relaxation.ADJACENCY not in way.found.relaxed,
        zone=planned.venue.floor.zones.get(way.found.plan.zone_id),
    )
    request = _hold_request(choice, asking.ttl_s)
    inner = _at_once(asking, snapshot, choice, request)
    day, wait_ms = question.window.service_day, asking.desk.lock_timeout_ms
    taking = Moving(
        move_statements(snapshot, way, day, wait_ms), inner, must_be_seated(snapshot.booking_id, request.hold_id)
    )
    try:
        rows = await asking.desk.database.transact(taking.statements())
    except psycopg.Error as error:
        if not _lost(error):
            raise
        return None
    taken = taking.taken(rows)
    return None if taken is None else replace(_held(snapshot, choice, taken, exchanged=True), moved=way.moved)


async def _hold_unlocked(asking: _Asking, snapshot: Snapshot, choice: _Choice) -> Quote | None:
    taking = _taking(asking, snapshot, choice)
    desk = asking.desk
    lock = lock_day(snapshot.restaurant_id, choice.question.window.service_day, desk.lock_timeout_ms)
    with _Timer(asking.measured, "hold_s"):
        try:
            if isinstance(taking, Seating):  # one statement, which takes the lock itself
                rows = [await desk.database.fetch_alone(*taking.statement())]
            else:
                _, *rows = await desk.database.transact([lock, *taking.statements()])
        except psycopg.Error as error:
            if not _lost(error):
                raise
            return None
    return _taken(snapshot, choice, taking, rows)


async def _plan_locked(
    asking: _Asking, snapshot: Snapshot, service_day: date
) -> Quote | tuple[Snapshot, _Choice, Quote | None]:
    """One look, plan and hold under the day lock: a refusal, or fresh rows with the hold if it was to be had."""
    desk, measured = asking.desk, asking.measured
    async with desk.database.session() as session:
        with _Timer(measured, "read_s"):
            *_, rows = await session.send(
                [
                    BEGIN,
                    lock_day(snapshot.restaurant_id, service_day, desk.lock_timeout_ms),
                    asking.looking.statement(),
                ]
            )
        fresh = asking.looking.snapshot(rows)
        planned = desk.venues.kept(fresh)
        if planned is not None:
            choice = await asking.choose(fresh, planned)
            if isinstance(choice, _No):
                await session.send([ROLLBACK])
                return _refused(fresh, choice)
            with _Timer(measured, "hold_s"):
                return fresh, choice, await _hold_in(session, asking, fresh, choice)
        await session.send([ROLLBACK])
    # The venue's rules changed just now. They are read without holding the lock, and the loop comes round again.
    with _Timer(measured, "read_s"):
        planned = await desk.venues.get(fresh)
    choice = await asking.choose(fresh, planned)
    if isinstance(choice, _No):
        return _refused(fresh, choice)
    return fresh, choice, None


async def _hold_in(session: Session, asking: _Asking, snapshot: Snapshot, choice: _Choice) -> Quote | None:
    taking = _taking(asking, snapshot, choice)
    try:
        rows = await session.send([*taking.statements(), COMMIT])
    except psycopg.Error as error:
        if not _lost(error):
            raise
        return None
    return _taken(snapshot, choice, taking, rows)


def _lost(error: psycopg.Error) -> bool:
    return isinstance(error, _LOST_RACE) or error.sqlstate == NOT_HELD


def _taking(asking: _Asking, snapshot: Snapshot, choice: _Choice) -> Taking:
    request = _hold_request(choice, asking.ttl_s)
    if asking.ordering is None and (asking.closing is None or not snapshot.old_seats):
        return Holding(snapshot, request)
    return _at_once(asking, snapshot, choice, request)


def _at_once(asking: _Asking, snapshot: Snapshot, choice: _Choice, request: HoldRequest) -> Exchanging | Seating:
    # whatever is written with the seats is known before the database has given them, but for the moment when it does
    planned = _held(snapshot, choice, hold_of(snapshot, request, snapshot.starts_at), exchanged=True)
    if asking.ordering is not None:
        day, order = choice.question.window.service_day, asking.ordering(planned)
        return Seating(snapshot, request, order, day, asking.desk.lock_timeout_ms)
    return Exchanging(snapshot, request, () if asking.closing is None else asking.closing(planned))


def _taken(snapshot: Snapshot, choice: _Choice, taking: Taking, rows: Sequence[list[Row]]) -> Quote | None:
    taken = taking.taken(rows)
    return None if taken is None else _held(snapshot, choice, taken, exchanged=not isinstance(taking, Holding))


async def _choose(
    snapshot: Snapshot,
    planned: PlannedVenue,
    strategy: Strategy,
    now: datetime,
    measured: _Measured,
    prices: PriceBook,
) -> _Choice | _No:
    with _Timer(measured, "plan_s"):
        question = question_for(snapshot, planned.venue.policy, planned.venue.floor, strategy, now, prices)
        if isinstance(question, ReasonCode):
            measured.decisions.append(Decision(planned.venue, snapshot.party, snapshot.starts_at, None, None, question))
            return _No(question)
        answer = await planned.answer(question.request)
    measured.decisions.append(
        Decision(planned.venue, snapshot.party, snapshot.starts_at, question.window, question.request, answer)
    )
    measured.effort = answer.effort
    if isinstance(answer, Refused):
        return _No(answer.reason, question.window, question)
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
        exchanged=False,
        planner_ms=0.0,
        plan_ms=0.0,
    )


def _held(snapshot: Snapshot, choice: _Choice, hold: Hold, *, exchanged: bool) -> Quote:
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
        exchanged=exchanged,
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
