"""Planning a day without taking a table: each booking on the rows as they are, and on top of the plans before it.

All of it reads one moment, in one transaction that the database itself keeps from writing. What real runs would take in
the meantime is not foreseen, and holds that are alive count as taken.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from maitred.booking.desk import Desk
from maitred.booking.question import Strategy, question_for
from maitred.booking.quote import ROLLBACK
from maitred.booking.snapshot import Snapshot, Taken, Waiting, snapshot_of, snapshot_statement
from maitred.booking.venues import PlannedVenue
from maitred.model.booking import BookingStatus
from maitred.model.period import Period, as_micros
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.planner.answer import Answer, Plan, Ranked, Refused
from maitred.replay.record import Decision, FlightRecord
from maitred.storage.database import Session, Statement

_BEGIN: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan that the booking would get, or the reason why there is none. Times in milliseconds.

    `planner_ms` is reading and choosing; a real call also holds. `zone` is the plan's.
    """

    status: BookingStatus
    plan: Plan | None
    reason: ReasonCode | None
    zone: str | None
    planner_ms: float
    plan_ms: float


@dataclass(slots=True)
class DryRun:
    """The plans made so far. Each call leaves an `auto_assign.quote` event of trigger `manual`, as every look does."""

    desk: Desk
    now: Callable[[], datetime]
    session: Session
    _taken: list[Taken] = field(default_factory=list)
    _given_up: set[Taken] = field(default_factory=set)
    _seated: Counter[Waiting] = field(default_factory=Counter)

    @staticmethod
    @asynccontextmanager
    async def begin(desk: Desk, now: Callable[[], datetime]) -> AsyncIterator[DryRun]:
        """Keeps one connection for as long as it lasts. Raises DatabaseUnavailable, as all of it does."""
        async with desk.database.session() as session:
            await session.send([Statement(_BEGIN, {})])
            yield DryRun(desk, now, session)
            await session.send([ROLLBACK])

    async def plan(self, booking_id: UUID, strategy: Strategy) -> Planned:
        """Plans for one booking; what it gets is taken for those after it. Raises NotFound."""
        look = _Look(booking_id, strategy)
        try:
            await self._look(look)
        except BaseException as error:
            look.failure = error
            raise
        finally:
            look.total_ms = _since(look.began)
            self.desk.events.record_observability_event(look.event())
        return look.planned()

    async def _look(self, look: _Look) -> None:
        look.snapshot = snapshot_of(look.booking_id, await self.session.fetch(snapshot_statement(look.booking_id)))
        look.venue = await self.desk.venues.get(look.snapshot)
        look.read_ms = _since(look.began)
        venue = look.venue.venue
        question = question_for(
            self._as_if(look.snapshot), venue.policy, venue.floor, look.strategy, self.now(), self.desk.prices
        )
        party, starts_at = look.snapshot.party, look.snapshot.starts_at
        if isinstance(question, ReasonCode):
            look.reason = question
            look.decision = Decision(venue, party, starts_at, None, None, question)
            return
        look.answer = await look.venue.answer(question.request)
        look.decision = Decision(venue, party, starts_at, question.window, question.request, look.answer)
        if isinstance(look.answer, Ranked):
            self._take(look.snapshot, look.answer.best, question.window.blocked)

    def _as_if(self, snapshot: Snapshot) -> Snapshot:
        """The rows as if the plans so far were seats: tables taken, old seats given up, bookings no longer waiting."""
        seated = self._seated.copy()
        waiting = []
        for each in snapshot.waiting:
            if seated[each]:
                seated[each] -= 1
            else:
                waiting.append(each)
        kept = (each for each in snapshot.taken if each not in self._given_up)
        return replace(snapshot, taken=(*kept, *self._taken), waiting=tuple(waiting))

    def _take(self, snapshot: Snapshot, plan: Plan, blocked: Period) -> None:
        start, end = as_micros(blocked.start), as_micros(blocked.end)
        self._taken += [Taken(table_id, start, end) for table_id in plan.table_ids]
        self._given_up.update(snapshot.old_seats)
        if not snapshot.old_seats:  # a booking that has seats doesn't count as waiting
            self._seated[Waiting(snapshot.party, snapshot.starts_at)] += 1


@dataclass(slots=True)
class _Look:
    """One planner call, gathered on the way so that its event can tell of every way out."""

    booking_id: UUID
    strategy: Strategy
    began: float = field(default_factory=time.perf_counter)
    read_ms: float | None = None
    total_ms: float = 0.0
    snapshot: Snapshot | None = None
    venue: PlannedVenue | None = None
    answer: Answer | None = None
    reason: ReasonCode | None = None
    decision: Decision | None = None
    failure: BaseException | None = None

    @property
    def ranked(self) -> Ranked | None:
        return self.answer if isinstance(self.answer, Ranked) else None

    @property
    def refusal(self) -> ReasonCode | None:
        return self.answer.reason if isinstance(self.answer, Refused) else self.reason

    @property
    def plan_ms(self) -> float | None:
        return None if self.read_ms is None else self.total_ms - self.read_ms

    def planned(self) -> Planned:
        if self.snapshot is None or self.venue is None:
            raise ValueError("nothing has been looked at")
        plan = None if self.ranked is None else self.ranked.best
        zone = None if plan is None else self.venue.venue.floor.zones.get(plan.zone_id)
        return Planned(self.snapshot.status, plan, self.refusal, zone, self.total_ms, self.plan_ms or 0.0)

    def event(self) -> events.Event:
        ranked = self.ranked
        effort = None if self.answer is None else self.answer.effort
        return events.quote(
            restaurant_id=None if self.snapshot is None else self.snapshot.restaurant_id,
            booking_id=self.booking_id,
            trigger="manual",
            attempt_index=0,
            duration_ms=self.total_ms,
            success=ranked is not None,
            reason=self.refusal,
            require_adjacency=self.strategy.require_adjacency,
            max_tables=self.strategy.max_tables,
            internal=events.PlannerInternal(
                plan_ms=self.plan_ms,
                read_ms=self.read_ms,
                candidates=None if effort is None else effort.candidates,
                sets_in_catalogue=None if effort is None else effort.sets_in_catalogue,
                exact=None if effort is None else effort.exact,
                relaxed=None if ranked is None else ranked.relaxed,
                alternates=None if ranked is None else len(ranked.plans) - 1,
            ),
            error=self.failure,
            record=None if self.decision is None else FlightRecord([self.decision]),
        )


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
