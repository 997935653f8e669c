"""Changing a venue: one change at a time, to the version that the caller has read, and by the rules of the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString
from uuid import UUID

from maitred.errors import NotFound, VersionConflict
from maitred.storage.database import Database, Row, Session, Statement
from maitred.venue.read import SELECT_VENUE, Venue, venue_of

BEGIN = Statement("BEGIN", {})
COMMIT = Statement("COMMIT", {})
LIMITS = Statement("SELECT set_config('lock_timeout', '5s', true)", {})

_LOCK: LiteralString = "SELECT settings_version FROM restaurants WHERE slug = %(slug)s FOR NO KEY UPDATE"
_BY_SLUG: LiteralString = SELECT_VENUE + " WHERE r.slug = %(slug)s"
_BY_ID: LiteralString = SELECT_VENUE + " WHERE r.id = %(restaurant_id)s"
_SETTINGS_VERSION: LiteralString = "SELECT settings_version FROM restaurants WHERE id = %(restaurant_id)s"


class Part(StrEnum):
    """What has a version of its own. Settings are what neither the planner nor the floor plan depends on."""

    SETTINGS = "settings"
    POLICY = "policy"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class VenueNow:
    """A venue and the versions of its parts."""

    venue: Venue
    settings_version: int

    def version(self, part: Part) -> str:
        """A part's version as callers are told it: `floor-12`."""
        number = {
            Part.SETTINGS: self.settings_version,
            Part.POLICY: self.venue.policy_version,
            Part.FLOOR: self.venue.floor_version,
        }[part]
        return f"{part.value}-{number}"


class Change:
    """One change under way. `before` is the venue as it was found; `after` is there once the change is through."""

    def __init__(self, session: Session, before: VenueNow) -> None:
        self._session = session
        self.before = before
        self._after: VenueNow | None = None

    @property
    def restaurant_id(self) -> UUID:
        """The venue's id."""
        return self.before.venue.restaurant_id

    @property
    def after(self) -> VenueNow:
        """The venue as the change left it."""
        if self._after is None:
            raise ValueError("the change is not through yet")
        return self._after

    async def send(self, *statements: Statement) -> list[list[Row]]:
        """Runs statements in the change's transaction; each gets `restaurant_id` beside its own parameters."""
        mine = {"restaurant_id": self.restaurant_id}
        return await self._session.send([Statement(sql, {**mine, **params}) for sql, params in statements])

    async def finish(self) -> None:
        """Reads what came of it, by the model's rules, and commits."""
        version, rows = await self.send(Statement(_SETTINGS_VERSION, {}), Statement(_BY_ID, {}))
        self._after = VenueNow(venue_of(rows[0]), version[0]["settings_version"])
        await self.commit()

    async def commit(self) -> None:
        """Commits as it is: for a change that leaves no venue to be read."""
        await self._session.send([COMMIT])


async def read_venue(db: Database, slug: str) -> VenueNow:
    """The venue and its versions at one moment. Raises NotFound."""
    rows = await db.fetch(_BY_SLUG, {"slug": slug})
    if not rows:
        raise NotFound("restaurant", slug)
    versions = await db.fetch(_SETTINGS_VERSION, {"restaurant_id": rows[0]["id"]})
    if not versions:
        raise NotFound("restaurant", slug)
    return VenueNow(venue_of(rows[0]), versions[0]["settings_version"])


@asynccontextmanager
async def changing(db: Database, slug: str, part: Part, expected: Collection[str] | None) -> AsyncIterator[Change]:
    """A transaction on the venue, alone with it; commits at the end, and not when anything is raised.

    `expected` are the versions of the part that the change is meant for, None: whichever. Raises NotFound,
    VersionConflict, and InvalidInput when the venue would break a rule of the model afterwards.
    """
    async with opened(db, slug, part, expected) as change:
        yield change
        await change.finish()


@asynccontextmanager
async def opened(db: Database, slug: str, part: Part, expected: Collection[str] | None) -> AsyncIterator[Change]:
    """The same for whoever commits by himself; what isn't committed is taken back."""
    async with db.session() as session:
        mine = {"slug": slug}
        *_, locked, rows = await session.send([BEGIN, LIMITS, Statement(_LOCK, mine), Statement(_BY_SLUG, mine)])
        if not locked or not rows:
            raise NotFound("restaurant", slug)
        before = VenueNow(venue_of(rows[0]), locked[0]["settings_version"])
        current = before.version(part)
        if expected is not None and current not in expected:
            raise VersionConflict(part.value, current)
        yield Change(session, before)
