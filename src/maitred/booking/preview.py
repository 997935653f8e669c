"""Looking at what a quote would answer, and why, without holding anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from maitred.booking.desk import Desk
from maitred.booking.moves import Way, look_for_way, read_standing
from maitred.booking.nearest import Nearest, nearest_times
from maitred.booking.question import Question, Strategy, question_at_any_time, question_for
from maitred.booking.snapshot import snapshot_of, snapshot_statement
from maitred.errors import AmbiguousReference, InvalidInput, NotFound
from maitred.model.booking import BookingStatus
from maitred.model.floor import Floor
from maitred.model.policy import Window, zone_of
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.planner.answer import Ranked, Refused
from maitred.planner.explain import TableObstacle, explain_tables
from maitred.planner.remedies import Admission, admissions
from maitred.replay.record import Decision, FlightRecord

_FIND: LiteralString = """
SELECT b.id, r.slug FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
 WHERE b.reference = %(reference)s AND (%(slug)s::text IS NULL OR r.slug = %(slug)s)
 ORDER BY r.slug LIMIT 20
"""

_IN_THE_WAY: LiteralString = """
SELECT a.table_id, b.reference, lower(a.period) AS starts, upper(a.period) AS ends, h.id IS NOT NULL AS held
  FROM allocations a
  JOIN bookings b ON b.id = a.booking_id
  LEFT JOIN holds h ON h.id = a.hold_id
 WHERE a.restaurant_id = %(restaurant_id)s
   AND a.booking_id <> %(booking_id)s
   AND lower(a.period) >= %(start)s - interval '24 hours'
   AND a.period && tstzrange(%(start)s, %(end)s)
   AND (h.id IS NULL OR h.expires_at > clock_timestamp())
 ORDER BY a.table_id, lower(a.period)
"""

# Staff won't rearrange half of the room on a suggestion.
_MOST_SUGGESTED = 2


@dataclass(frozen=True, slots=True)
class Preview:
    """What the planner says of a booking.

    `answer` is None when the policy refuses the start outright; `reason` says why nothing fits. `would_refuse` is what
    a real quote would say now of the booking itself (not pending, start passed), whatever the planner finds.
    `obstacles` tell for each table of the floor what stands in the way, or that it is part of a feasible plan.
    `nearest` are other times at which there would be tables. For a party that was refused, `admissions` are the rules
    that would have to give way, cheapest first, and `way` the fewest bookings that would have to move, at most two,
    whether the venue's policy moves any or not. A party that was declined has tables: nothing need give way.
    """

    booking_id: UUID
    restaurant_id: UUID
    restaurant_slug: str
    reference: str
    party: int
    starts_at: datetime
    timezone: str
    status: BookingStatus
    window: Window | None
    answer: Ranked | Refused | None
    reason: ReasonCode | None
    would_refuse: ReasonCode | None
    obstacles: tuple[TableObstacle, ...]
    zones: Mapping[int, str]
    record: FlightRecord
    nearest: Nearest = field(default_factory=Nearest)
    admissions: tuple[Admission, ...] = ()
    way: Way | None = None

    @property
    def price(self) -> float | None:
        """For a party that was declined, what its tables would otherwise earn, in covers."""
        return self.answer.price if isinstance(self.answer, Refused) else None


async def preview_quote(
    desk: Desk,
    reference: str,
    *,
    restaurant_slug: str | None = None,
    now: datetime,
    require_adjacency: bool | None = None,
    max_tables: int | None = None,
    zone: str | None = None,
    avoid: Sequence[str] = (),
) -> Preview:
    """Plans for the booking with this reference as of `now`, the business's clock, and holds nothing.

    `zone` is a zone's name and `avoid` are table numbers. A look is a planner call too: it leaves an
    `auto_assign.quote` event. Raises NotFound, AmbiguousReference, and InvalidInput for a name that the floor
    doesn't know.
    """
    wishes = _Wishes(require_adjacency, max_tables, zone, tuple(avoid))

    async def named() -> UUID:
        return await _find(desk, reference, restaurant_slug)

    return await _told(desk, named, now, wishes)


async def preview_booking(
    desk: Desk,
    booking_id: UUID,
    *,
    now: datetime,
    require_adjacency: bool | None = None,
    max_tables: int | None = None,
    zone: str | None = None,
    avoid: Sequence[str] = (),
) -> Preview:
    """The same for a booking by its id, which saves looking for it. Raises NotFound and InvalidInput."""
    wishes = _Wishes(require_adjacency, max_tables, zone, tuple(avoid))

    async def named() -> UUID:
        return booking_id

    return await _told(desk, named, now, wishes)


async def _told(desk: Desk, named: Callable[[], Awaitable[UUID]], now: datetime, wishes: _Wishes) -> Preview:
    began = time.perf_counter()
    preview: Preview | None = None
    failure: BaseException | None = None
    try:
        preview = await _preview(desk, await named(), now, wishes)
    except BaseException as error:
        failure = error
        raise
    finally:
        desk.events.record_observability_event(
            events.quote(
                restaurant_id=None if preview is None else preview.restaurant_id,
                booking_id=None if preview is None else preview.booking_id,
                trigger="manual",
                attempt_index=0,
                duration_ms=(time.perf_counter() - began) * 1000,
                success=preview is not None and isinstance(preview.answer, Ranked),
                reason=None if preview is None else preview.reason,
                require_adjacency=wishes.require_adjacency,
                max_tables=wishes.max_tables,
                error=failure,
                record=None if preview is None else preview.record,
            )
        )
    return preview


@dataclass(frozen=True, slots=True)
class _Wishes:
    """The caller's knobs, in the caller's words."""

    require_adjacency: bool | None
    max_tables: int | None
    zone: str | None
    avoid: tuple[str, ...]


async def _preview(desk: Desk, booking_id: UUID, now: datetime, wishes: _Wishes) -> Preview:
    snapshot = snapshot_of(booking_id, await desk.database.fetch(*snapshot_statement(booking_id)))
    planned = await desk.venues.get(snapshot)
    venue = planned.venue
    strategy = Strategy(
        wishes.require_adjacency,
        wishes.max_tables,
        _zone_id(venue.floor, wishes.zone),
        _table_ids(venue.floor, wishes.avoid),
    )
    asked = question_at_any_time(snapshot, venue.policy, venue.floor, strategy, now, desk.prices)
    real = question_for(snapshot, venue.policy, venue.floor, strategy, now)
    answer: Ranked | Refused | None = None
    obstacles: tuple[TableObstacle, ...] = ()
    remedies: tuple[Admission, ...] = ()
    way: Way | None = None
    if isinstance(asked, ReasonCode):
        decision = Decision(venue, snapshot.party, snapshot.starts_at, None, None, asked)
    else:
        answer = await planned.answer(asked.request)
        decision = Decision(venue, snapshot.party, snapshot.starts_at, asked.window, asked.request, answer)
        blockers = await _in_the_way(desk, snapshot.restaurant_id, booking_id, asked.window, venue.policy.timezone)
        closed = venue.policy.closed_tables(venue.floor, asked.window)
        for table in venue.floor.tables:
            if closed & venue.floor.bit_of[table.id]:
                blockers[table.id] = f"{blockers[table.id]}, closed" if table.id in blockers else "closed"
        obstacles = await asyncio.to_thread(explain_tables, planned.planner, asked.request, blockers)
        if isinstance(answer, Refused) and answer.reason is not ReasonCode.DECLINED:
            remedies = await asyncio.to_thread(admissions, planned.planner, asked.request)
            standing = await read_standing(desk.database, snapshot)
            way = await look_for_way(standing, snapshot, asked, planned, now, most=_MOST_SUGGESTED)
    return Preview(
        booking_id=booking_id,
        restaurant_id=snapshot.restaurant_id,
        restaurant_slug=venue.slug,
        reference=snapshot.reference,
        party=snapshot.party,
        starts_at=snapshot.starts_at,
        timezone=venue.policy.timezone,
        status=snapshot.status,
        window=decision.window,
        answer=answer,
        reason=asked if isinstance(asked, ReasonCode) else (answer.reason if isinstance(answer, Refused) else None),
        would_refuse=real if isinstance(real, ReasonCode) and isinstance(asked, Question) else None,
        obstacles=obstacles,
        zones=venue.floor.zones,
        record=FlightRecord([decision]),
        nearest=await asyncio.to_thread(nearest_times, snapshot, planned, strategy, now, desk.prices),
        admissions=remedies,
        way=way,
    )


async def _find(desk: Desk, reference: str, slug: str | None) -> UUID:
    rows = await desk.database.fetch(_FIND, {"reference": reference, "slug": slug})
    if not rows:
        raise NotFound("booking", reference)
    if len(rows) > 1:
        raise AmbiguousReference(reference, tuple(row["slug"] for row in rows))
    found: UUID = rows[0]["id"]
    return found


async def _in_the_way(
    desk: Desk, restaurant_id: UUID, booking_id: UUID, window: Window, timezone: str
) -> dict[int, str]:
    local = zone_of(timezone)
    rows = await desk.database.fetch(
        _IN_THE_WAY,
        {
            "restaurant_id": restaurant_id,
            "booking_id": booking_id,
            "start": window.blocked.start,
            "end": window.blocked.end,
        },
    )
    texts: dict[int, list[str]] = {}
    for row in rows:
        span = f"{row['starts'].astimezone(local):%H:%M}-{row['ends'].astimezone(local):%H:%M}"
        held = " (held)" if row["held"] else ""
        texts.setdefault(row["table_id"], []).append(f"{row['reference']} {span}{held}")
    return {table_id: ", ".join(parts) for table_id, parts in texts.items()}


def _zone_id(floor: Floor, name: str | None) -> int | None:
    if name is None:
        return None
    for zone_id, known in floor.zones.items():
        if known.casefold() == name.casefold():
            return zone_id
    raise InvalidInput("quote", "zone", f"no zone {name!r}")


def _table_ids(floor: Floor, numbers: Sequence[str]) -> frozenset[int]:
    by_number = {table.number.casefold(): table.id for table in floor.tables}
    for number in numbers:
        if number.casefold() not in by_number:
            raise InvalidInput("quote", "avoid", f"no table {number!r}")
    return frozenset(by_number[number.casefold()] for number in numbers)
