"""API keys: made, listed, revoked. What is kept of a key is its hash; the key itself is shown once.

A key is 256 random bits, so nobody finds it by trying, and a plain SHA-256 keeps it as safe as a slow hash would; slow
hashes are for what people choose.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from maitred.errors import InvalidInput, NotFound
from maitred.http.role import Role
from maitred.storage.database import Database, Row

_KEY = re.compile(r"mk_[a-z2-7]{8}_[A-Za-z0-9_-]{43}")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_MOST_NAME = 100

_CREATE: LiteralString = """
INSERT INTO api_keys (prefix, hash, name, role, restaurant_ids, every_venue, expires_at)
VALUES (%(prefix)s, %(hash)s, %(name)s, %(role)s, %(restaurant_ids)s, %(every_venue)s, %(expires_at)s)
RETURNING id, prefix, name, role, restaurant_ids, every_venue, created_at, expires_at, revoked_at
"""

_LIST: LiteralString = """
SELECT id, prefix, name, role, restaurant_ids, every_venue, created_at, expires_at, revoked_at
  FROM api_keys ORDER BY created_at, id LIMIT 1000
"""

_VENUES: LiteralString = "SELECT id, slug FROM restaurants WHERE slug = ANY(%(slugs)s)"

_REVOKE: LiteralString = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = %(id)s
RETURNING id, prefix, name, role, restaurant_ids, every_venue, created_at, expires_at, revoked_at
"""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. `prefix` is its beginning, to tell keys apart; it opens nothing."""

    id: UUID
    prefix: str
    name: str
    role: Role
    restaurant_ids: tuple[UUID, ...]
    every_venue: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def looks_like_key(shown: str) -> bool:
    """Whether it has the form of a key."""
    return _KEY.fullmatch(shown) is not None


def hashed(shown: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(shown.encode("ascii")).digest()


async def create_key(
    database: Database,
    *,
    name: str,
    role: Role,
    restaurant_ids: Collection[UUID] = (),
    every_venue: bool = False,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Makes a key, and gives it together with its secret text, which can't be had again.

    Raises InvalidInput.
    """
    if not name.strip() or len(name) > _MOST_NAME or not name.isprintable():
        raise InvalidInput("key", "name", f"must be 1 to {_MOST_NAME} printable characters")
    if role is Role.GUEST:
        raise InvalidInput("key", "role", "must be guest_site, staff or operator")
    if every_venue == bool(restaurant_ids):
        raise InvalidInput("key", "restaurant_ids", "must name at least one venue, or be for every venue")
    prefix = "mk_" + "".join(secrets.choice(_ALPHABET) for _ in range(8))
    shown = f"{prefix}_{secrets.token_urlsafe(32)}"
    rows = await database.fetch(
        _CREATE,
        {
            "prefix": prefix,
            "hash": hashed(shown),
            "name": name.strip(),
            "role": role,
            "restaurant_ids": sorted(set(restaurant_ids)),
            "every_venue": every_venue,
            "expires_at": expires_at,
        },
    )
    return _key(rows[0]), shown


async def venues_of(database: Database, slugs: Collection[str]) -> list[UUID]:
    """The ids of these venues. Raises NotFound for the first that isn't there."""
    rows = await database.fetch(_VENUES, {"slugs": list(slugs)})
    found = {row["slug"]: row["id"] for row in rows}
    for slug in slugs:
        if slug not in found:
            raise NotFound("restaurant", slug)
    return list(found.values())


async def list_keys(database: Database) -> list[ApiKey]:
    """All keys, the oldest first, at most a thousand; those that have ended too."""
    return [_key(row) for row in await database.fetch(_LIST)]


async def revoke_key(database: Database, key_id: UUID) -> ApiKey:
    """Ends a key: the next request with it is refused. Raises NotFound; a key that has ended stays ended."""
    rows = await database.fetch(_REVOKE, {"id": key_id})
    if not rows:
        raise NotFound("key", str(key_id))
    return _key(rows[0])


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        prefix=row["prefix"],
        name=row["name"],
        role=Role(row["role"]),
        restaurant_ids=tuple(row["restaurant_ids"]),
        every_venue=row["every_venue"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
