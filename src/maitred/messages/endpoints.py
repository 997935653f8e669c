"""Webhook endpoints: where a venue's events are posted to. A secret is shown when it is made, and never again."""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import LiteralString
from uuid import UUID

import httpx

from maitred.errors import InvalidInput, NotFound
from maitred.messages.network_address import IpAddress, Resolve, Resolver, is_public
from maitred.storage.database import Database, Row

MOST_ENDPOINTS = 20
_LONGEST_URL = 2_000
_SECRET_BYTES = 32
_LOOKUP_S = 5.0

_ADD: LiteralString = """
INSERT INTO webhook_endpoints (id, restaurant_id, url, secret)
SELECT %(id)s, %(restaurant_id)s, %(url)s, %(secret)s
 WHERE (SELECT count(*) FROM webhook_endpoints WHERE restaurant_id = %(restaurant_id)s AND id <> %(id)s) < %(most)s
ON CONFLICT (id) DO UPDATE SET secret = excluded.secret WHERE webhook_endpoints.restaurant_id = excluded.restaurant_id
RETURNING id, url, active, created_at
"""
_LIST: LiteralString = """
SELECT id, url, active, created_at FROM webhook_endpoints
 WHERE restaurant_id = %(restaurant_id)s ORDER BY created_at, id LIMIT 1000
"""
_CHANGE: LiteralString = """
UPDATE webhook_endpoints
   SET url = coalesce(%(url)s, url), active = coalesce(%(active)s, active), secret = coalesce(%(secret)s, secret)
 WHERE id = %(id)s AND restaurant_id = %(restaurant_id)s
RETURNING id, url, active, created_at
"""
_REMOVE: LiteralString = """
DELETE FROM webhook_endpoints WHERE id = %(id)s AND restaurant_id = %(restaurant_id)s RETURNING id
"""
_EXISTS: LiteralString = "SELECT id FROM webhook_endpoints WHERE id = %(id)s AND restaurant_id = %(restaurant_id)s"
_DELIVERIES: LiteralString = """
SELECT id, booking_id, kind, state, attempts, last_error, created_at, due_at, ended_at
  FROM messages WHERE endpoint_id = %(id)s AND restaurant_id = %(restaurant_id)s
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint without its secret. An inactive one gets nothing new."""

    id: UUID
    url: str
    active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to an endpoint, as far as it got; nothing of a guest's. `due_at` counts while it waits."""

    id: UUID
    booking_id: UUID
    kind: str
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None


async def check_url(url: str, *, allow_private: bool, resolve: Resolve | None = None) -> None:
    """Raises InvalidInput unless webhooks may go there: https, no password in it, an address of the public internet.

    The same is looked at before each delivery, so a name that changes its mind later gains nothing.
    """
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        raise InvalidInput("webhook", "url", "is not a URL") from None
    if len(url) > _LONGEST_URL or not url.isprintable():
        raise InvalidInput("webhook", "url", f"must be printable and at most {_LONGEST_URL} characters")
    if not target.host or target.scheme not in {"http", "https"} or target.port == 0:
        raise InvalidInput("webhook", "url", "must be like https://example.com/hook")
    if target.userinfo:
        raise InvalidInput("webhook", "url", "must not hold a user or a password: each message is signed")
    if target.fragment:
        raise InvalidInput("webhook", "url", "must not have a fragment")
    if allow_private:
        return
    if target.scheme != "https":
        raise InvalidInput("webhook", "url", "must begin with https://")
    if not all(is_public(address) for address in await _addresses(target, resolve)):
        raise InvalidInput("webhook", "url", "must lead to the public internet")


async def _addresses(target: httpx.URL, resolve: Resolve | None) -> list[IpAddress]:
    host = target.raw_host.decode("ascii").strip("[]")
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    own = Resolver() if resolve is None else None
    try:
        async with asyncio.timeout(_LOOKUP_S):
            found = await (resolve or own or Resolver())(host, target.port or 443)
    except (OSError, UnicodeError, ValueError):
        found = []
    finally:
        if own is not None:
            own.close()
    if not found:
        raise InvalidInput("webhook", "url", "has a name that can't be found")
    return found


def new_secret() -> str:
    """A secret as the Standard Webhooks specification has it: 256 random bits."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


async def add_endpoint(db: Database, restaurant_id: UUID, endpoint_id: UUID, url: str) -> tuple[Endpoint, str]:
    """The endpoint and its secret; the URL has been checked. Added again under the same id it gets another secret.

    Raises InvalidInput for one too many.
    """
    secret = new_secret()
    params = {
        "id": endpoint_id,
        "restaurant_id": restaurant_id,
        "url": url,
        "secret": secret,
        "most": MOST_ENDPOINTS,
    }
    rows = await db.fetch(_ADD, params)
    if not rows:
        raise InvalidInput("webhook", "url", f"a venue has at most {MOST_ENDPOINTS} endpoints")
    return _endpoint(rows[0]), secret


async def list_endpoints(db: Database, restaurant_id: UUID) -> list[Endpoint]:
    """All endpoints of the venue, the oldest first."""
    return [_endpoint(row) for row in await db.fetch(_LIST, {"restaurant_id": restaurant_id})]


async def change_endpoint(
    db: Database, restaurant_id: UUID, endpoint_id: UUID, *, url: str | None = None, active: bool | None = None
) -> Endpoint:
    """Changes what is given; the URL has been checked. Raises NotFound."""
    return _endpoint(await _change(db, restaurant_id, endpoint_id, url=url, active=active, secret=None))


async def rotate_secret(db: Database, restaurant_id: UUID, endpoint_id: UUID) -> tuple[Endpoint, str]:
    """A new secret; from now on nothing is signed with the old one. Raises NotFound."""
    secret = new_secret()
    return _endpoint(await _change(db, restaurant_id, endpoint_id, url=None, active=None, secret=secret)), secret


async def remove_endpoint(db: Database, restaurant_id: UUID, endpoint_id: UUID) -> None:
    """Deletes an endpoint with what still waits for it. Raises NotFound."""
    if not await db.fetch(_REMOVE, {"id": endpoint_id, "restaurant_id": restaurant_id}):
        raise NotFound("webhook", str(endpoint_id))


async def list_deliveries(db: Database, restaurant_id: UUID, endpoint_id: UUID, *, limit: int) -> list[Delivery]:
    """The latest messages to an endpoint, newest first. Raises NotFound."""
    which = {"id": endpoint_id, "restaurant_id": restaurant_id}
    rows = await db.fetch(_DELIVERIES, {**which, "limit": limit})
    if not rows and not await db.fetch(_EXISTS, which):
        raise NotFound("webhook", str(endpoint_id))
    return [Delivery(**row) for row in rows]


async def _change(
    db: Database, restaurant_id: UUID, endpoint_id: UUID, *, url: str | None, active: bool | None, secret: str | None
) -> Row:
    params = {"id": endpoint_id, "restaurant_id": restaurant_id, "url": url, "active": active, "secret": secret}
    rows = await db.fetch(_CHANGE, params)
    if not rows:
        raise NotFound("webhook", str(endpoint_id))
    return rows[0]


def _endpoint(row: Row) -> Endpoint:
    return Endpoint(**row)
