"""One service day as a problem: parties, the sets of tables that each may have, and what is taken anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from maitred.errors import InvalidInput


class Mode(StrEnum):
    """What counts most: people or bookings."""

    COVERS = "covers"
    PARTIES = "parties"


@dataclass(frozen=True, slots=True)
class Option:
    """A set of tables (ids, ascending) that may have the party. `waste` is in seats left over; `relaxed`: a rule of the
    venue gave way for it, which counts before waste."""

    tables: tuple[int, ...]
    waste: int = 0
    relaxed: bool = False


@dataclass(frozen=True, slots=True)
class Party:
    """A booking. [start, end) is when its tables are taken, in microseconds since 1970.

    `seat` are the tables it has (ids, ascending); it keeps them or moves, but is not unseated. A locked one keeps them.
    One without a seat is waiting and may stay so. What it has is always an option, whatever the rules say today;
    `seat_waste` are the seats left over there, None: as many as its tables have, one by one, above the covers.
    """

    key: str
    covers: int
    start: int
    end: int
    options: tuple[Option, ...]
    seat: tuple[int, ...] | None = None
    locked: bool = False
    seat_waste: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A table taken for [start, end) by something that is no party of the problem: a hold, a booking of another day.

    `key` is what a conflict calls it.
    """

    table: int
    start: int
    end: int
    key: str = "taken"


@dataclass(frozen=True)
class Problem:
    """All parties of a day. `complete` is False when some set that the rules allow was not listed as an option: then no
    answer is called optimal. Raises InvalidInput for data that contradicts itself."""

    capacity: Mapping[int, int]
    parties: tuple[Party, ...]
    taken: tuple[Taken, ...] = ()
    mode: Mode = Mode.COVERS
    complete: bool = True

    def __post_init__(self) -> None:
        for table, seats in self.capacity.items():
            if seats < 1:
                raise InvalidInput(f"table {table}", "capacity", "must be 1 or more seats")
        for key, times in Counter(party.key for party in self.parties).items():
            if times > 1:
                raise InvalidInput("problem", "parties", f"{key} is named {times} times")
        for party in self.parties:
            _check_party(party, self.capacity)
        for taken in self.taken:
            if taken.start >= taken.end:
                raise InvalidInput("problem", "taken", "a span must end after its start")

    @cached_property
    def by_key(self) -> Mapping[str, Party]:
        """The parties by their key."""
        return {party.key: party for party in self.parties}

    def worth(self, party: Party) -> int:
        """What seating the party counts in this mode."""
        return party.covers if self.mode is Mode.COVERS else 1


def _check_party(party: Party, capacity: Mapping[int, int]) -> None:
    item = f"booking {party.key}"
    if party.covers < 1:
        raise InvalidInput(item, "covers", "must be 1 or more")
    if party.start >= party.end:
        raise InvalidInput(item, "window", "must end after its start")
    if party.locked and party.seat is None:
        raise InvalidInput(item, "locked", "has no tables to be locked to")
    for option in party.options:
        if option.waste < 0:
            raise InvalidInput(item, "options", "waste must be 0 or more seats")
        _check_set(item, option.tables, capacity)
    if party.seat_waste is not None and party.seat_waste < 0:
        raise InvalidInput(item, "seat_waste", "must be 0 or more seats")
    if party.seat is not None:
        _check_set(item, party.seat, capacity)


def _check_set(item: str, tables: tuple[int, ...], capacity: Mapping[int, int]) -> None:
    if not tables:
        raise InvalidInput(item, "options", "a set must name a table")
    if list(tables) != sorted(set(tables)):
        raise InvalidInput(item, "options", f"a set must name each table once, in ascending order: {tables}")
    for table in tables:
        if table not in capacity:
            raise InvalidInput(item, "options", f"there is no table {table}")
