"""The checks of chosen tables, against the rules once more in plain words, and against the planner's own plans."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from maitred.booking.checks import Check, CheckCode, Chosen, InTheWay, Outcome, check, worst
from maitred.model.booking import BookingStatus
from maitred.model.floor import Floor, Mobility, Table, TableStatus
from maitred.model.joined import JoinedSet
from maitred.model.period import Period
from maitred.model.policy import Window
from maitred.model.reason import ReasonCode
from maitred.model.scoring import AdjacencyMode, ScoringPolicy
from maitred.planner.answer import Ranked, Request
from maitred.planner.layout import Layout
from maitred.planner.planner import Planner
from tests.house import DAWN, NOON

WINDOW = Window(
    "all_day",
    NOON.date(),
    Period(NOON, NOON + timedelta(minutes=90)),
    Period(NOON - timedelta(minutes=5), NOON + timedelta(minutes=100)),
    1.0,
)

tables = st.tuples(
    st.integers(1, 8),
    st.integers(1, 2),
    st.integers(1, 4),
    st.none() | st.integers(0, 4),
    st.sampled_from(Mobility),
    st.sampled_from(TableStatus),
    st.sampled_from((True, True, False)),
)


@st.composite
def floors(draw: st.DrawFn) -> Floor:
    made = tuple(
        Table(
            place,
            f"T{place}",
            zone,
            capacity,
            least,
            None if most is None else least + most,
            mobility=mobility,
            status=status,
            active=active,
        )
        for place, (capacity, zone, least, most, mobility, status, active) in enumerate(
            draw(st.lists(tables, min_size=1, max_size=7)), start=1
        )
    )
    pairs = list(combinations(range(1, len(made) + 1), 2))
    edges = frozenset(draw(st.sets(st.sampled_from(pairs)))) if pairs else frozenset()
    if not draw(st.booleans()):
        return Floor(1, made, edges, {1: "Hall", 2: "Garden"})
    seats = {table.id: table.capacity for table in made}
    lost = {edge: draw(st.integers(0, min(3, seats[edge[0]] + seats[edge[1]] - 1))) for edge in sorted(edges)}
    return Floor(1, made, edges, {1: "Hall", 2: "Garden"}, lost_seats=lost, joined=draw(sets_said_of(made)))


@st.composite
def sets_said_of(draw: st.DrawFn, made: tuple[Table, ...]) -> tuple[JoinedSet, ...]:
    said = []
    for zone in (1, 2):
        here = [table.id for table in made if table.zone_id == zone]
        if len(here) < 2:
            continue
        for ids in draw(st.sets(st.frozensets(st.sampled_from(here), min_size=2, max_size=5), max_size=2)):
            least = draw(st.none() | st.integers(1, 5))
            most = draw(st.none() | st.integers(least or 1, 12))
            capacity = draw(st.none() | st.integers(1, 20))
            said.append(JoinedSet(tuple(sorted(ids)), capacity, least, most, forbidden=draw(st.booleans())))
    return tuple(said)


def said_of(floor: Floor, tables: tuple[Table, ...]) -> JoinedSet | None:
    ids = {table.id for table in tables}
    return next((each for each in floor.joined if set(each.tables) == ids), None)


def seats_together(floor: Floor, tables: tuple[Table, ...]) -> int:
    """By trying every way to join them with one join less than tables."""
    said = said_of(floor, tables)
    if said is not None and said.capacity is not None:
        return said.capacity
    ids = {table.id for table in tables}
    inside = [edge for edge in floor.adjacency if set(edge) <= ids]
    losses = []
    for joins in combinations(inside, len(ids) - 1):
        reached = {min(ids)}
        for _ in ids:
            reached |= {table for edge in joins if reached & set(edge) for table in edge}
        if reached == ids:
            losses.append(sum(floor.lost_seats.get(edge, 0) for edge in joins))
    return sum(table.capacity for table in tables) - min(losses, default=0)


policies = st.builds(
    ScoringPolicy,
    max_overage=st.integers(0, 5),
    max_tables=st.integers(1, 4),
    adjacency_mode=st.sampled_from(AdjacencyMode),
    adjacency_from_party=st.none() | st.integers(1, 6),
)


def joined(tables: tuple[Table, ...], edges: frozenset[tuple[int, int]], mode: AdjacencyMode) -> bool:
    """Whether tables hang together, by walking; only movable tables in service of one zone stand next to anything."""
    by_id = {table.id: table for table in tables}

    def next_to(a: int, b: int) -> bool:
        one, other = by_id[a], by_id[b]
        return (
            (min(a, b), max(a, b)) in edges
            and one.zone_id == other.zone_id
            and all(
                each.active and each.status is not TableStatus.OUT_OF_SERVICE and each.mobility is Mobility.MOVABLE
                for each in (one, other)
            )
        )

    if mode is AdjacencyMode.PAIRWISE:
        return all(next_to(a, b) for a, b in combinations(by_id, 2))
    if mode is AdjacencyMode.NEIGHBORS:
        return any(all(a == b or next_to(a, b) for b in by_id) for a in by_id)
    reached = [next(iter(by_id))]
    for at in reached:
        reached += [each for each in by_id if each not in reached and next_to(at, each)]
    return len(reached) == len(by_id)


@st.composite
def choices(draw: st.DrawFn) -> tuple[Floor, ScoringPolicy, Chosen]:
    floor = draw(floors())
    chosen = tuple(sorted(draw(st.sets(st.sampled_from(floor.tables), min_size=1)), key=lambda table: table.id))
    others = [
        InTheWay(
            table.id,
            uuid4(),
            "R1",
            Period(NOON + timedelta(minutes=start), NOON + timedelta(minutes=start + length)),
            uuid4() if held else None,
            NOON if held else None,
        )
        for table, start, length, held in draw(
            st.lists(
                st.tuples(st.sampled_from(chosen), st.integers(-200, 200), st.integers(1, 120), st.booleans()),
                max_size=3,
            )
        )
    ]
    has_window = draw(st.booleans() | st.just(True))
    return (
        floor,
        draw(policies),
        Chosen(
            party=draw(st.integers(1, 12)),
            status=draw(st.sampled_from(BookingStatus)),
            starts_at=NOON,
            tables=chosen,
            window=WINDOW if has_window else None,
            no_window=None if has_window else ReasonCode.OUTSIDE_SERVICE,
            others=others,
            kept=frozenset(draw(st.sets(st.sampled_from([table.id for table in chosen])))),
            zones=floor.zones,
        ),
    )


def expected(floor: Floor, policy: ScoringPolicy, chosen: Chosen, after_start: bool) -> dict[CheckCode, Outcome]:
    """The rules again, one line each."""
    ok, warning, error = Outcome.OK, Outcome.WARNING, Outcome.ERROR
    own, party = chosen.tables, chosen.party
    seats, join = seats_together(floor, own), said_of(floor, own) or JoinedSet(())
    starts, ends = NOON - timedelta(minutes=5), NOON + timedelta(minutes=100)
    touching = [each for each in chosen.others if each.period.start < ends and starts < each.period.end]
    asked = policy.adjacency_from_party is not None and party >= policy.adjacency_from_party
    most = own[0].max_party_size if len(own) == 1 else join.max_party
    least = join.min_party or max(table.min_party_size for table in own)
    seen = chosen.window is not None
    return {
        CheckCode.BOOKING: ok if chosen.status is BookingStatus.PENDING else error,
        CheckCode.START: warning if after_start else ok,
        CheckCode.WINDOW: ok if seen else error,
        CheckCode.IN_SERVICE: error
        if any(not table.active or table.status is TableStatus.OUT_OF_SERVICE for table in own)
        else ok,
        CheckCode.CAPACITY: ok if seats >= party else error,
        CheckCode.SLACK: warning if seats > party + policy.max_overage else ok,
        CheckCode.MIN_PARTY: warning if least > party else ok,
        CheckCode.MAX_PARTY: warning if most is not None and most < party else ok,
        CheckCode.TABLE_COUNT: warning if len(own) > policy.max_tables else ok,
        CheckCode.ZONE: error if len({table.zone_id for table in own}) > 1 else ok,
        CheckCode.MOVABLE: error if len(own) > 1 and any(table.mobility is Mobility.FIXED for table in own) else ok,
        CheckCode.ADJACENCY: warning
        if len(own) > 1 and asked and not joined(own, floor.adjacency, policy.adjacency_mode)
        else ok,
        CheckCode.JOIN: warning if join.forbidden else ok,
        CheckCode.CONFLICTS: error if seen and any(each.hold_id is None for each in touching) else ok,
        CheckCode.HOLDS: error if seen and any(each.hold_id is not None for each in touching) else ok,
        CheckCode.KEPT_SEATS: error if chosen.kept else ok,
    }


def said(checks: tuple[Check, ...]) -> dict[CheckCode, Outcome]:
    return {each.code: each.outcome for each in checks}


@given(choices(), st.booleans())
def test_each_check_says_what_its_rule_says(drawn: tuple[Floor, ScoringPolicy, Chosen], after_start: bool) -> None:
    floor, policy, chosen = drawn
    checks = check(chosen, Layout(floor), policy, NOON if after_start else DAWN)
    assert [each.code for each in checks] == list(CheckCode)
    assert said(checks) == expected(floor, policy, chosen, after_start)
    by_rank = [Outcome.OK, Outcome.WARNING, Outcome.ERROR]
    assert worst(checks) is max(said(checks).values(), key=by_rank.index)


@given(choices())
def test_a_conflict_names_every_table_and_who_has_it(drawn: tuple[Floor, ScoringPolicy, Chosen]) -> None:
    floor, policy, chosen = drawn
    for each in check(chosen, Layout(floor), policy, DAWN):
        if each.code in (CheckCode.CONFLICTS, CheckCode.HOLDS):
            numbers = {f"T{by.table_id}" for by in each.in_the_way}
            assert set(each.tables) == numbers
            assert all((by.hold_id is not None) == (each.code is CheckCode.HOLDS) for by in each.in_the_way)


@given(floors(), policies, st.integers(1, 12), st.integers(0, 127))
def test_all_that_the_planner_offers_is_fine(floor: Floor, policy: ScoringPolicy, party: int, occupied: int) -> None:
    planner = Planner(floor, policy)
    taken = occupied & planner.layout.all
    answer = planner.answer(Request(party, taken))
    if not isinstance(answer, Ranked):
        return
    for plan in answer.plans:
        own = tuple(table for table in floor.tables if table.id in plan.table_ids)
        chosen = Chosen(party, BookingStatus.PENDING, NOON, own, WINDOW, zones=floor.zones)
        checks = check(chosen, planner.layout, policy, DAWN)
        assert worst(checks) is Outcome.OK, said(checks)
