"""What tables hold once they are pushed together: seats lost at the joins, and what a venue says of single sets.

ADR 15 is the definition. Tables lose seats only where they are joined, and a set of n tables is joined at n - 1 places:
of the edges between its tables those count that lose least while all hang together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from maitred.errors import InvalidInput

MOST_TABLES = 5

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True)
class JoinedSet:
    """What a venue says of exactly these tables (ids, in any order); what is None follows from the tables.

    `capacity` is in seats. `min_party` and `max_party` are parties in covers that the set takes. `rank` 1 is the join
    that the venue likes best; sets without one come after all that have one. A `forbidden` set is never given as it
    is; a larger one that includes it may be.
    """

    tables: tuple[int, ...]
    capacity: int | None = None
    min_party: int | None = None
    max_party: int | None = None
    rank: int | None = None
    forbidden: bool = False


def joined_loss(tables: Iterable[int], lost: Mapping[Edge, int]) -> int | None:
    """The seats that these tables lose when joined: the least over all ways to join them; None when they can't be.

    `lost` has every edge of the floor between them, as ids or as indices, the smaller first.
    """
    part = {table: table for table in tables}
    edges = sorted((seats, edge) for edge, seats in lost.items() if edge[0] in part and edge[1] in part)
    missing, loss = len(part) - 1, 0
    for seats, (first, second) in edges:
        one, other = part[first], part[second]
        if one != other:
            part = {table: one if of == other else of for table, of in part.items()}
            missing, loss = missing - 1, loss + seats
    return None if missing else loss


def check_joined_sets(joined: Iterable[JoinedSet], numbers: Mapping[int, str], zones: Mapping[int, int]) -> None:
    """Raises InvalidInput for a set that contradicts itself or the floor. `numbers` and `zones` are by table id."""
    seen: set[frozenset[int]] = set()
    for each in joined:
        for table in each.tables:
            if table not in numbers:
                raise InvalidInput("joined set", "tables", f"names an unknown table {table}")
        item = set_name([numbers[table] for table in each.tables])
        members = frozenset(each.tables)
        if len(members) < len(each.tables):
            raise InvalidInput(item, "tables", "names a table twice")
        if not 2 <= len(members) <= MOST_TABLES:
            raise InvalidInput(item, "tables", f"must be from 2 to {MOST_TABLES} tables")
        if len({zones[table] for table in members}) > 1:
            raise InvalidInput(item, "tables", "spans zones")
        if members in seen:
            raise InvalidInput(item, "tables", "comes twice")
        seen.add(members)
        for field, value in (
            ("capacity", each.capacity),
            ("min_party_size", each.min_party),
            ("max_party_size", each.max_party),
            ("rank", each.rank),
        ):
            if value is not None and value < 1:
                raise InvalidInput(item, field, "must be 1 or more")
        if each.min_party is not None and each.max_party is not None and each.min_party > each.max_party:
            raise InvalidInput(item, "min_party_size", f"{each.min_party} is above max_party_size {each.max_party}")


def check_lost_seats(
    lost: Mapping[Edge, int], edges: Iterable[Edge], numbers: Mapping[int, str], seats: Mapping[int, int]
) -> None:
    """Raises InvalidInput for seats lost where nothing is joined, and for more than may be lost at one join.

    `numbers` and `seats` are by table id; an edge may name its tables in either order.
    """
    known = {(min(edge), max(edge)) for edge in edges}
    for edge, count in lost.items():
        first, second = edge
        if (min(edge), max(edge)) not in known:
            raise InvalidInput("floor", "lost_seats", f"{first}-{second} is no edge of adjacency")
        most = seats[first] + seats[second] - 1
        if not 0 <= count <= most:
            name = f"edge {numbers[first]} - {numbers[second]}"
            raise InvalidInput(name, "lost_seats", f"must be from 0 to {most}, one seat less than both have")


def set_name(numbers: Iterable[str]) -> str:
    """What errors call a set."""
    return "joined set " + " + ".join(numbers)
