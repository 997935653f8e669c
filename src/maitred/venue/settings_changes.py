"""Venues themselves: listed, made, their settings changed, taken out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from maitred.errors import AlreadyExists, InvalidInput, NotFound
from maitred.model.policy import VenuePolicy, zone_of
from maitred.storage.database import Database, Row, Statement
from maitred.venue.changing import LIMITS, Part, changing, opened
from maitred.venue.scoring import demand_to_json, scoring_to_json
from maitred.venue.store import lock_to_remove, policy_statements, removal_statements

_COLUMNS: LiteralString = """
id, slug, name, timezone, contact_email, inline_timeout_ms, keep_tables_until_moved, created_at,
settings_version, policy_version, floor_version
"""
_LIST: LiteralString = (
    "SELECT " + _COLUMNS + " FROM restaurants WHERE slug > %(after)s ORDER BY slug LIMIT %(limit)s"  # noqa: S608 - made of constants
)
_GET: LiteralString = "SELECT " + _COLUMNS + " FROM restaurants WHERE slug = %(slug)s"  # noqa: S608 - made of constants
_ADD: LiteralString = """
INSERT INTO restaurants (id, slug, name, timezone, outside_service, scoring, demand, contact_email, inline_timeout_ms,
                         keep_tables_until_moved)
VALUES (%(id)s, %(slug)s, %(name)s, %(timezone)s, %(outside)s, %(scoring)s, %(demand)s, %(contact_email)s,
        %(inline_timeout_ms)s, %(keep_tables_until_moved)s)
"""
_CHANGE: LiteralString = """
UPDATE restaurants
   SET name = %(name)s, timezone = %(timezone)s, contact_email = %(contact_email)s,
       inline_timeout_ms = %(inline_timeout_ms)s, keep_tables_until_moved = %(keep_tables_until_moved)s
 WHERE id = %(restaurant_id)s
"""
_TO_COME: LiteralString = """
SELECT count(*) AS n FROM bookings
 WHERE restaurant_id = %(restaurant_id)s AND status IN ('pending', 'confirmed', 'checked_in')
   AND starts_at > clock_timestamp() - interval '1 day'
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """A venue but for its floor and policy. `inline_timeout_ms` None: the installation's."""

    restaurant_id: UUID
    slug: str
    name: str
    timezone: str
    contact_email: str | None
    inline_timeout_ms: int | None
    keep_tables_until_moved: bool
    created_at: datetime
    settings_version: int
    policy_version: int
    floor_version: int


async def list_venues(db: Database, *, after: str, limit: int) -> list[Settings]:
    """The venues whose slugs come after this one, in order."""
    return [_settings(row) for row in await db.fetch(_LIST, {"after": after, "limit": limit})]


async def get_settings(db: Database, slug: str) -> Settings:
    """Raises NotFound."""
    rows = await db.fetch(_GET, {"slug": slug})
    if not rows:
        raise NotFound("restaurant", slug)
    return _settings(rows[0])


async def add_venue(
    db: Database, restaurant_id: UUID, slug: str, name: str, policy: VenuePolicy, settings: Mapping[str, Any]
) -> Settings:
    """Makes a venue without a floor. Made again under the same id it is as it is. Raises AlreadyExists.

    `settings` may have `contact_email`, `inline_timeout_ms` and `keep_tables_until_moved`.
    """
    params = {
        "contact_email": None,
        "inline_timeout_ms": None,
        "keep_tables_until_moved": False,
        **settings,
        "id": restaurant_id,
        "slug": slug,
        "name": name,
        "timezone": policy.timezone,
        "outside": policy.outside.value,
        "scoring": Jsonb(scoring_to_json(policy.scoring)),
        "demand": Jsonb(demand_to_json(policy.demand)),
    }
    statements = [LIMITS, Statement(_ADD, params), *policy_statements(restaurant_id, policy)]
    try:
        await db.transact(statements)
    except UniqueViolation:
        made = await db.fetch(_GET, {"slug": slug})
        if not made or made[0]["id"] != restaurant_id:
            raise AlreadyExists("restaurant", slug) from None
    return await get_settings(db, slug)


async def change_settings(db: Database, slug: str, to: Mapping[str, Any], expected: Collection[str] | None) -> Settings:
    """Gives settings other values; a time zone makes a new policy version too. Raises InvalidInput."""
    if "timezone" in to:
        zone_of(to["timezone"])
    async with changing(db, slug, Part.SETTINGS, expected) as change:
        rows = await change.send(Statement(_GET, {"slug": slug}))
        await change.send(Statement(_CHANGE, {**rows[0][0], **to}))
    return await get_settings(db, slug)


async def remove_venue(db: Database, slug: str, expected: Collection[str] | None) -> None:
    """Deletes a venue with all it ever had. Raises NotFound, VersionConflict, InvalidInput while guests are due."""
    async with opened(db, slug, Part.SETTINGS, expected) as change:
        # counted when nobody can book any more: a booking just being made is waited for, and counts
        _, rows = await change.send(lock_to_remove(slug), Statement(_TO_COME, {}))
        if rows[0]["n"]:
            raise InvalidInput("restaurant", "bookings", f"{rows[0]['n']} are still to come: cancel them first")
        await change.send(*removal_statements(slug))
        await change.commit()


def _settings(row: Row) -> Settings:
    return Settings(
        restaurant_id=row["id"],
        **{name: row[name] for name in Settings.__slots__ if name != "restaurant_id"},
    )
