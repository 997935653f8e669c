"""A venue's floor: tables, zones, and which tables stand next to each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from maitred.model.joined import JoinedSet, joined_loss


class TableStatus(StrEnum):
    """What staff say of a table right now. Only `out_of_service` keeps the planner away; the rest is by time."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    OCCUPIED = "occupied"
    OUT_OF_SERVICE = "out_of_service"


class TableCategory(StrEnum):
    BAR = "bar"
    DINING = "dining"
    LOUNGE = "lounge"
    PATIO = "patio"
    PRIVATE = "private"


class SeatingType(StrEnum):
    STANDARD = "standard"
    SOFA = "sofa"
    BOOTH = "booth"
    HIGH_TOP = "high_top"


class Mobility(StrEnum):
    """A fixed table is used alone; only movable ones join others."""

    MOVABLE = "movable"
    FIXED = "fixed"


class TableFeature(StrEnum):
    """What a table offers that a party may need. A set offers what all its tables do. `vip` is the venue's own mark."""

    HIGH_CHAIR = "high_chair"
    STEP_FREE = "step_free"
    VIP = "vip"


_DIGITS = re.compile(r"(\d+)")


def number_order(number: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key for table numbers as people read them: case-insensitive, and T2 comes before T10."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(number.casefold()) if part
    )


@dataclass(frozen=True, slots=True)
class Table:
    """One table. Capacity and party sizes are in seats; `max_party_size` None means the capacity decides.

    `section` is the server's. `priority` says by service how late a venue wants the table used, 0 first; the service
    `ANY_SERVICE` stands for all that are not named.
    """

    id: int
    number: str
    zone_id: int
    capacity: int
    min_party_size: int = 1
    max_party_size: int | None = None
    category: TableCategory = TableCategory.DINING
    seating_type: SeatingType = SeatingType.STANDARD
    mobility: Mobility = Mobility.MOVABLE
    status: TableStatus = TableStatus.AVAILABLE
    active: bool = True
    features: frozenset[TableFeature] = frozenset()
    section: str | None = None
    priority: tuple[tuple[str, int], ...] = ()

    def priority_at(self, service: str | None) -> int:
        """The table's place in the order of a service; 0 where nothing is said."""
        given = dict(self.priority)
        return given.get(service or ANY_SERVICE, given.get(ANY_SERVICE, 0))

    @property
    def usable(self) -> bool:
        """Whether the planner may consider it at all."""
        return self.active and self.status is not TableStatus.OUT_OF_SERVICE


ANY_SERVICE = "*"

TypeKey = tuple[int, TableCategory, SeatingType]


@dataclass(frozen=True)
class Floor:
    """All tables of one venue in one version of its plan.

    `tables` are kept in the order of their numbers, so that a table's index is its rank in every tie.
    `adjacency` holds undirected edges as pairs of table ids, smaller id first, no self-links.
    `scarcity` may give a measured scarcity per (capacity, category, seating type); where it is silent, a table's
    scarcity is 1 / (number of usable tables of its capacity). `lost_seats` are lost where two tables are joined, by
    edge of `adjacency`; 0 where it is silent. `joined` is what the venue says of single sets.
    """

    version: int
    tables: tuple[Table, ...]
    adjacency: frozenset[tuple[int, int]] = frozenset()
    zones: Mapping[int, str] = field(default_factory=dict)
    scarcity: Mapping[TypeKey, float] = field(default_factory=dict)
    lost_seats: Mapping[tuple[int, int], int] = field(default_factory=dict)
    joined: tuple[JoinedSet, ...] = ()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.tables, key=lambda table: (number_order(table.number), table.id)))
        object.__setattr__(self, "tables", ordered)

    def seats_of(self, table_ids: Iterable[int]) -> int:
        """What these tables hold used together: what the venue says of the set, else their seats less those lost."""
        ids = frozenset(table_ids)
        said = self._said.get(ids)
        if said is not None and said.capacity is not None:
            return said.capacity
        seats = sum(table.capacity for table in self.tables if table.id in ids)
        if not self.lost_seats or len(ids) < 2:
            return seats
        return seats - (joined_loss(ids, self._losses) or 0)

    @cached_property
    def sections(self) -> tuple[str, ...]:
        """The names of the sections, in order: loads of sections are given in this order."""
        return tuple(sorted({table.section for table in self.tables if table.section is not None}))

    @cached_property
    def _losses(self) -> Mapping[tuple[int, int], int]:
        edges = {(min(edge), max(edge)): 0 for edge in self.adjacency}
        return edges | dict(self.lost_seats)

    @cached_property
    def _said(self) -> Mapping[frozenset[int], JoinedSet]:
        return {frozenset(each.tables): each for each in self.joined}

    @cached_property
    def bit_of(self) -> Mapping[int, int]:
        """Each table's bit in a mask of tables, by table id: the bit's place is the table's rank in the floor."""
        return {table.id: 1 << rank for rank, table in enumerate(self.tables)}
