"""The starts of a day at which a party would get tables, as a booking made at this moment would.

All starts are answered from one look at the day, by the same question and planner that a booking is. An answer is kept
and given again only as long as the database says that nothing has changed, the day's prices are the same, and no rule
begins or ends by the clock.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from maitred.booking.create import FURTHEST_AHEAD, check_party
from maitred.booking.prices import DayPrices, PriceBook
from maitred.booking.question import Question, Strategy, question_for
from maitred.booking.snapshot import SeatedParty, Snapshot, Taken, Waiting
from maitred.booking.venues import PlannedVenue, Venues
from maitred.errors import InvalidInput, NotFound
from maitred.model.booking import BookingStatus
from maitred.model.period import from_micros
from maitred.model.policy import VenuePolicy, service_period
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Refused
from maitred.storage.database import Database

SLOT = timedelta(minutes=15)

_MOST_KEPT = 2_000
_LOOKS = 5
_LOOKAHEAD = timedelta(minutes=240)
_NOBODY = UUID(int=0)

_LOOK: LiteralString = """
SELECT look.*,
       CASE WHEN look.taken IS NOT NULL THEN
           (SELECT coalesce(array_agg(p.at), '{}') FROM pacing_refusals(%(restaurant_id)s, %(starts)s, %(party)s) p)
       END AS paced
  FROM look_at_day(%(restaurant_id)s, %(day)s, %(known)s) look
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A start, in UTC, and why a party would get no tables then; None: it would.

    `paced`: the restaurant lets nobody else in at that time, tables or not.
    """

    starts_at: datetime
    reason: ReasonCode | None
    paced: bool = False

    @property
    def available(self) -> bool:
        """Whether a booking made now would be confirmed."""
        return self.reason is None and not self.paced


@dataclass(frozen=True, slots=True)
class DayAvailability:
    """All starts of the day at which the venue serves, in order."""

    restaurant_id: UUID
    day: date
    party: int
    timezone: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """`until` is the last moment at which the answers are the same; None: they don't depend on the clock."""

    version: str
    prices: DayPrices | None
    until: datetime | None
    policy_version: int
    floor_version: int
    slots: tuple[Slot, ...]


class Availabilities:
    """Asks for availability; keeps the latest answers of this process, at most 2,000 of them."""

    def __init__(self, venues: Venues, prices: PriceBook) -> None:
        self._venues = venues
        self._prices = prices
        self._kept: OrderedDict[tuple[UUID, date, int], _Kept] = OrderedDict()

    async def of_day(
        self, database: Database, restaurant_id: UUID, day: date, party: int, *, now: datetime
    ) -> DayAvailability:
        """One round trip, and a second one when the venue's rules have to be read.

        `day` is the local date on which the service begins; `now` the business's clock. Raises NotFound, and
        InvalidInput for a party or a day that no booking can be for.
        """
        check_party(party)
        today = now.astimezone(UTC).date()
        if not today - timedelta(days=1) <= day <= today + FURTHEST_AHEAD:
            raise InvalidInput("availability", "date", f"must be from today to {FURTHEST_AHEAD.days} days ahead")
        key = (restaurant_id, day, party)
        kept = self._kept.get(key)
        if kept is not None and not self._holds(kept, key, now):
            kept = None
        row, asked_by = await self._look(database, key, None if kept is None else kept.version)
        zone = row["timezone"]
        if kept is None or row["version"] != kept.version:
            kept = await self._work_out(database, key, row, asked_by, now)
            self._kept[key] = kept
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        slots = tuple(Slot(s.starts_at, ReasonCode.START_PASSED) if s.starts_at <= now else s for s in kept.slots)
        return DayAvailability(restaurant_id, day, party, zone, slots)

    def _holds(self, kept: _Kept, key: tuple[UUID, date, int], now: datetime) -> bool:
        restaurant_id, day, _ = key
        by_clock = kept.until is None or now <= kept.until
        return by_clock and kept.prices is self._prices.of(restaurant_id, day)

    async def _look(
        self, database: Database, key: tuple[UUID, date, int], known: str | None
    ) -> tuple[dict[str, Any], PlannedVenue | None]:
        """The day, and the rules by whose starts pacing was asked."""
        restaurant_id, day, party = key
        planned = self._venues.latest(restaurant_id)
        starts = [] if planned is None else list(starts_of(planned.venue.policy, day))
        rows = await database.fetch(
            _LOOK, {"restaurant_id": restaurant_id, "day": day, "known": known, "starts": starts, "party": party}
        )
        if not rows:
            raise NotFound("restaurant", str(restaurant_id))
        return rows[0], planned

    async def _work_out(
        self,
        database: Database,
        key: tuple[UUID, date, int],
        row: dict[str, Any],
        asked_by: PlannedVenue | None,
        now: datetime,
    ) -> _Kept:
        restaurant_id, day, party = key
        for _ in range(_LOOKS):
            planned = await self._venues.get(_snapshot(restaurant_id, party, datetime.now(UTC), row, (), ()))
            of_one_moment = planned is asked_by and (planned.venue.policy_version, planned.venue.floor_version) == (
                row["policy_version"],
                row["floor_version"],
            )
            if of_one_moment:
                break
            # the starts that were asked of pacing came from other rules, or from none
            row, asked_by = await self._look(database, key, None)
        else:
            row = {**row, "version": ""}  # the rules change faster than we look: not to be given again
        prices = self._prices.of(restaurant_id, day)
        book = PriceBook()  # the prices of this moment: others may come while the starts are worked out elsewhere
        if prices is not None:
            self._prices.copy(restaurant_id, day, into=book)
        slots = await asyncio.to_thread(_slots, planned, key, row, now, book)
        until = same_until(planned.venue.policy, day, now)
        return _Kept(row["version"], prices, until, row["policy_version"], row["floor_version"], slots)


def starts_of(policy: VenuePolicy, day: date) -> Iterator[datetime]:
    """The starts of all services that begin on that day, every quarter of an hour from their opening; in UTC."""
    found = set()
    for service in policy.services:
        start, closes = service_period(service, day, policy.zone)
        while start < closes:
            found.add(start)
            start += SLOT
    return iter(sorted(found))


def same_until(policy: VenuePolicy, day: date, now: datetime) -> datetime | None:
    """The last moment at which the same rules hold for all starts of the day as hold now; None: they hold for ever."""
    ends = [
        start - timedelta(minutes=rule.until_min + 1)
        for rule in policy.scoring.keep_large
        for start in starts_of(policy, day)
    ]
    return min((end for end in ends if end >= now), default=None)


def _slots(
    planned: PlannedVenue, key: tuple[UUID, date, int], row: dict[str, Any], now: datetime, prices: PriceBook
) -> tuple[Slot, ...]:
    restaurant_id, day, party = key
    taken = tuple(Taken(*each) for each in row["taken"])
    waiting = tuple(Waiting(size, from_micros(start)) for size, start in row["waiting"])
    seated = tuple(
        SeatedParty(covers, starts_at, start, end, tuple(tables))
        for covers, starts_at, start, end, tables in row["seated"] or ()
    )
    paced = {instant.astimezone(UTC) for instant in row["paced"]}
    slots = []
    for start in starts_of(planned.venue.policy, day):
        snapshot = replace(_snapshot(restaurant_id, party, start, row, taken, waiting), seated=seated)
        slots.append(Slot(start, _reason(planned, snapshot, now, prices), start in paced))
    return tuple(slots)


def _snapshot(
    restaurant_id: UUID,
    party: int,
    starts_at: datetime,
    row: dict[str, Any],
    taken: tuple[Taken, ...],
    waiting: tuple[Waiting, ...],
) -> Snapshot:
    """What a booking for this start would see around it."""
    return Snapshot(
        booking_id=_NOBODY,
        restaurant_id=restaurant_id,
        reference="",
        party=party,
        starts_at=starts_at,
        status=BookingStatus.PENDING,
        policy_version=row["policy_version"],
        floor_version=row["floor_version"],
        release_seq=row["release_seq"],
        taken=taken,
        old_seats=(),
        waiting=tuple(each for each in waiting if starts_at < each.starts_at <= starts_at + _LOOKAHEAD),
    )


def _reason(planned: PlannedVenue, snapshot: Snapshot, now: datetime, prices: PriceBook) -> ReasonCode | None:
    # whether the start has passed is for whoever gives the answer to say: it is kept longer than that
    before = min(now, snapshot.starts_at - SLOT)
    question = question_for(snapshot, planned.venue.policy, planned.venue.floor, Strategy(), before, prices)
    if not isinstance(question, Question):
        return question
    answer = planned.planner.answer(question.request)
    return answer.reason if isinstance(answer, Refused) else None
