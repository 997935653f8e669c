"""The venue versions and planners that a replay works with, built when first needed, the longest unused given up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from maitred.errors import InvalidInput
from maitred.model.policy import VenuePolicy
from maitred.planner.planner import Planner
from maitred.replay.decide import VenueRules
from maitred.replay.versions import VersionKey, read_versions
from maitred.storage.database import Database
from maitred.venue.read import Venue

_MOST_VERSIONS = 256
_MOST_PLANNERS = 16


class KeptVenues:
    """Venues by version. `policy`, when given, takes the place of every version's own, in the venue's time zone."""

    def __init__(self, policy: VenuePolicy | None = None) -> None:
        self._policy = policy
        self._venues: OrderedDict[VersionKey, Venue | None] = OrderedDict()
        self._rules: OrderedDict[tuple[VersionKey, bool], VenueRules] = OrderedDict()

    async def fetch(self, db: Database, keys: Iterable[VersionKey]) -> None:
        """Reads those of the versions that aren't at hand yet; a round trip if there are any."""
        wanted = {*keys}
        missing = wanted - self._venues.keys()
        if missing:
            found = await read_versions(db, missing)
            self._venues |= {key: found.get(key) for key in missing}
        for key in wanted:
            self._venues.move_to_end(key)
        while len(self._venues) > max(_MOST_VERSIONS, len(wanted)):
            self._venues.popitem(last=False)

    def venue(self, key: VersionKey) -> Venue | None:
        """A version that was fetched; None where it isn't kept, or can't be read by this release."""
        return self._venues.get(key)

    def own(self, key: VersionKey) -> VenueRules | None:
        """The rules that the version had."""
        venue = self.venue(key)
        return None if venue is None else self._under(key, venue, None)

    def other(self, key: VersionKey) -> VenueRules | None:
        """The version's floor under the given policy."""
        venue = self.venue(key)
        if venue is None or self._policy is None:
            return None
        return self._under(
            key, venue, replace(self._policy, timezone=venue.policy.timezone, closures=venue.policy.closures)
        )

    def _under(self, key: VersionKey, venue: Venue, policy: VenuePolicy | None) -> VenueRules | None:
        kept = (key, policy is not None)
        rules = self._rules.get(kept)
        if rules is None:
            chosen = policy or venue.policy
            try:
                rules = VenueRules(venue.floor, chosen, Planner(venue.floor, chosen.scoring))
            except InvalidInput:
                return None
            self._rules[kept] = rules
        self._rules.move_to_end(kept)
        while len(self._rules) > _MOST_PLANNERS:
            self._rules.popitem(last=False)
        return rules
