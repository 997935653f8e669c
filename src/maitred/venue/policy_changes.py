"""What operators do to a policy: services, scoring, demand, closures, pacing. Each change makes a new version of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from maitred.errors import AlreadyExists, InvalidInput, NotFound
from maitred.model.closure import Closure, Days
from maitred.model.floor import Floor
from maitred.model.period import Period, from_micros
from maitred.model.policy import Demand, OutsideService, Service, VenuePolicy
from maitred.model.scoring import ScoringPolicy
from maitred.storage.database import Database, Row, Statement
from maitred.venue.changing import Change, Part, VenueNow, changing
from maitred.venue.scoring import demand_to_json, scoring_to_json

MOST_SERVICES = 40
MOST_CLOSURES = 1_000
MOST_LIMITS = 100

_SET_POLICY: LiteralString = """
UPDATE restaurants SET outside_service = %(outside)s, scoring = %(scoring)s, demand = %(demand)s
 WHERE id = %(restaurant_id)s
"""
_ADD_SERVICE: LiteralString = """
INSERT INTO services (restaurant_id, key, position, starts, ends, buffer_before_min, buffer_after_min, allow_overrun)
SELECT %(restaurant_id)s, %(key)s,
       (SELECT coalesce(max(position), 0) + 1 FROM services WHERE restaurant_id = %(restaurant_id)s),
       %(starts)s, %(ends)s, %(before)s, %(after)s, %(overrun)s
"""
_CHANGE_SERVICE: LiteralString = """
UPDATE services
   SET starts = %(starts)s, ends = %(ends)s, buffer_before_min = %(before)s, buffer_after_min = %(after)s,
       allow_overrun = %(overrun)s
 WHERE restaurant_id = %(restaurant_id)s AND key = %(key)s
"""
_CLEAR_BANDS: LiteralString = """
DELETE FROM turn_bands b USING services s
 WHERE b.service_id = s.id AND s.restaurant_id = %(restaurant_id)s AND s.key = %(key)s
"""
_ADD_BANDS: LiteralString = """
INSERT INTO turn_bands (service_id, up_to_party, minutes)
SELECT s.id, given.up_to, given.minutes
  FROM services s CROSS JOIN unnest(%(up_to)s::int[], %(minutes)s::int[]) AS given (up_to, minutes)
 WHERE s.restaurant_id = %(restaurant_id)s AND s.key = %(key)s
"""
_REMOVE_SERVICE: LiteralString = "DELETE FROM services WHERE restaurant_id = %(restaurant_id)s AND key = %(key)s"
# positions are unique at every moment: out of the way first
_MOVE_ASIDE: LiteralString = "UPDATE services SET position = -position - 1 WHERE restaurant_id = %(restaurant_id)s"
_SET_ORDER: LiteralString = """
UPDATE services s SET position = given.position
  FROM unnest(%(keys)s::text[]) WITH ORDINALITY AS given (key, position)
 WHERE s.restaurant_id = %(restaurant_id)s AND s.key = given.key
"""

_CLOSURE_COLUMNS: LiteralString = """
id, service, zone_id, table_ids, first_day, last_day,
(extract(epoch FROM starts_at) * 1000000)::bigint AS starts, (extract(epoch FROM ends_at) * 1000000)::bigint AS ends,
note, created_at
"""
_CLOSURES: LiteralString = (
    "SELECT "  # noqa: S608 - made of constants
    + _CLOSURE_COLUMNS
    + " FROM closures WHERE restaurant_id = %(restaurant_id)s AND (%(id)s::bigint IS NULL OR id = %(id)s)"
    " ORDER BY coalesce(first_day::timestamp, starts_at AT TIME ZONE 'UTC'), id LIMIT %(most)s"
)
_ADD_CLOSURE: LiteralString = (
    "INSERT INTO closures (restaurant_id, service, zone_id, table_ids, first_day, last_day, starts_at, ends_at,"  # noqa: S608 - made of constants
    " note)"
    " VALUES (%(restaurant_id)s, %(service)s, %(zone_id)s, %(table_ids)s, %(first_day)s, %(last_day)s, %(starts)s,"
    " %(ends)s, %(note)s) RETURNING " + _CLOSURE_COLUMNS
)
_CHANGE_CLOSURE: LiteralString = (
    "UPDATE closures SET service = %(service)s, zone_id = %(zone_id)s, table_ids = %(table_ids)s,"  # noqa: S608 - made of constants
    " first_day = %(first_day)s, last_day = %(last_day)s, starts_at = %(starts)s, ends_at = %(ends)s, note = %(note)s"
    " WHERE restaurant_id = %(restaurant_id)s AND id = %(id)s RETURNING " + _CLOSURE_COLUMNS
)
_REMOVE_CLOSURE: LiteralString = """
DELETE FROM closures WHERE restaurant_id = %(restaurant_id)s AND id = %(id)s RETURNING id
"""

_LIMITS: LiteralString = """
SELECT id, service, slot_minutes, most_covers, most_parties FROM pacing_limits
 WHERE restaurant_id = %(restaurant_id)s ORDER BY service NULLS FIRST, slot_minutes NULLS LAST
"""
_ADD_LIMIT: LiteralString = """
INSERT INTO pacing_limits (restaurant_id, service, slot_minutes, most_covers, most_parties)
VALUES (%(restaurant_id)s, %(service)s, %(slot_minutes)s, %(most_covers)s, %(most_parties)s)
RETURNING id, service, slot_minutes, most_covers, most_parties
"""
_CHANGE_LIMIT: LiteralString = """
UPDATE pacing_limits SET service = %(service)s, slot_minutes = %(slot_minutes)s, most_covers = %(most_covers)s,
       most_parties = %(most_parties)s
 WHERE restaurant_id = %(restaurant_id)s AND id = %(id)s
RETURNING id, service, slot_minutes, most_covers, most_parties
"""
_REMOVE_LIMIT: LiteralString = """
DELETE FROM pacing_limits WHERE restaurant_id = %(restaurant_id)s AND id = %(id)s RETURNING id
"""


@dataclass(frozen=True, slots=True)
class KeptClosure:
    """A closure as it is stored; `note` is for the staff."""

    id: int
    closure: Closure
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PacingLimit:
    """The most covers and parties that may start in a slot of so many minutes, None: in a service day.

    `service` None: of the whole venue. One of the two numbers at least is given.
    """

    service: str | None
    slot_minutes: int | None
    most_covers: int | None
    most_parties: int | None


@dataclass(frozen=True, slots=True)
class KeptLimit:
    """A limit as it is stored."""

    id: int
    limit: PacingLimit


async def set_policy(
    db: Database,
    slug: str,
    expected: Collection[str] | None,
    *,
    outside: OutsideService | None = None,
    scoring: ScoringPolicy | None = None,
    demand: Sequence[Demand] | None = None,
    order: Sequence[str] | None = None,
) -> VenueNow:
    """Changes what is given and leaves the rest. `order` has the key of every service once. Raises InvalidInput."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        policy = change.before.venue.policy
        keys = [service.key for service in policy.services]
        demand = policy.demand if demand is None else tuple(demand)
        for place, each in enumerate(demand):
            if each.service not in keys and each not in policy.demand:
                raise InvalidInput("policy", f"demand[{place}].service", f"no service {each.service!r}")
        for rule in () if scoring is None else scoring.keep_large:
            if rule.service not in (None, *keys) and rule not in policy.scoring.keep_large:
                raise InvalidInput("policy", "scoring.keep_large.service", f"no service {rule.service!r}")
        params = {
            "outside": (outside or policy.outside).value,
            "scoring": Jsonb(scoring_to_json(scoring or policy.scoring)),
            "demand": Jsonb(demand_to_json(demand)),
        }
        await change.send(Statement(_SET_POLICY, params))
        if order is not None:
            if sorted(order) != sorted(keys):
                raise InvalidInput("policy", "service_order", "must name every service exactly once")
            await change.send(Statement(_MOVE_ASIDE, {}), Statement(_SET_ORDER, {"keys": list(order)}))
    return change.after


async def add_service(db: Database, slug: str, service: Service, expected: Collection[str] | None) -> VenueNow:
    """Adds a service behind the others. Raises AlreadyExists."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        services = change.before.venue.policy.services
        if any(known.key == service.key for known in services):
            raise AlreadyExists("service", service.key)
        if len(services) >= MOST_SERVICES:
            raise InvalidInput("service", "key", f"a venue has at most {MOST_SERVICES} services")
        await change.send(Statement(_ADD_SERVICE, _service(service)), Statement(_ADD_BANDS, _bands(service)))
    return change.after


async def set_service(db: Database, slug: str, service: Service, expected: Collection[str] | None) -> VenueNow:
    """Puts the service in the place of the one with its key. Raises NotFound."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        _must_have_service(change.before.venue.policy, service.key)
        await change.send(
            Statement(_CHANGE_SERVICE, _service(service)),
            Statement(_CLEAR_BANDS, {"key": service.key}),
            Statement(_ADD_BANDS, _bands(service)),
        )
    return change.after


async def remove_service(db: Database, slug: str, key: str, expected: Collection[str] | None) -> VenueNow:
    """Deletes a service with its closures and limits. Raises NotFound, and InvalidInput for the only one."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        policy = change.before.venue.policy
        _must_have_service(policy, key)
        if len(policy.services) == 1:
            raise InvalidInput("service", "key", "a venue keeps at least one service")
        await change.send(Statement(_REMOVE_SERVICE, {"key": key}))
    return change.after


async def list_closures(db: Database, restaurant_id: UUID) -> list[KeptClosure]:
    """All closures of the venue, the earliest first."""
    rows = await db.fetch(_CLOSURES, {"restaurant_id": restaurant_id, "id": None, "most": MOST_CLOSURES})
    return [_kept_closure(row) for row in rows]


async def get_closure(db: Database, restaurant_id: UUID, closure_id: int) -> KeptClosure:
    """Raises NotFound."""
    rows = await db.fetch(_CLOSURES, {"restaurant_id": restaurant_id, "id": closure_id, "most": 1})
    if not rows:
        raise NotFound("closure", str(closure_id))
    return _kept_closure(rows[0])


async def add_closure(
    db: Database, slug: str, closure: Closure, note: str | None, expected: Collection[str] | None
) -> tuple[KeptClosure, VenueNow]:
    """Closes. Bookings that are there already stay as they are. Raises InvalidInput for what the venue hasn't got."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        if len(change.before.venue.policy.closures) >= MOST_CLOSURES:
            raise InvalidInput("closure", "first_day", f"a venue has at most {MOST_CLOSURES} closures: delete old ones")
        _must_be_of(change, closure)
        rows = await change.send(Statement(_ADD_CLOSURE, _closure_columns(closure, note)))
    return _kept_closure(rows[0][0]), change.after


async def set_closure(
    db: Database, slug: str, closure_id: int, closure: Closure, note: str | None, expected: Collection[str] | None
) -> tuple[KeptClosure, VenueNow]:
    """Puts a closure in the place of one that there is. Raises NotFound, InvalidInput."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        _must_be_of(change, closure)
        rows = await change.send(Statement(_CHANGE_CLOSURE, _closure_columns(closure, note) | {"id": closure_id}))
        if not rows[0]:
            raise NotFound("closure", str(closure_id))
    return _kept_closure(rows[0][0]), change.after


async def remove_closure(db: Database, slug: str, closure_id: int, expected: Collection[str] | None) -> VenueNow:
    """Opens again. Raises NotFound."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        rows = await change.send(Statement(_REMOVE_CLOSURE, {"id": closure_id}))
        if not rows[0]:
            raise NotFound("closure", str(closure_id))
    return change.after


async def list_limits(db: Database, restaurant_id: UUID) -> list[KeptLimit]:
    """All pacing limits of the venue."""
    return [_kept_limit(row) for row in await db.fetch(_LIMITS, {"restaurant_id": restaurant_id})]


async def add_limit(
    db: Database, slug: str, limit: PacingLimit, expected: Collection[str] | None
) -> tuple[KeptLimit, VenueNow]:
    """Limits what comes from now on; what is there stays. Raises AlreadyExists, InvalidInput."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        limits = await _must_be_new(change, limit, but=None)
        if len(limits) >= MOST_LIMITS:
            raise InvalidInput("pacing", "service", f"a venue has at most {MOST_LIMITS} limits")
        rows = await change.send(Statement(_ADD_LIMIT, _limit_columns(limit)))
    return _kept_limit(rows[0][0]), change.after


async def set_limit(
    db: Database, slug: str, limit_id: int, limit: PacingLimit, expected: Collection[str] | None
) -> tuple[KeptLimit, VenueNow]:
    """Puts a limit in the place of one that there is. Raises NotFound, AlreadyExists, InvalidInput."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        await _must_be_new(change, limit, but=limit_id)
        rows = await change.send(Statement(_CHANGE_LIMIT, _limit_columns(limit) | {"id": limit_id}))
        if not rows[0]:
            raise NotFound("pacing limit", str(limit_id))
    return _kept_limit(rows[0][0]), change.after


async def remove_limit(db: Database, slug: str, limit_id: int, expected: Collection[str] | None) -> VenueNow:
    """Raises NotFound."""
    async with changing(db, slug, Part.POLICY, expected) as change:
        rows = await change.send(Statement(_REMOVE_LIMIT, {"id": limit_id}))
        if not rows[0]:
            raise NotFound("pacing limit", str(limit_id))
    return change.after


def _must_have_service(policy: VenuePolicy, key: str) -> None:
    if all(service.key != key for service in policy.services):
        raise NotFound("service", key)


def _must_be_of(change: Change, closure: Closure) -> None:
    venue = change.before.venue
    _known_service(venue.policy, closure.service, "closure")
    floor: Floor = venue.floor
    if closure.zone_id is not None and closure.zone_id not in floor.zones:
        raise InvalidInput("closure", "zone_id", f"no zone {closure.zone_id}")
    unknown = closure.table_ids - {table.id for table in floor.tables}
    if unknown:
        raise InvalidInput("closure", "table_ids", f"no table {min(unknown)}")


async def _must_be_new(change: Change, limit: PacingLimit, but: int | None) -> list[KeptLimit]:
    _known_service(change.before.venue.policy, limit.service, "pacing")
    rows = await change.send(Statement(_LIMITS, {}))
    limits = [_kept_limit(row) for row in rows[0]]
    what = (limit.service, limit.slot_minutes)
    if any((kept.limit.service, kept.limit.slot_minutes) == what and kept.id != but for kept in limits):
        per = "day" if limit.slot_minutes is None else f"{limit.slot_minutes} minutes"
        raise AlreadyExists("pacing limit", f"of {limit.service or 'the venue'} per {per}")
    return limits


def _known_service(policy: VenuePolicy, key: str | None, item: str) -> None:
    if key is not None and all(service.key != key for service in policy.services):
        raise InvalidInput(item, "service", f"no service {key!r}")


def _service(service: Service) -> dict[str, Any]:
    return {
        "key": service.key,
        "starts": service.starts,
        "ends": service.ends,
        "before": service.buffer_before_min,
        "after": service.buffer_after_min,
        "overrun": service.allow_overrun,
    }


def _bands(service: Service) -> dict[str, Any]:
    return {
        "key": service.key,
        "up_to": [band.up_to_party for band in service.turn_bands],
        "minutes": [band.minutes for band in service.turn_bands],
    }


def _closure_columns(closure: Closure, note: str | None) -> dict[str, Any]:
    days = closure.when if isinstance(closure.when, Days) else None
    period = closure.when if isinstance(closure.when, Period) else None
    return {
        "service": closure.service,
        "zone_id": closure.zone_id,
        "table_ids": sorted(closure.table_ids),
        "first_day": None if days is None else days.first,
        "last_day": None if days is None else days.last,
        "starts": None if period is None else period.start,
        "ends": None if period is None else period.end,
        "note": note,
    }


def _kept_closure(row: Row) -> KeptClosure:
    if row["starts"] is None:
        when: Days | Period = Days(row["first_day"], row["last_day"])
    else:
        when = Period(from_micros(row["starts"]), from_micros(row["ends"]))
    closure = Closure(when, row["service"], row["zone_id"], frozenset(row["table_ids"]))
    return KeptClosure(row["id"], closure, row["note"], row["created_at"])


def _limit_columns(limit: PacingLimit) -> dict[str, Any]:
    return {
        "service": limit.service,
        "slot_minutes": limit.slot_minutes,
        "most_covers": limit.most_covers,
        "most_parties": limit.most_parties,
    }


def _kept_limit(row: Row) -> KeptLimit:
    return KeptLimit(
        row["id"], PacingLimit(row["service"], row["slot_minutes"], row["most_covers"], row["most_parties"])
    )
