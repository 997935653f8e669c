"""Small floors, policies and questions where the interesting things happen often.

Evenly drawn floors are dull: every table differs, nothing ties, and nearly every party is either seated or hopeless. So
tables come as a few models that repeat, zones are few, some questions are asked of a full house, and half of the
parties are what some tables of the floor hold, or a few seats less. test_against_brute_force.py counts that it works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Final

from hypothesis import strategies as st

from maitred.model.floor import Floor, Mobility, SeatingType, Table, TableCategory, TableStatus
from maitred.model.scoring import AdjacencyMode, Relaxation, ScoringPolicy, Weights
from maitred.planner.answer import Request, Upcoming

MOST_ON_FLOOR: Final = 12
LARGEST_PARTY: Final = 20
EMPTY_ZONE: Final = 9

# "T2" and "t10" and "a01" on one floor; no two that differ only by case (a venue can't have them).
_NUMBERS: Final = tuple(
    prefix + rest
    for prefix in ("T", "t", "a", "A", "b", "D1-T", "")
    for rest in ("1", "2", "10", "3", "9", "01", "11", "100", "7b", "7B2", "7b10")
)
# Halves keep totals away from the middle between two sixth decimals; the others meet it now and then.
_EVEN_WEIGHTS: Final = (0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 22.0)
_ODD_WEIGHTS: Final = (0.1, 0.7, 1.35, 3.3, 7.77)


_SHAPES: Final = ("zones", "path", "random", "complete", "grid", "star", "sparse", "random", "zones", "none")
_LOOSE_SHAPES: Final = ("none", "none", "sparse", "path")
# min_party_size as a share of the capacity. Above 1 means a table that is only given when joined, or relaxed.
_USUAL_LEAST: Final = (*[0.0] * 6, 0.5, 1.0)
_STRICT_LEAST: Final = (2.0, 1.2, 1.0, 0.0)
_BANQUET_LEAST: Final = (3.0,)

_OPEN: Final = ((TableStatus.AVAILABLE, True), (TableStatus.RESERVED, True), (TableStatus.OCCUPIED, True))
_CLOSED: Final = ((TableStatus.OUT_OF_SERVICE, True), (TableStatus.AVAILABLE, False))


@dataclass(frozen=True)
class Question:
    """All that an answer depends on."""

    floor: Floor
    policy: ScoringPolicy
    request: Request


@dataclass(frozen=True)
class _Model:
    """What tables of one make have in common."""

    capacity: int
    min_party_size: int
    max_party_size: int | None
    category: TableCategory
    seating_type: SeatingType
    mobility: Mobility


@st.composite
def _models(draw: st.DrawFn, least_shares: Sequence[float]) -> _Model:
    capacity = draw(st.sampled_from((2, 4, 3, 1, 2, 4, 3, 5, 6, 7, 8)))
    least = max(1, ceil(capacity * draw(st.sampled_from(least_shares))))
    most = draw(st.sampled_from((None, None, capacity, capacity - 1, capacity + 2)))
    return _Model(
        capacity,
        least,
        None if most is None else max(least, most),
        draw(st.sampled_from((TableCategory.DINING, TableCategory.DINING, TableCategory.BAR))),
        draw(st.sampled_from((SeatingType.STANDARD, SeatingType.STANDARD, SeatingType.BOOTH))),
        draw(st.sampled_from((*[Mobility.MOVABLE] * 7, Mobility.FIXED))),
    )


@st.composite
def _adjacencies(draw: st.DrawFn, tables: list[Table], shapes: Sequence[str]) -> frozenset[tuple[int, int]]:
    """Edges over the tables in the order in which they were drawn, which says nothing about their numbers or ids."""
    count = len(tables)
    pairs = list(combinations(range(count), 2))
    shape = draw(st.sampled_from(shapes))
    match shape:
        case "path":
            chosen = [(one, other) for one, other in pairs if other == one + 1]
        case "complete":
            chosen = pairs
        case "grid":
            chosen = [(one, other) for one, other in pairs if other == one + 4 or (other == one + 1 and other % 4)]
        case "star":
            chosen = [(one, other) for one, other in pairs if one == 0]
        case "zones":
            chosen = [(one, other) for one, other in pairs if tables[one].zone_id == tables[other].zone_id]
        case "none":
            chosen = []
        case _:
            # A mask of neighbours per table: Hypothesis draws one wide integer mostly from its small end.
            some = st.integers(0, 2**count - 1)
            rows = [draw(some) & draw(some) if shape == "sparse" else draw(some) for _ in tables]
            chosen = [(one, other) for one, other in pairs if rows[one] >> other & 1]
    ids = [(tables[one].id, tables[other].id) for one, other in chosen]
    return frozenset((min(edge), max(edge)) for edge in ids)


@st.composite
def floors(draw: st.DrawFn, shapes: Sequence[str] = _SHAPES, least_shares: Sequence[float] = _USUAL_LEAST) -> Floor:
    """1 to 12 tables in 1 to 3 zones, and a zone without any."""
    count = draw(st.sampled_from((*range(1, MOST_ON_FLOOR + 1), *range(6, MOST_ON_FLOOR + 1))))
    numbers = draw(st.lists(st.sampled_from(_NUMBERS), min_size=count, max_size=count, unique_by=str.casefold))
    ids = draw(st.permutations(range(101, 101 + count)))
    models = draw(st.lists(_models(least_shares), min_size=1, max_size=3))
    zones = draw(st.sampled_from((1, 1, 2, 2, 3)))
    standing = st.sampled_from((*_OPEN, *_OPEN, *_OPEN, *_CLOSED) if draw(st.booleans()) else _OPEN)
    tables = []
    for number, table_id in zip(numbers, ids, strict=True):
        model = draw(st.sampled_from(models))
        status, active = draw(standing)
        tables.append(
            Table(
                id=table_id,
                number=number,
                zone_id=draw(st.integers(1, zones)),
                capacity=model.capacity,
                min_party_size=model.min_party_size,
                max_party_size=model.max_party_size,
                category=model.category,
                seating_type=model.seating_type,
                mobility=model.mobility,
                status=status,
                active=active,
            )
        )
    measured = st.dictionaries(
        st.sampled_from([(model.capacity, model.category, model.seating_type) for model in models]),
        st.sampled_from((0.0, 0.25, 0.5, 1.0, 3.5, 0.07)),
        max_size=2,
    )
    return Floor(
        version=1,
        tables=tuple(tables),
        adjacency=draw(_adjacencies(tables, shapes)),
        zones={zone: f"Zone {zone}" for zone in (*range(1, zones + 1), EMPTY_ZONE)},
        scarcity=draw(measured) if draw(st.booleans()) else {},
    )


@st.composite
def _weights(draw: st.DrawFn) -> Weights:
    """The usual ones, any, or nearly all 0, which leaves the choice to the ties."""
    match draw(st.sampled_from(("usual", "any", "nearly none", "odd"))):
        case "usual":
            return Weights()
        case "any":
            weight = st.sampled_from(_EVEN_WEIGHTS)
        case "odd":
            weight = st.sampled_from(_EVEN_WEIGHTS + _ODD_WEIGHTS)
        case _:
            weight = st.sampled_from((0.0, 0.0, 0.0, 0.0, 1.0))
    return Weights(*(draw(weight) for _ in range(6)))


@st.composite
def policies(draw: st.DrawFn, relaxing: bool = False, most: Sequence[int] = (3, 4, 5, 3, 4, 5, 2, 1)) -> ScoringPolicy:
    """`relaxing`: something may always give way. `most`: how many tables may be joined."""
    everything = st.just(set(Relaxation))
    something = st.sets(st.sampled_from(Relaxation), min_size=1)
    allowed = something | everything if relaxing else st.just(set[Relaxation]()) | something
    return ScoringPolicy(
        weights=draw(_weights()),
        max_overage=draw(st.sampled_from((0, 1, 0, 2, 4)) if relaxing else st.integers(0, 6)),
        max_tables=draw(st.sampled_from(most)),
        adjacency_mode=draw(st.sampled_from(AdjacencyMode)),
        adjacency_from_party=draw(st.sampled_from((1, 1, 1, 5) if relaxing else (1, 1, 1, 5, 9, None))),
        allowed=frozenset(draw(allowed)),
        lookahead_penalty=draw(st.sampled_from((500.0, 500.0, 12.5, 0.0))),
        lookahead_limit=draw(st.sampled_from((None, None, None, None, 500.0, 12.5, 0.0))),
    )


@st.composite
def _wished(draw: st.DrawFn, floor: Floor, sizes: Sequence[int]) -> list[int]:
    """The indices of 1 to 5 tables of one zone: those that a question is built around."""
    zone = draw(st.sampled_from(floor.tables)).zone_id
    neighbours = draw(st.permutations([index for index, table in enumerate(floor.tables) if table.zone_id == zone]))
    return neighbours[: draw(st.sampled_from(sizes))]


@st.composite
def _parties(draw: st.DrawFn, floor: Floor, wished: list[int]) -> int:
    """Mostly what the tables wished for hold, perhaps with up to 3 seats to spare; now and then more than their zone
    has, or any party at all."""
    seats = [floor.tables[index].capacity for index in wished]
    match draw(st.sampled_from((*["wished"] * 8, "too many", "any"))):
        case "wished":
            party = sum(seats) - draw(st.sampled_from((0, 1, 0, 2, 0, 3)))
        case "too many":
            zone = floor.tables[wished[0]].zone_id
            party = sum(table.capacity for table in floor.tables if table.zone_id == zone) + draw(st.integers(1, 2))
        case _:
            party = draw(st.integers(1, LARGEST_PARTY))
    return min(max(party, 1), LARGEST_PARTY)


@st.composite
def _taken(draw: st.DrawFn, floor: Floor, wished: list[int]) -> int:
    """Which tables are taken, as a mask. Mostly those wished for are free, whatever else is taken."""
    everything = 2 ** len(floor.tables) - 1
    some = st.integers(0, everything)
    match draw(st.sampled_from(("none", "few", "none", "few", "half", "most", "all"))):
        case "none":
            return 0
        case "few":
            taken = draw(some) & draw(some)
        case "half":
            taken = draw(some)
        case "most":
            taken = draw(some) | draw(some)
        case _:
            taken = everything
    if draw(st.integers(0, 2)):
        taken &= ~sum(1 << index for index in wished)
    return taken


@st.composite
def _upcoming(draw: st.DrawFn, floor: Floor, wished: list[int]) -> Upcoming:
    """A waiting booking. Half of the time it can only have tables that the party in question might get."""
    if draw(st.booleans()):
        return Upcoming(draw(_parties(floor, wished)), draw(_taken(floor, wished)))
    kept = draw(st.lists(st.sampled_from(wished), min_size=1, max_size=3, unique=True))
    needed = kept[: draw(st.integers(1, 3))]
    seats = sum(floor.tables[index].capacity for index in needed) - draw(st.integers(0, 1))
    everything = 2 ** len(floor.tables) - 1
    return Upcoming(max(seats, 1), everything & ~sum(1 << index for index in kept))


def _prices(tables: int) -> st.SearchStrategy[tuple[float, ...]]:
    """Mostly none; else small ones that reorder plans, and large ones that outweigh everything."""
    price = st.sampled_from((0.0, 0.0, 0.5, 1.0, 3.25, 7.5, 40.0))
    some = st.lists(price, min_size=tables, max_size=tables).map(tuple)
    return st.just(()) | st.just(()) | some


@st.composite
def requests(draw: st.DrawFn, floor: Floor, waiting: int = 0, sizes: Sequence[int] = (2, 3, 1, 4, 5)) -> Request:
    """At least `waiting` bookings are waiting; the party would like one of `sizes` tables, if the zone has them."""
    ids = [table.id for table in floor.tables]
    wished = draw(_wished(floor, sizes))
    narrowed = draw(st.sampled_from((False, False, False, False, True)))
    one_zone = st.sampled_from((None, *sorted(floor.zones)))
    return Request(
        party=draw(_parties(floor, wished)),
        occupied=draw(_taken(floor, wished)),
        max_tables=draw(st.sampled_from((*[None] * 7, 5, 4, 3, 2, 1))),
        require_adjacency=draw(st.sampled_from((None, None, None, True, False))),
        zone_id=draw(one_zone) if narrowed else None,
        avoid=frozenset(draw(st.sets(st.sampled_from(ids), max_size=4))) if narrowed else frozenset(),
        demand_multiplier=draw(st.sampled_from((1.0, 0.85, 1.15, 1.35, 1.1))),
        upcoming=tuple(draw(st.lists(_upcoming(floor, wished), min_size=waiting, max_size=3)))
        if waiting or draw(st.booleans())
        else (),
        limit=draw(st.integers(1, 10)),
        prices=draw(_prices(len(ids))),
    )


@st.composite
def mixed_questions(draw: st.DrawFn) -> Question:
    floor = draw(floors())
    return Question(floor, draw(policies()), draw(requests(floor)))


@st.composite
def questions_that_relax(draw: st.DrawFn) -> Question:
    """Often nothing fits before something gives way; in the banquet rooms, before two things do."""
    floor = draw(floors(_LOOSE_SHAPES, _STRICT_LEAST) | floors(_LOOSE_SHAPES, _BANQUET_LEAST))
    return Question(floor, draw(policies(relaxing=True)), draw(requests(floor)))


@st.composite
def questions_while_others_wait(draw: st.DrawFn) -> Question:
    """Often a plan takes the last set of a waiting booking."""
    floor = draw(floors())
    policy = draw(policies() | policies(relaxing=True))
    return Question(floor, policy, draw(requests(floor, waiting=1)))


@st.composite
def questions_about_long_sets(draw: st.DrawFn) -> Question:
    """Often the tables that are needed stand in a row, where what an adjacency mode means makes the difference."""
    floor = draw(floors(shapes=("path", "grid", "star", "sparse", "path")))
    return Question(floor, draw(policies(most=(5, 4, 5))), draw(requests(floor, sizes=(4, 5, 5, 3))))


def questions() -> st.SearchStrategy[Question]:
    return mixed_questions() | questions_that_relax() | questions_while_others_wait() | questions_about_long_sets()


@st.composite
def evenings(draw: st.DrawFn) -> list[Question]:
    """Several questions about one floor under one policy."""
    first = draw(questions())
    others = draw(st.lists(requests(first.floor), min_size=1, max_size=3))
    return [first, *(Question(first.floor, first.policy, request) for request in others)]
