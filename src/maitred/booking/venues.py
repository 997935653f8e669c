"""Venues with their planners, kept by version so that a quote reads the rules only when they changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from maitred.booking.snapshot import Snapshot
from maitred.planner.answer import Answer, Request
from maitred.planner.planner import Planner
from maitred.replay.versions import load_and_keep_venue
from maitred.storage.database import Database
from maitred.venue.read import Venue

_MOST_VENUES = 256


@dataclass(frozen=True, slots=True)
class PlannedVenue:
    """A venue's rules in one version, and the planner built from them."""

    venue: Venue
    planner: Planner

    async def answer(self, request: Request) -> Answer:
        """The planner's; in a thread where it takes longer than the loop should wait."""
        if self.planner.quick(request):
            return self.planner.answer(request)
        return await asyncio.to_thread(self.planner.answer, request)


class Venues:
    """The latest version seen of each venue, at most 256 of them; the longest unused goes first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[UUID, PlannedVenue] = OrderedDict()
        self._locks: dict[UUID, asyncio.Lock] = {}

    def kept(self, snapshot: Snapshot) -> PlannedVenue | None:
        """The venue in exactly the snapshot's versions, if it is at hand."""
        found = self._kept.get(snapshot.restaurant_id)
        if found is None or not _fits(found, snapshot):
            return None
        self._kept.move_to_end(snapshot.restaurant_id)
        return found

    def latest(self, restaurant_id: UUID) -> PlannedVenue | None:
        """The venue as it was last read, which may be outdated: for what is only a guess."""
        return self._kept.get(restaurant_id)

    async def get(self, snapshot: Snapshot) -> PlannedVenue:
        """The venue, read anew when the snapshot's versions are not at hand: one round trip then.

        What is read may be newer than the snapshot; whoever holds tables checks the versions again.
        """
        if found := self.kept(snapshot):
            return found
        lock = self._locks.setdefault(snapshot.restaurant_id, asyncio.Lock())
        try:
            async with lock:
                if found := self.kept(snapshot):
                    return found
                venue = await load_and_keep_venue(self._database, snapshot.restaurant_id)
                # building the catalogue of a large floor takes a tenth of a second: not on the loop
                planner = await asyncio.to_thread(Planner, venue.floor, venue.policy.scoring)
                fresh = PlannedVenue(venue, planner)
                self._kept[snapshot.restaurant_id] = fresh
                while len(self._kept) > _MOST_VENUES:
                    self._kept.popitem(last=False)
                return fresh
        finally:
            if not lock.locked():
                self._locks.pop(snapshot.restaurant_id, None)


def _fits(planned: PlannedVenue, snapshot: Snapshot) -> bool:
    venue = planned.venue
    return venue.policy_version == snapshot.policy_version and venue.floor_version == snapshot.floor_version
