"""The planner's rules once more, the slow and plain way: try every set of tables and score it by the formula.

Written from docs/adr/0002-score-definitions.md alone. It shares with the planner the values that go in (floor, policy,
request) and nothing else; it is meant to be read beside the page and found the same. Arithmetic is in fractions, so
that equal is equal here without any rounding; only the total is rounded, because the page says so.

Where the page leaves a choice, the reading taken here is marked with "Reading:".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, groupby

from maitred.model.floor import Floor, Mobility, Table, TableFeature, TableStatus
from maitred.model.joined import JoinedSet
from maitred.model.preferences import Preferences
from maitred.model.reason import ReasonCode
from maitred.model.scoring import AdjacencyMode, KeepLarge, Relaxation, ScoringPolicy
from maitred.planner.answer import Request

UNRELAXED: frozenset[Relaxation] = frozenset()


@dataclass(frozen=True)
class Found:
    """A set of tables that can take the party, with everything the page defines about it."""

    tables: tuple[Table, ...]
    capacity: int
    overage: int
    seats_beyond_largest: int
    adjacency_cost: int
    slack: Fraction
    combination: Fraction
    fragmentation: Fraction
    zone_balance: Fraction
    scarcity: Fraction
    future_conflict: Fraction
    extra: dict[str, Fraction]

    @property
    def unrounded(self) -> Fraction:
        return (
            self.slack
            + self.combination
            + self.fragmentation
            + self.zone_balance
            + self.scarcity
            + self.future_conflict
            + sum(self.extra.values(), Fraction(0))
        )

    @property
    def total(self) -> Fraction:
        return round(self.unrounded, 6)

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(table.id for table in self.tables)


@dataclass(frozen=True)
class Decision:
    """All plans, best first, and what had to give way for them; or none and why."""

    plans: Sequence[Found]
    relaxed: frozenset[Relaxation] = UNRELAXED
    reason: ReasonCode | None = None


def decide(floor: Floor, policy: ScoringPolicy, request: Request) -> Decision:
    """The whole answer, by trying everything."""
    for relaxed in ladder(policy, request):
        plans = ranked_plans(floor, policy, request, relaxed)
        # Reading: a plan dropped for its look-ahead penalties does not fit, so the ladder goes on.
        if plans:
            return Decision(plans, relaxed)
    return Decision([], reason=why_not(floor, policy, request))


def ladder(policy: ScoringPolicy, request: Request) -> Iterator[frozenset[Relaxation]]:
    """What may give way, in the order in which it is tried; first of all, nothing."""
    adjacency = Relaxation.ADJACENCY in policy.allowed and request.require_adjacency is None
    min_party = Relaxation.MIN_PARTY in policy.allowed
    overage = Relaxation.OVERAGE in policy.allowed
    yield UNRELAXED
    if adjacency:
        yield frozenset({Relaxation.ADJACENCY})
    if min_party:
        yield frozenset({Relaxation.MIN_PARTY})
    if adjacency and min_party:
        yield frozenset({Relaxation.ADJACENCY, Relaxation.MIN_PARTY})
    if overage:
        yield frozenset({Relaxation.OVERAGE})


def ranked_plans(floor: Floor, policy: ScoringPolicy, request: Request, relaxed: frozenset[Relaxation]) -> list[Found]:
    """Every plan under these relaxations, best first."""
    taken = ids_of(floor, request.occupied)
    sets = candidates(
        floor,
        [table for table in eligible(floor, request, policy) if table.id not in taken],
        policy,
        party=request.party,
        max_tables=tables_at_most(policy, request),
        adjacency=adjacency_required(policy, request),
        relaxed=relaxed,
    )
    waiting = waiting_bookings(floor, policy, request)
    found = []
    for tables in sets:
        penalty = policy.lookahead_penalty * sum(loses_its_last_set(feasible, tables) for feasible in waiting)
        if policy.lookahead_limit is not None and penalty > policy.lookahead_limit:
            continue
        found.append(score(floor, policy, request, tables, Fraction(penalty)))
    return sorted(found, key=rank)


# Candidates


def usable(floor: Floor) -> list[Table]:
    return [table for table in floor.tables if table.active and table.status is not TableStatus.OUT_OF_SERVICE]


def eligible(floor: Floor, request: Request, policy: ScoringPolicy) -> list[Table]:
    """The usable tables in the zone asked for and outside `avoid` that are for this party, free or not."""
    return [
        table
        for table in usable(floor)
        if request.zone_id in (None, table.zone_id)
        and table.id not in request.avoid
        and not (policy.vip_only and TableFeature.VIP in table.features and not request.vip)
        and not any(rule.hard and keeps(rule, table, request) for rule in policy.keep_large)
        and all(meets(floor, table, wish) for wish, needed in wishes(policy, request.preferences) if needed)
    ]


def keeps(rule: KeepLarge, table: Table, request: Request) -> bool:
    """Whether a large table is kept for larger parties than this one."""
    return (
        table.capacity >= rule.seats
        and request.party < rule.party
        and (rule.service is None or rule.service == request.service)
        and (request.lead_min is None or request.lead_min > rule.until_min)
    )


def wishes(policy: ScoringPolicy, preferences: Preferences | None) -> list[tuple[tuple[str, object], bool]]:
    """Each wish, as (what, how), and whether it is needed."""
    if preferences is None:
        return []
    needed = {str(each) for each in (*preferences.must, *policy.hard_preferences)}
    asked: list[tuple[str, object]] = [
        ("zone", preferences.zone),
        ("seating_type", preferences.seating_type),
        ("high_chair", preferences.high_chair),
        ("step_free", preferences.step_free),
    ]
    return [((what, how), what in needed) for what, how in asked if how]


def meets(floor: Floor, table: Table, wish: tuple[str, object]) -> bool:
    what, how = wish
    if what == "zone":
        return floor.zones[table.zone_id].lower() == str(how).lower()
    if what == "seating_type":
        return table.seating_type == how
    return what in {feature.value for feature in table.features}


def ids_of(floor: Floor, mask: int) -> set[int]:
    return {table.id for index, table in enumerate(floor.tables) if mask >> index & 1}


def tables_at_most(policy: ScoringPolicy, request: Request) -> int:
    return policy.max_tables if request.max_tables is None else request.max_tables


def adjacency_required(policy: ScoringPolicy, request: Request) -> bool:
    if request.require_adjacency is not None:
        return request.require_adjacency
    return required_by_policy(policy, request.party)


def required_by_policy(policy: ScoringPolicy, party: int) -> bool:
    return policy.adjacency_from_party is not None and party >= policy.adjacency_from_party


def candidates(
    floor: Floor,
    choice: Sequence[Table],
    policy: ScoringPolicy,
    *,
    party: int,
    max_tables: int,
    adjacency: bool,
    relaxed: frozenset[Relaxation] = UNRELAXED,
) -> list[tuple[Table, ...]]:
    """Every set of tables out of `choice` that the page calls a candidate for `party`."""
    found = []
    for count in range(1, max_tables + 1):
        for tables in combinations(choice, count):
            said = said_of(floor, tables)
            if said is not None and said.forbidden:
                continue
            overage = seats(floor, tables) - party
            if overage < 0:
                continue
            if overage > policy.max_overage and Relaxation.OVERAGE not in relaxed:
                continue
            if any(table.zone_id != tables[0].zone_id for table in tables):
                continue
            least = max(table.min_party_size for table in tables)
            if said is not None and said.min_party is not None:
                least = said.min_party
            if least > party and Relaxation.MIN_PARTY not in relaxed:
                continue
            if said is not None and said.max_party is not None and party > said.max_party:
                continue
            if count == 1:
                if tables[0].max_party_size is not None and party > tables[0].max_party_size:
                    continue
            else:
                if any(table.mobility is not Mobility.MOVABLE for table in tables):
                    continue
                must_touch = adjacency and Relaxation.ADJACENCY not in relaxed
                if must_touch and not satisfies(floor, tables, policy.adjacency_mode):
                    continue
            found.append(tables)
    return found


# Tables used together


def said_of(floor: Floor, tables: Sequence[Table]) -> JoinedSet | None:
    """What the venue says of exactly these tables."""
    ids = {table.id for table in tables}
    return next((said for said in floor.joined if set(said.tables) == ids), None)


def seats(floor: Floor, tables: Sequence[Table]) -> int:
    """What the tables hold together. They are pushed together at one place less than there are tables, where least is
    lost; tables that don't all hang together stay apart and lose nothing."""
    said = said_of(floor, tables)
    if said is not None and said.capacity is not None:
        return said.capacity
    ids = [table.id for table in tables]
    edges = [edge for edge in combinations(sorted(ids), 2) if edge in floor.adjacency]
    ways = [joins for joins in combinations(edges, len(ids) - 1) if hang_together(ids, joins)]
    lost = min((sum(floor.lost_seats.get(edge, 0) for edge in joins) for joins in ways), default=0)
    return sum(table.capacity for table in tables) - lost


def hang_together(ids: Sequence[int], joins: Iterable[tuple[int, int]]) -> bool:
    joins = list(joins)
    reached = {ids[0]}
    for _ in ids:
        reached |= {table for edge in joins if reached & set(edge) for table in edge}
    return reached == set(ids)


def ranks_behind(floor: Floor, tables: Sequence[Table]) -> int:
    """How many ranks the set is behind the best liked one; those without a rank come after all that have one."""
    if len(tables) == 1:
        return 0
    said = said_of(floor, tables)
    if said is not None and said.rank is not None:
        return said.rank - 1
    return max((each.rank for each in floor.joined if each.rank is not None), default=0)


# Adjacency


def touch(floor: Floor, one: Table, other: Table) -> bool:
    return (min(one.id, other.id), max(one.id, other.id)) in floor.adjacency


def satisfies(floor: Floor, tables: Sequence[Table], mode: AdjacencyMode) -> bool:
    if mode is AdjacencyMode.PAIRWISE:
        return all(touch(floor, one, other) for one, other in combinations(tables, 2))
    if mode is AdjacencyMode.NEIGHBORS:
        return any(all(touch(floor, one, other) for other in tables if other is not one) for one in tables)
    return farthest(floor, tables, tables[0]) is not None


def farthest(floor: Floor, tables: Sequence[Table], start: Table) -> int | None:
    """The steps from `start` to the member farthest away, through members only; None when one can't be reached."""
    reached = {start.id}
    ring = [start]
    steps = 0
    while len(reached) < len(tables):
        ring = [table for table in tables if table.id not in reached and any(touch(floor, table, at) for at in ring)]
        if not ring:
            return None
        reached |= {table.id for table in ring}
        steps += 1
    return steps


def adjacency_cost(floor: Floor, tables: Sequence[Table]) -> int:
    depths = [farthest(floor, tables, start) for start in tables]
    reachable = [depth for depth in depths if depth is not None]
    return min(reachable) if reachable else len(tables)


# The score


def table_scarcity(floor: Floor, table: Table) -> Fraction:
    stored = floor.scarcity.get((table.capacity, table.category, table.seating_type))
    if stored is not None:
        return Fraction(stored)
    return Fraction(1, sum(other.capacity == table.capacity for other in usable(floor)))


def score(
    floor: Floor, policy: ScoringPolicy, request: Request, tables: tuple[Table, ...], future_conflict: Fraction
) -> Found:
    weights = policy.weights
    count = len(tables)
    capacity = seats(floor, tables)
    overage = capacity - request.party
    beyond_largest = max(0, capacity - max(table.capacity for table in tables))
    cost = adjacency_cost(floor, tables)
    scarcity = sum((table_scarcity(floor, table) for table in tables), Fraction(0))
    zones = len({table.zone_id for table in tables})
    combination = Fraction(0)
    if count > 1:
        combination = (count - 1) * Fraction(weights.table_count) + cost * Fraction(weights.adjacency_cost)
        combination *= min(Fraction(3), 1 + scarcity / count)
    return Found(
        tables=tuple(sorted(tables, key=reading_order)),
        capacity=capacity,
        overage=overage,
        seats_beyond_largest=beyond_largest,
        adjacency_cost=cost,
        slack=overage * Fraction(weights.overage) * Fraction(request.demand_multiplier),
        combination=combination,
        fragmentation=beyond_largest * Fraction(weights.fragmentation),
        zone_balance=(zones - 1) * Fraction(weights.zone_balance),
        scarcity=scarcity * Fraction(weights.scarcity),
        future_conflict=future_conflict,
        extra={
            "set_order": ranks_behind(floor, tables) * Fraction(weights.set_order),
            "price": by_table(floor, request.prices, tables),
            **asked_for(floor, policy, request, tables),
        },
    )


def asked_for(floor: Floor, policy: ScoringPolicy, request: Request, tables: Sequence[Table]) -> dict[str, Fraction]:
    """What the venue's own terms add."""
    weights = policy.weights
    guests = [wish for wish, needed in wishes(policy, request.preferences) if not needed]
    venues = [wish for wish, _ in wishes(policy, policy.preferences)]
    marked = [TableFeature.VIP in table.features for table in tables]
    vip = sum(marked)
    if request.vip:
        vip = int(any(TableFeature.VIP in table.features for table in floor.tables) and not all(marked))
    served = {table.section for table in tables if table.section is not None}
    covers = dict(zip(floor.sections, request.section_covers, strict=False))
    arrivals = dict(zip(floor.sections, request.section_arrivals, strict=False))
    return {
        "priority": Fraction(weights.priority) * sum(step(table, request.service) for table in tables),
        "guest_preference": Fraction(weights.guest_preference) * unmet(floor, tables, guests),
        "venue_preference": Fraction(weights.venue_preference) * unmet(floor, tables, venues),
        "vip": Fraction(weights.vip) * vip,
        "large_table": Fraction(weights.large_table)
        * sum(keeps(rule, table, request) for rule in policy.keep_large if not rule.hard for table in tables),
        "section": Fraction(weights.section)
        * max((covers[name] - min(covers.values()) for name in served if covers), default=0),
        "pacing": Fraction(weights.pacing) * max((arrivals[name] for name in served if arrivals), default=0),
        "gap": Fraction(weights.gap) * by_table(floor, request.lost_minutes, tables),
    }


def unmet(floor: Floor, tables: Sequence[Table], wished: Sequence[tuple[str, object]]) -> int:
    """How many of the wishes some table of the set doesn't meet."""
    return sum(not all(meets(floor, table, wish) for table in tables) for wish in wished)


def step(table: Table, service: str | None) -> int:
    """The table's priority in a service."""
    said = dict(table.priority)
    return said[service] if service in said else said.get("*", 0)


def by_table(floor: Floor, values: Sequence[float], tables: Sequence[Table]) -> Fraction:
    """The sum over these tables of what is given for each table of the floor."""
    return sum((Fraction(value) for at, value in zip(floor.tables, values, strict=False) if at in tables), Fraction(0))


Piece = tuple[int, int, str]
ReadingOrder = tuple[tuple[Piece, ...], int]


def reading_order(table: Table) -> ReadingOrder:
    """Numbers as people read them.

    Reading: "A1" and "A01" read the same; the smaller id goes first, as the floor itself orders its tables.
    """
    pieces: list[Piece] = []
    for is_digits, run in groupby(table.number.lower(), key=lambda char: char in "0123456789"):
        text = "".join(run)
        pieces.append((0, int(text), "") if is_digits else (1, 0, text))
    return tuple(pieces), table.id


def rank(found: Found) -> tuple[Fraction, int, int, int, int, int, tuple[ReadingOrder, ...]]:
    return (
        found.total,
        found.overage,
        len(found.tables),
        found.capacity,
        found.seats_beyond_largest,
        found.adjacency_cost,
        tuple(reading_order(table) for table in found.tables),
    )


def on_a_rounding_edge(plans: Iterable[Found]) -> bool:
    """Whether some total is so near to the middle between two sixth decimals that floats may round it either way."""
    return any(abs(plan.unrounded * 10**6 % 1 - Fraction(1, 2)) < Fraction(1, 10**5) for plan in plans)


# Look-ahead


def waiting_bookings(floor: Floor, policy: ScoringPolicy, request: Request) -> list[list[set[int]]]:
    """For each waiting booking the sets of table ids that could take it before the plan.

    By the policy's own rules: what the request narrows or overrides (zone, avoid, adjacency, number of tables) is not
    the waiting booking's.
    """
    return [
        [
            {table.id for table in tables}
            for tables in candidates(
                floor,
                [table for table in usable(floor) if table.id not in ids_of(floor, booking.occupied)],
                policy,
                party=booking.party,
                max_tables=policy.max_tables,
                adjacency=required_by_policy(policy, booking.party),
            )
        ]
        for booking in request.upcoming
    ]


def loses_its_last_set(feasible: Sequence[set[int]], plan: Sequence[Table]) -> bool:
    """Whether a waiting booking had a set before the plan and has none after it."""
    planned = {table.id for table in plan}
    return bool(feasible) and not any(planned.isdisjoint(tables) for tables in feasible)


# Reasons


def why_not(floor: Floor, policy: ScoringPolicy, request: Request) -> ReasonCode:
    party = request.party
    tables = eligible(floor, request, policy)
    if not tables:
        return ReasonCode.NO_TABLES
    most = tables_at_most(policy, request)
    # Reading: "no candidate" means under any relaxation that this question may use, so that the reason's sentence
    # ("nothing allowed fits this party, even in an empty room") is true. Look-ahead is about occupancy: no part in it.
    if any(
        candidates(
            floor,
            tables,
            policy,
            party=party,
            max_tables=most,
            adjacency=adjacency_required(policy, request),
            relaxed=relaxed,
        )
        for relaxed in ladder(policy, request)
    ):
        return ReasonCode.NO_CAPACITY
    # From here on seats are counted as the tables have them, whatever they would hold together.
    if party > sum(table.capacity for table in tables):
        return ReasonCode.GLOBAL_CAPACITY
    zones: dict[int, list[int]] = {}
    for table in tables:
        zones.setdefault(table.zone_id, []).append(table.capacity)
    if all(party > sum(capacities) for capacities in zones.values()):
        return ReasonCode.INSUFFICIENT_CAPACITY
    if all(party > sum(sorted(capacities, reverse=True)[:most]) for capacities in zones.values()):
        return ReasonCode.MAX_TABLES
    return ReasonCode.NO_SUITABLE_TABLES
