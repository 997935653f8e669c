"""What a venue's own terms look at around a booking. Nothing is computed that the policy gives no weight. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from maitred.booking.snapshot import SeatedParty, Snapshot
from maitred.model.floor import Floor
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy, Window, service_period

_MINUTE = 60_000_000
# What ended longer before the start is not in a snapshot, so a hole is never said to be longer.
_IN_SIGHT_MIN = 180


def minutes_left(policy: VenuePolicy, starts_at: datetime, now: datetime | None) -> int | None:
    """Whole minutes to the start, for policies that keep large tables until some time before it."""
    if now is None or not policy.scoring.keep_large:
        return None
    return max(0, (starts_at - now) // timedelta(minutes=1))


def section_covers(snapshot: Snapshot, policy: VenuePolicy, floor: Floor, window: Window) -> tuple[int, ...]:
    """The covers of each section whose tables are taken at any moment of the window.

    A party at tables of two sections counts in both.
    """
    if not policy.scoring.weights.section or not floor.sections:
        return ()
    start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
    return _by_section(floor, [each for each in snapshot.seated if each.start < end and start < each.end])


def section_arrivals(snapshot: Snapshot, policy: VenuePolicy, floor: Floor) -> tuple[int, ...]:
    """The covers of each section that start less than `pacing_minutes` before or after the booking."""
    if not policy.scoring.weights.pacing or not floor.sections:
        return ()
    start, apart = as_micros(snapshot.starts_at), policy.scoring.pacing_minutes * _MINUTE
    return _by_section(floor, [each for each in snapshot.seated if abs(each.starts_at - start) < apart])


def lost_minutes(snapshot: Snapshot, policy: VenuePolicy, floor: Floor, window: Window) -> tuple[int, ...]:
    """For each table the minutes before and after the window that would be too few for the service's shortest turn.

    Free time begins at the service's opening or the end of who sits there before, and ends at the start of who comes
    next, or at the close of a service without overrun.
    """
    if not policy.scoring.weights.gap:
        return ()
    service = next(each for each in policy.services if each.key == window.service)
    opens, closes = map(as_micros, service_period(service, window.service_day, policy.zone))
    start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
    before = dict.fromkeys(floor.bit_of, opens)
    after: dict[int, int | None] = dict.fromkeys(floor.bit_of, None if service.allow_overrun else closes)
    for each in snapshot.taken:
        if each.table_id not in before:
            continue
        if each.end <= start:
            before[each.table_id] = max(before[each.table_id], each.end)
        elif each.start >= end:
            following = after[each.table_id]
            after[each.table_id] = each.start if following is None else min(following, each.start)
    turn = min(band.minutes for band in service.turn_bands) + service.buffer_before_min + service.buffer_after_min
    useless = min(turn, _IN_SIGHT_MIN - service.buffer_before_min)

    def lost(micros: int | None) -> int:
        minutes = 0 if micros is None else micros // _MINUTE
        return minutes if 0 < minutes < useless else 0

    found = []
    for table in floor.tables:
        following = after[table.id]
        found.append(lost(start - before[table.id]) + lost(None if following is None else following - end))
    return tuple(found)


def _by_section(floor: Floor, seated: list[SeatedParty]) -> tuple[int, ...]:
    section_of = {table.id: table.section for table in floor.tables}
    covers = dict.fromkeys(floor.sections, 0)
    for each in seated:
        for section in {section_of.get(table_id) for table_id in each.table_ids}:
            if section is not None:
                covers[section] += each.party
    return tuple(covers.values())
