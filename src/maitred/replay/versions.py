"""Venue versions: what floor and policy a plan was made by, kept for as long as plans made by them are remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import LiteralString, NamedTuple
from uuid import UUID

from psycopg.errors import ForeignKeyViolation

from maitred.errors import InvalidInput, NotFound
from maitred.storage.database import Database
from maitred.venue.read import SELECT_VENUE, Venue, venue_of

# One statement, so one snapshot and one round trip: what is planned by is what is kept. The document is the row itself,
# so whatever reading a venue comes to include is in it.
_LOAD_AND_KEEP: LiteralString = (
    "WITH venue AS MATERIALIZED ("  # noqa: S608 - made of constants
    + SELECT_VENUE
    + " WHERE r.id = %(restaurant_id)s), kept AS ("
    "INSERT INTO venue_versions (restaurant_id, policy_version, floor_version, document)"
    " SELECT id, policy_version, floor_version, to_jsonb(venue) FROM venue ON CONFLICT DO NOTHING)"
    " SELECT * FROM venue"
)

_READ: LiteralString = """
SELECT v.restaurant_id, v.policy_version, v.floor_version, v.document
  FROM venue_versions v
  JOIN unnest(%(restaurants)s::uuid[], %(policies)s::bigint[], %(floors)s::bigint[])
       AS wanted (restaurant_id, policy_version, floor_version)
       USING (restaurant_id, policy_version, floor_version)
"""

# A version is in use until the next one of its venue is seen.
_FORGET: LiteralString = """
DELETE FROM venue_versions v
 WHERE EXISTS (SELECT FROM venue_versions later
                WHERE later.restaurant_id = v.restaurant_id AND later.seen_at > v.seen_at
                  AND later.seen_at < %(before)s)
RETURNING 1 AS one
"""


class VersionKey(NamedTuple):
    """One version of a venue's floor and policy."""

    restaurant_id: UUID
    policy_version: int
    floor_version: int


async def load_and_keep_venue(db: Database, restaurant_id: UUID) -> Venue:
    """The venue as it is now, kept for replays in the same statement; one round trip.

    Raises NotFound, and InvalidInput when what somebody wrote into its rows breaks a rule of the model.
    """
    try:
        rows = await db.fetch(_LOAD_AND_KEEP, {"restaurant_id": restaurant_id})
    except ForeignKeyViolation:  # it was being removed while we read it
        rows = []
    if not rows:
        raise NotFound("restaurant", str(restaurant_id))
    return venue_of(rows[0])


async def read_versions(db: Database, keys: Iterable[VersionKey]) -> Mapping[VersionKey, Venue]:
    """Those of the versions that are kept and that this release can read; one round trip."""
    wanted = list(keys)
    rows = await db.fetch(
        _READ,
        {
            "restaurants": [key.restaurant_id for key in wanted],
            "policies": [key.policy_version for key in wanted],
            "floors": [key.floor_version for key in wanted],
        },
    )
    found = {}
    for row in rows:
        key = VersionKey(row["restaurant_id"], row["policy_version"], row["floor_version"])
        try:
            found[key] = venue_of({**row["document"], "id": key.restaurant_id})
        except (InvalidInput, KeyError, TypeError, ValueError):
            continue  # of another release; whoever asked for it misses it
    return found


async def forget_versions(db: Database, before: datetime) -> int:
    """Deletes the versions that no quote since this instant can have been decided by, and returns how many."""
    return len(await db.fetch(_FORGET, {"before": before}))
