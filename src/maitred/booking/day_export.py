"""A venue's day taken out: as CSV for people and spreadsheets, as JSON to be imported again, as a calendar.

A day is a service day: what starts after midnight belongs to the day its service began on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from icalendar import Calendar, Event

from maitred.errors import NotFound
from maitred.messages.plain_text import line
from maitred.model.floor import ANY_SERVICE, Floor, number_order
from maitred.model.policy import DEFAULT_DEMAND, VenuePolicy, local_instants
from maitred.model.preferences import Preferences
from maitred.model.scoring import ScoringPolicy
from maitred.storage.database import Database, Statement
from maitred.venue.csv_text import write_csv
from maitred.venue.document import folded, offset_of
from maitred.venue.read import SELECT_VENUE, Venue, venue_of
from maitred.venue.scoring import demand_to_json, preferences_from_json, preferences_to_json, scoring_to_json
from maitred.venue.shape import FORMAT

CSV_COLUMNS = (
    "reference",
    "date",
    "time",
    "party_size",
    "status",
    "tables",
    "guest_name",
    "guest_email",
    "guest_phone",
    "notes",
    "preferred_zone",
    "preferred_seating_type",
    "high_chair",
    "step_free",
    "must",
    "vip",
)
_OVER = frozenset({"cancelled", "no_show"})
_LONGEST_LINE = 200
_LENGTH_UNKNOWN = timedelta(hours=2)

_VENUE: LiteralString = SELECT_VENUE + " WHERE r.slug = %(slug)s"
_BOOKINGS: LiteralString = """
SELECT b.id, b.reference, b.party_size, b.starts_at, b.status, b.revision, b.guest_name, b.guest_email, b.guest_phone,
       b.notes, b.created_at, b.preferences, b.vip,
       ARRAY(SELECT t.number FROM allocations a JOIN tables t ON t.id = a.table_id
              WHERE a.booking_id = b.id AND a.hold_id IS NULL) AS tables,
       (SELECT max(upper(a.period)) FROM allocations a WHERE a.booking_id = b.id AND a.hold_id IS NULL) AS kept_until
  FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE r.slug = %(slug)s
   AND b.starts_at >= (%(day)s::date - 1)::timestamp AT TIME ZONE r.timezone
   AND b.starts_at < (%(day)s::date + 3)::timestamp AT TIME ZONE r.timezone
 ORDER BY b.starts_at, b.reference
"""


@dataclass(frozen=True, slots=True)
class ExportedBooking:
    """One booking of the day. `tables` are the numbers of its seats; instants are UTC."""

    id: UUID
    reference: str
    party_size: int
    starts_at: datetime
    status: str
    revision: int
    guest_name: str | None
    guest_email: str | None
    guest_phone: str | None
    notes: str | None
    created_at: datetime
    tables: tuple[str, ...]
    kept_until: datetime | None
    preferences: Preferences
    vip: bool


@dataclass(frozen=True, slots=True)
class ExportedDay:
    """A venue and all bookings of one service day, in the order of their starts."""

    venue: Venue
    day: date
    bookings: tuple[ExportedBooking, ...]


async def read_exported_day(db: Database, slug: str, day: date) -> ExportedDay:
    """The day, in one round trip. Raises NotFound."""
    which = {"slug": slug, "day": day}
    venues, rows = await db.transact([Statement(_VENUE, which), Statement(_BOOKINGS, which)])
    if not venues:
        raise NotFound("restaurant", slug)
    venue = venue_of(venues[0])
    found = []
    for row in rows:
        if venue.policy.service_day(row["starts_at"]) != day:
            continue
        fields = {
            **row,
            "tables": tuple(sorted(row["tables"], key=number_order)),
            "preferences": preferences_from_json(f"booking {row['reference']}", row["preferences"]),
        }
        found.append(ExportedBooking(**{**fields, "starts_at": row["starts_at"].astimezone(UTC)}))
    return ExportedDay(venue, day, tuple(found))


def day_csv(exported: ExportedDay) -> str:
    """All bookings of the day with their guests. Read again by an import, it gives the same bookings.

    A cell that a spreadsheet would take for a formula has an apostrophe in front.
    """
    zone = exported.venue.policy.zone

    def cells(booking: ExportedBooking) -> Iterable[str]:
        local = booking.starts_at.astimezone(zone)
        yield booking.reference
        yield f"{local:%Y-%m-%d}"
        yield _clock(booking.starts_at, exported.venue.policy)
        yield str(booking.party_size)
        yield booking.status
        yield " ".join(booking.tables)
        yield booking.guest_name or ""
        yield booking.guest_email or ""
        yield booking.guest_phone or ""
        yield booking.notes or ""
        wishes = booking.preferences
        yield wishes.zone or ""
        yield wishes.seating_type or ""
        yield _yes(wishes.high_chair)
        yield _yes(wishes.step_free)
        yield " ".join(sorted(wishes.must))
        yield _yes(booking.vip)

    return write_csv(CSV_COLUMNS, ([*cells(booking)] for booking in exported.bookings))


def day_json(exported: ExportedDay) -> dict[str, Any]:
    """The day as an import takes it (docs/import-format.md): no guests, no closures, and not what was cancelled."""
    venue, floor, policy = exported.venue, exported.venue.floor, exported.venue.policy
    numbers = {table.id: table.number for table in floor.tables}
    services = {ANY_SERVICE, *(service.key for service in policy.services)}
    return {
        "format": FORMAT,
        "restaurant": {"name": venue.name, "slug": venue.slug, "timezone": policy.timezone},
        "date": exported.day.isoformat(),
        "policy": _policy(policy),
        "zones": list(floor.zones.values()),
        "tables": [
            {
                "number": table.number,
                "zone": floor.zones[table.zone_id],
                "capacity": table.capacity,
                "min_party_size": table.min_party_size,
                "max_party_size": table.max_party_size,
                "category": table.category.value,
                "seating_type": table.seating_type.value,
                "mobility": table.mobility.value,
                "status": table.status.value,
                "active": table.active,
                "features": sorted(table.features),
                "section": table.section,
                "priority": {service: steps for service, steps in table.priority if service in services},
            }
            for table in floor.tables
        ],
        "adjacency": sorted([numbers[first], numbers[second]] for first, second in floor.adjacency),
        "scarcity": [
            {
                "capacity": capacity,
                "category": category.value,
                "seating_type": seating_type.value,
                "scarcity": scarcity,
            }
            for (capacity, category, seating_type), scarcity in floor.scarcity.items()
        ],
        "lost_seats": [
            {"tables": [numbers[first], numbers[second]], "seats": seats}
            for (first, second), seats in sorted(floor.lost_seats.items())
        ],
        "joined_sets": [
            {
                "tables": [numbers[table] for table in said.tables],
                "capacity": said.capacity,
                "min_party_size": said.min_party,
                "max_party_size": said.max_party,
                "rank": said.rank,
                "forbidden": said.forbidden,
            }
            for said in floor.joined
        ],
        "bookings": [
            {
                "ref": booking.reference,
                "date": f"{booking.starts_at.astimezone(policy.zone):%Y-%m-%d}",
                "time": _clock(booking.starts_at, policy),
                "party_size": booking.party_size,
                "preferences": preferences_to_json(_of_floor(booking.preferences, floor)),
                "vip": booking.vip,
            }
            for booking in exported.bookings
            if booking.status not in _OVER
        ],
    }


def day_json_text(exported: ExportedDay) -> str:
    """The same as text."""
    return json.dumps(day_json(exported), ensure_ascii=False, indent=1) + "\n"


def day_calendar(exported: ExportedDay) -> bytes:
    """An entry for each booking that is not off: reference, party and tables; nothing of the guest's. Times are UTC."""
    calendar = Calendar()
    calendar.add("prodid", "-//maitred//maitred//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    for booking in exported.bookings:
        if booking.status in _OVER:
            continue
        event = Event()
        event.add("uid", f"{booking.id}@day")
        event.add("dtstamp", booking.created_at.astimezone(UTC))
        event.add("dtstart", booking.starts_at)
        event.add("dtend", (booking.kept_until or booking.starts_at + _LENGTH_UNKNOWN).astimezone(UTC))
        event.add("sequence", booking.revision)
        event.add("status", "TENTATIVE" if booking.status == "pending" else "CONFIRMED")
        where = f", table {' '.join(booking.tables)}" if booking.tables else ", no table yet"
        event.add("summary", f"{line(booking.reference, _LONGEST_LINE)}: {booking.party_size}{where}")
        event.add("location", line(exported.venue.name, _LONGEST_LINE))
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _policy(policy: VenuePolicy) -> dict[str, Any]:
    return {
        "service_order": [service.key for service in policy.services],
        "services": {
            service.key: {
                "start": f"{service.starts:%H:%M}",
                "end": f"{service.ends:%H:%M}",
                "turn_bands": [[band.up_to_party, band.minutes] for band in service.turn_bands],
                "buffer_before_min": service.buffer_before_min,
                "buffer_after_min": service.buffer_after_min,
                "allow_overrun": service.allow_overrun,
            }
            for service in policy.services
        },
        "outside_any_service": policy.outside.value,
        "scoring": scoring_to_json(_of_services(policy)),
        "demand": _demand(policy),
    }


def _of_services(policy: VenuePolicy) -> ScoringPolicy:
    """Without rules for services that are no longer there, which a file must not name."""
    keys = {None, *(service.key for service in policy.services)}
    rules = tuple(rule for rule in policy.scoring.keep_large if rule.service in keys)
    return replace(policy.scoring, keep_large=rules)


def _of_floor(wishes: Preferences, floor: Floor) -> Preferences:
    """Without a zone that isn't there, for the same reason."""
    zones = {folded(name) for name in floor.zones.values()}
    return wishes if wishes.zone is None or folded(wishes.zone) in zones else replace(wishes, zone=None)


def _yes(answer: bool) -> str:
    return "true" if answer else ""


def _demand(policy: VenuePolicy) -> list[dict[str, Any]] | None:
    if policy.demand == DEFAULT_DEMAND:
        return None  # it names services that the venue may not have, which a file must not
    keys = {service.key for service in policy.services}
    return demand_to_json(tuple(each for each in policy.demand if each.service in keys))


def _clock(instant: datetime, policy: VenuePolicy) -> str:
    """The local time as it is imported: with seconds where there are any, with its offset where it comes twice."""
    local = instant.astimezone(policy.zone)
    told = local.time().replace(fold=0)
    shown = told.isoformat("minutes" if not (told.second or told.microsecond) else "auto")
    twice = len(local_instants(local.date(), told, policy.zone)) > 1
    return shown + offset_of(local) if twice else shown
