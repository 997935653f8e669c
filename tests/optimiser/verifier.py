"""Holds an answer of the optimiser against the floor and the rules, minute by minute, by its own reading of both.

Shares nothing with the optimiser or the planner: tables are looked at one by one, sets are walked by hand, and whether
a table is free is asked of every minute of the day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from maitred.model.floor import Floor, Table
from maitred.model.joined import JoinedSet
from maitred.model.scoring import ScoringPolicy

MINUTE = 60_000_000


@dataclass(frozen=True)
class Wanted:
    """A booking as the verifier sees it: whole minutes, [start, end)."""

    key: str
    covers: int
    start: int
    end: int
    seat: tuple[int, ...] | None = None
    locked: bool = False


def complaints(
    floor: Floor, policy: ScoringPolicy, bookings: Sequence[Wanted], seats: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """What is wrong with these seats; nothing when all is well. The policy must allow no relaxation."""
    known = {booking.key for booking in bookings}
    tables = {table.id: table for table in floor.tables}
    found = [f"{key} is no booking" for key in seats if key not in known]
    sitting: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for booking in bookings:
        given = seats.get(booking.key)
        if given is None:
            if booking.seat is not None:
                found.append(f"{booking.key} lost its tables")
            continue
        if booking.locked and set(given) != set(booking.seat or ()):
            found.append(f"{booking.key} is locked and was moved")
        if booking.seat is None or set(given) != set(booking.seat):
            problem = _breaks(floor, policy, booking.covers, [tables[table] for table in given])
            if problem:
                found.append(f"{booking.key} at {given}: {problem}")
        for table in given:
            for minute in range(booking.start, booking.end):
                sitting[table, minute].append(booking.key)
    for (table, minute), keys in sitting.items():
        if len(keys) > 1:
            found.append(f"table {table} at minute {minute}: {', '.join(keys)}")
    return found


def _breaks(floor: Floor, policy: ScoringPolicy, covers: int, given: list[Table]) -> str | None:
    if len({table.id for table in given}) != len(given):
        return "a table twice"
    if any(not table.active or table.status.value == "out_of_service" for table in given):
        return "a table that is not in use"
    if len(given) > policy.max_tables:
        return "too many tables"
    seats = seats_of(floor, given)
    said = _said(floor, given)
    if said is not None and said.forbidden:
        return "a forbidden set"
    if seats < covers:
        return "too few seats"
    if seats > covers + policy.max_overage:
        return "too many seats"
    least = max(table.min_party_size for table in given)
    if covers < (least if said is None or said.min_party is None else said.min_party):
        return "a party too small"
    if said is not None and said.max_party is not None and covers > said.max_party:
        return "a party too large for the set"
    if len(given) == 1:
        most = given[0].max_party_size
        return "a party too large" if most is not None and covers > most else None
    if len({table.zone_id for table in given}) > 1:
        return "two zones"
    if any(table.mobility.value == "fixed" for table in given):
        return "a fixed table joined"
    if policy.adjacency_from_party is None or covers < policy.adjacency_from_party:
        return None
    return None if _hang_together(floor, [table.id for table in given]) else "tables apart"


def seats_of(floor: Floor, given: Sequence[Table]) -> int:
    """What the tables hold used together: the fewest seats are lost of all ways to push them together."""
    said = _said(floor, given)
    if said is not None and said.capacity is not None:
        return said.capacity
    ids = [table.id for table in given]
    lost = {tuple(sorted(edge)): 0 for edge in floor.adjacency} | {
        tuple(sorted(edge)): seats for edge, seats in floor.lost_seats.items()
    }
    inside = [edge for edge in lost if set(edge) <= set(ids)]
    ways = [sum(lost[join] for join in joins) for joins in combinations(inside, len(ids) - 1) if _reach_all(ids, joins)]
    return sum(table.capacity for table in given) - min(ways, default=0)


def _said(floor: Floor, given: Sequence[Table]) -> JoinedSet | None:
    ids = {table.id for table in given}
    return next((each for each in floor.joined if set(each.tables) == ids), None)


def _reach_all(ids: Sequence[int], joins: Sequence[tuple[int, ...]]) -> bool:
    reached = {ids[0]}
    for _ in ids:
        reached |= {table for join in joins if reached & set(join) for table in join}
    return reached == set(ids)


def _hang_together(floor: Floor, ids: list[int]) -> bool:
    reached = {ids[0]}
    while True:
        more = {
            other
            for one in reached
            for other in ids
            if (one, other) in floor.adjacency or (other, one) in floor.adjacency
        } - reached
        if not more:
            return reached == set(ids)
        reached |= more
