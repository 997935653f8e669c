"""Days by seed and load, under several policies, against the clairvoyant's bound."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.policy import VenuePolicy
from maitred.simulate.bound import Clairvoyant, clairvoyant
from maitred.simulate.days import DrawnBooking, Profile, draw_day
from maitred.simulate.outcome import Outcome
from maitred.simulate.policies import Policy

FIRST_DAY = date(2030, 6, 5)
"""A Wednesday; the days of a study are so many weeks apart."""

MOST_DAYS = 365
MOST_LOADS = 10
MOST_SEED = 2**31 - 1
PAST_DAYS = 26
"""As many past days as the forecast looks back weeks."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be simulated. Raises InvalidInput, naming the option, for what makes no sense.

    Day number n of any load is drawn with seed + n, so that a larger load adds bookings to the same ones.
    """

    loads: tuple[float, ...] = (0.8, 0.95, 1.05, 1.25, 1.5)
    days: int = 5
    seed: int = 1
    bound_s: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.loads) <= MOST_LOADS:
            raise InvalidInput("simulate", "--load", f"must be given from 1 to {MOST_LOADS} times")
        for load in self.loads:
            if not math.isfinite(load) or not 0 < load <= 10:
                raise InvalidInput("simulate", "--load", f"must be above 0 and at most 10, not {load:g}")
        if not 1 <= self.days <= MOST_DAYS:
            raise InvalidInput("simulate", "--days", f"must be from 1 to {MOST_DAYS}")
        if not 0 <= self.seed <= MOST_SEED:
            raise InvalidInput("simulate", "--seed", f"must be from 0 to {MOST_SEED}")
        if not math.isfinite(self.bound_s) or self.bound_s <= 0:
            raise InvalidInput("simulate", "--bound-seconds", "must be more than 0")

    def day(self, load: int, number: int) -> date:
        """The date of day `number` of load number `load`, both from 0: no two share one."""
        return FIRST_DAY + timedelta(weeks=load * self.days + number)


@dataclass(frozen=True)
class Played:
    """One day under all policies."""

    number: int
    bookings: Sequence[DrawnBooking]
    best: Clairvoyant
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True)
class Load:
    """All days of one load."""

    load: float
    days: Sequence[Played]


@dataclass(frozen=True)
class Study:
    """What came of a plan. `seats` are the floor's, `venue` its name, `source` what the days were drawn from."""

    plan: Plan
    venue: str
    source: str
    seats: int
    tables: int
    policies: Sequence[Policy]
    loads: Sequence[Load]


Play = Callable[[Policy, date, Sequence[DrawnBooking], Sequence[Sequence[DrawnBooking]]], Awaitable[Outcome]]
"""Plays one day under one policy; the last is the past that a forecast may be made from, empty for who needs none."""


async def study(
    plan: Plan,
    policies: Sequence[Policy],
    profile: Profile,
    *,
    venue: str,
    source: str,
    floor: Floor,
    policy: VenuePolicy,
    play: Play,
    told: Callable[[], None] = lambda: None,
) -> Study:
    """Draws the days and has each played under each policy. `told` is called after each day under each policy.

    Raises RuntimeError when a policy beats the bound, which would mean that one of the two is wrong.
    """
    seats = sum(table.capacity for table in floor.tables if table.usable)
    loads = []
    for place, load in enumerate(plan.loads):
        days = []
        for number in range(plan.days):
            day = plan.day(place, number)
            bookings = draw_day(profile, policy, day, seats=seats, load=load, seed=plan.seed + number)
            best = clairvoyant(bookings, floor, policy, seconds=plan.bound_s)
            past = [
                draw_day(profile, policy, day, seats=seats, load=load, seed=_past_seed(plan.seed + number, back))
                for back in range(PAST_DAYS if any(each.prices for each in policies) else 0)
            ]
            outcomes = {}
            for each in policies:
                found = await play(each, day, bookings, past if each.prices else ())
                if found.covers > best.bound:
                    raise RuntimeError(f"{each.name} seats {found.covers} covers, above the bound of {best.bound}")
                outcomes[each.name] = found
                told()
            days.append(Played(number, bookings, best, outcomes))
        loads.append(Load(load, tuple(days)))
    return Study(plan, venue, source, seats, len(floor.tables), tuple(policies), tuple(loads))


def _past_seed(seed: int, back: int) -> int:
    """A seed that no day of any study has: those end where these begin."""
    return MOST_SEED + MOST_DAYS + seed * PAST_DAYS + back
