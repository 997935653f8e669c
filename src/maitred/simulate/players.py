"""The two ways to play a day: on a database through the real functions, and in memory. A test holds them equal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from uuid import UUID

from maitred.booking.desk import Desk
from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.policy import VenuePolicy
from maitred.planner.planner import Planner
from maitred.simulate.days import DrawnBooking
from maitred.simulate.foresight import Foresight
from maitred.simulate.outcome import Outcome
from maitred.simulate.policies import Policy
from maitred.simulate.replay import replay
from maitred.simulate.room import play
from maitred.simulate.study import FIRST_DAY, Play
from maitred.venue.document import DayDocument
from maitred.venue.read import Venue, load_venue
from maitred.venue.store import import_day, remove_restaurant

PREFIX = "simulated-"


def slug_of(policy: Policy) -> str:
    """The slug of the venue that is made for this policy."""
    return PREFIX + policy.name.replace("+", "-")


def in_memory(floor: Floor, venue_policy: VenuePolicy, policies: Sequence[Policy]) -> Play:
    """Plays without a database."""
    venues = {
        policy.name: Venue(
            UUID(int=0), slug_of(policy), policy.name, policy.applied_to(venue_policy), floor, floor.version, 0
        )
        for policy in policies
    }
    planners = {name: Planner(floor, venue.policy.scoring) for name, venue in venues.items()}

    async def played(
        policy: Policy, day: date, bookings: Sequence[DrawnBooking], past: Sequence[Sequence[DrawnBooking]]
    ) -> Outcome:
        venue = venues[policy.name]
        foresight = Foresight(venue, day, past) if policy.prices else None
        return play(venue, day, bookings, planners[policy.name], foresight)

    return played


@asynccontextmanager
async def on_database(
    desk: Desk, floor: Floor, venue_policy: VenuePolicy, policies: Sequence[Policy]
) -> AsyncIterator[Play]:
    """Plays on the desk's database, at a venue of its own for each policy; these are removed at the end.

    Raises InvalidInput when one of them is there already: nothing that somebody left is removed or written over.
    """
    venues: dict[str, Venue] = {}
    try:
        for policy in policies:
            document = DayDocument(
                slug_of(policy), f"simulated: {policy.name}", FIRST_DAY, policy.applied_to(venue_policy), floor, ()
            )
            imported = await import_day(desk.database, document)
            if not imported.created:
                raise InvalidInput("simulate", "restaurant", f"{document.slug} is already in the database")
            venues[policy.name] = await load_venue(desk.database, imported.restaurant_id)

        async def played(
            policy: Policy, day: date, bookings: Sequence[DrawnBooking], past: Sequence[Sequence[DrawnBooking]]
        ) -> Outcome:
            venue = venues[policy.name]
            foresight = Foresight(venue, day, past) if policy.prices else None
            return await replay(desk, venue, day, bookings, foresight)

        yield played
    finally:
        for venue in venues.values():
            await remove_restaurant(desk.database, venue.slug)
