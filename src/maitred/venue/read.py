"""A venue as the database has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, LiteralString
from uuid import UUID

from maitred.errors import InvalidInput, NotFound
from maitred.model.closure import Closure, Days
from maitred.model.floor import Floor, Mobility, SeatingType, Table, TableCategory, TableFeature, TableStatus
from maitred.model.joined import JoinedSet
from maitred.model.period import Period, from_micros
from maitred.model.policy import OutsideService, Service, TurnBand, VenuePolicy
from maitred.storage.database import Database, Row
from maitred.venue.scoring import demand_from_json, scoring_from_json

# One statement, so one snapshot: versions and what they are versions of can't come from two different moments.
SELECT_VENUE: LiteralString = """
SELECT r.id, r.slug, r.name, r.timezone, r.outside_service, r.scoring, r.demand, r.policy_version, r.floor_version,
       (SELECT coalesce(json_agg(json_build_array(z.id, z.name) ORDER BY z.id), '[]')
          FROM zones z WHERE z.restaurant_id = r.id) AS zones,
       (SELECT coalesce(json_agg(json_build_array(t.id, t.number, t.zone_id, t.capacity, t.min_party_size,
                                                  t.max_party_size, t.category, t.seating_type, t.mobility,
                                                  t.status, t.active, t.features, t.section, t.priority)), '[]')
          FROM tables t WHERE t.restaurant_id = r.id) AS tables,
       (SELECT coalesce(json_agg(json_build_array(a.table_a, a.table_b, a.lost_seats)), '[]')
          FROM table_adjacency a WHERE a.restaurant_id = r.id) AS adjacency,
       (SELECT coalesce(json_agg(json_build_array(c.capacity, c.category, c.seating_type, c.scarcity)), '[]')
          FROM table_scarcity c WHERE c.restaurant_id = r.id) AS scarcity,
       (SELECT coalesce(json_agg(json_build_array(s.key, s.starts, s.ends, s.buffer_before_min, s.buffer_after_min,
                                                  s.allow_overrun,
                                                  (SELECT coalesce(json_agg(json_build_array(b.up_to_party, b.minutes)
                                                                            ORDER BY b.up_to_party), '[]')
                                                     FROM turn_bands b WHERE b.service_id = s.id))
                                 ORDER BY s.position), '[]')
          FROM services s WHERE s.restaurant_id = r.id) AS services,
       (SELECT coalesce(json_agg(json_build_array(c.service, c.zone_id, c.table_ids, c.first_day, c.last_day,
                                                  (extract(epoch FROM c.starts_at) * 1000000)::bigint,
                                                  (extract(epoch FROM c.ends_at) * 1000000)::bigint)
                                 ORDER BY c.id), '[]')
          FROM closures c WHERE c.restaurant_id = r.id) AS closures,
       (SELECT coalesce(json_agg(json_build_array(j.table_ids, j.capacity, j.min_party_size, j.max_party_size, j.rank,
                                                  j.forbidden) ORDER BY j.id), '[]')
          FROM joined_sets j WHERE j.restaurant_id = r.id) AS joined_sets
  FROM restaurants r
"""
_BY_ID: LiteralString = SELECT_VENUE + " WHERE r.id = %(restaurant_id)s"


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue in one version of its policy and one of its floor. `floor.version` is `floor_version`."""

    restaurant_id: UUID
    slug: str
    name: str
    policy: VenuePolicy
    floor: Floor
    policy_version: int
    floor_version: int


async def load_venue(db: Database, restaurant_id: UUID) -> Venue:
    """The venue as it is now, in one round trip and one snapshot.

    Raises NotFound, and InvalidInput when what somebody wrote into its rows breaks a rule of the model.
    """
    rows = await db.fetch(_BY_ID, {"restaurant_id": restaurant_id})
    if not rows:
        raise NotFound("restaurant", str(restaurant_id))
    return venue_of(rows[0])


def venue_of(row: Row) -> Venue:
    """The venue in a row of SELECT_VENUE. Raises InvalidInput like `load_venue`."""
    slug: str = row["slug"]
    return Venue(
        restaurant_id=row["id"],
        slug=slug,
        name=row["name"],
        policy=VenuePolicy(
            timezone=row["timezone"],
            services=tuple(
                Service(
                    key=key,
                    starts=_local_time(starts),
                    ends=_local_time(ends),
                    turn_bands=tuple(TurnBand(up_to_party, minutes) for up_to_party, minutes in bands),
                    buffer_before_min=before,
                    buffer_after_min=after,
                    allow_overrun=overrun,
                )
                for key, starts, ends, before, after, overrun, bands in row["services"]
            ),
            outside=OutsideService(row["outside_service"]),
            scoring=scoring_from_json(slug, row["scoring"]),
            demand=demand_from_json(slug, row["demand"]),
            # versions kept before there were closures have none
            closures=tuple(_closure(*each) for each in row.get("closures", ())),
        ),
        floor=Floor(
            version=row["floor_version"],
            tables=tuple(
                Table(
                    id=table_id,
                    number=number,
                    zone_id=zone_id,
                    capacity=capacity,
                    min_party_size=least,
                    max_party_size=most,
                    category=TableCategory(category),
                    seating_type=SeatingType(seating_type),
                    mobility=Mobility(mobility),
                    status=TableStatus(status),
                    active=active,
                    **_said_of_table(*said),
                )
                for (
                    table_id,
                    number,
                    zone_id,
                    capacity,
                    least,
                    most,
                    category,
                    seating_type,
                    mobility,
                    status,
                    active,
                    *said,
                ) in row["tables"]
            ),
            adjacency=frozenset((a, b) for a, b, *_ in row["adjacency"]),
            zones=dict(row["zones"]),
            scarcity={
                (capacity, TableCategory(category), SeatingType(seating_type)): scarcity
                for capacity, category, seating_type, scarcity in row["scarcity"]
            },
            lost_seats={(a, b): lost[0] for a, b, *lost in row["adjacency"] if lost and lost[0]},
            joined=tuple(JoinedSet(tuple(table_ids), *said) for table_ids, *said in row.get("joined_sets", ())),
        ),
        policy_version=row["policy_version"],
        floor_version=row["floor_version"],
    )


def _said_of_table(
    features: Sequence[str] = (), section: str | None = None, priority: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Versions kept before tables had these have none of them."""
    return {
        "features": frozenset(TableFeature(each) for each in features),
        "section": section,
        "priority": tuple(sorted((priority or {}).items())),
    }


def _closure(
    service: str | None,
    zone_id: int | None,
    table_ids: list[int],
    first_day: str | None,
    last_day: str | None,
    starts: int | None,
    ends: int | None,
) -> Closure:
    if first_day is not None and last_day is not None:
        when: Days | Period = Days(date.fromisoformat(first_day), date.fromisoformat(last_day))
    elif starts is not None and ends is not None:
        when = Period(from_micros(starts), from_micros(ends))
    else:
        raise InvalidInput("closure", "first_day", "has neither days nor instants")
    return Closure(when, service, zone_id, frozenset(table_ids))


def _local_time(text: str) -> time:
    # PostgreSQL knows 24:00 as a time, Python as the next day's 00:00: a service's end means the same by either
    return time() if text.startswith("24:") else time.fromisoformat(text)
