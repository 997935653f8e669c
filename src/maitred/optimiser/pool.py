"""Alike tables pooled, and the day as a programme over pools: what it can reach is a bound on the day itself.

Tables are alike when the same parties may have them alone, at the same waste, in the same part of the house. A party
then takes one of a pool and not a certain table, and equal parties become one number. This forgets which tables stand
together, and that a party may not change tables midway; everything that can really be done can be done with pools, so
a pool's best is never below the day's. Where all tables of a pool can be exchanged it is exact: parties that are never
more than the pool's tables at one moment can be given tables in the order of their starts (interval graphs are
perfect). Elsewhere `concrete` looks for tables that do what the pools promise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from maitred.optimiser.choices import Busy, Choice, Span, cliques
from maitred.optimiser.linear import Aim, Linear
from maitred.optimiser.problem import Party, Problem

Pattern = tuple[int, ...]
"""The pools of a set's tables, ascending."""


@dataclass(frozen=True, slots=True)
class Way:
    """Parties of one group seated in one pattern: a column. `stay`: they keep what they have."""

    group: int
    pattern: Pattern
    stay: bool
    column: int


@dataclass(slots=True)
class Group:
    """Parties that differ in nothing."""

    keys: list[str]
    covers: int
    span: Span
    seated: bool
    choices: Sequence[Choice]


@dataclass(slots=True)
class Pooled:
    """The programme. `aims` are the levels in their order: worth, moves, relaxed, waste."""

    pool_of: Mapping[int, int]
    groups: list[Group]
    ways: list[Way]
    model: Linear
    aims: dict[str, Aim] = field(default_factory=dict)


def pools(problem: Problem) -> dict[int, int]:
    """The pool of each table."""
    parts = _parts(problem)
    alone: defaultdict[int, list[tuple[int, int, bool]]] = defaultdict(list)
    seen: set[int] = set()
    for number, party in enumerate(problem.parties):
        if id(party.options) in seen:
            continue
        seen.add(id(party.options))
        for option in party.options:
            if len(option.tables) == 1:
                alone[option.tables[0]].append((number, option.waste, option.relaxed))
    numbers: dict[object, int] = {}
    return {
        table: numbers.setdefault((parts.get(table), problem.capacity[table], tuple(alone[table])), len(numbers))
        for table in problem.capacity
    }


def pooled(problem: Problem, choices: Mapping[str, tuple[Choice, ...]], busy: Busy) -> Pooled:
    """The day over pools."""
    pool_of = pools(problem)
    size = Counter(pool_of.values())
    groups = _groups(problem, choices)
    model = Linear()
    ways: list[Way] = []
    worth: list[tuple[int, int]] = []
    moves: list[tuple[int, int]] = []
    relaxed: list[tuple[int, int]] = []
    waste: list[tuple[int, int]] = []
    using: defaultdict[int, list[tuple[Span, int, int]]] = defaultdict(list)
    for number, group in enumerate(groups):
        mine = []
        for (pattern, stay), (least_waste, least_relaxed) in _patterns(group.choices, pool_of, group.seated).items():
            column = model.column(len(group.keys))
            ways.append(Way(number, pattern, stay, column))
            mine.append((column, 1))
            worth.append((column, problem.worth(problem.by_key[group.keys[0]])))
            waste.append((column, least_waste))
            if group.seated and not stay:
                moves.append((column, 1))
            if least_relaxed:
                relaxed.append((column, 1))
            for pool, tables in Counter(pattern).items():
                using[pool].append((group.span, column, tables))
        count = len(group.keys)
        model.row(mine, least=count if group.seated else None, most=count)
    for pool, uses in sorted(using.items()):
        fixed = [span for table, its in pool_of.items() if its == pool for span in busy.spans(table)]
        _limit(model, uses, fixed, size[pool])
    aims = {"worth": Aim(worth, maximise=True)}
    if moves:
        aims["moves"] = Aim(moves, maximise=False)
    if relaxed:
        aims["relaxed"] = Aim(relaxed, maximise=False)
    aims["waste"] = Aim(waste, maximise=False)
    return Pooled(pool_of, groups, ways, model, aims)


def _limit(model: Linear, uses: list[tuple[Span, int, int]], fixed: list[Span], tables: int) -> None:
    spans = [span for span, _, _ in uses] + fixed
    for clique in cliques(spans):
        terms = [(uses[place][1], uses[place][2]) for place in clique if place < len(uses)]
        if terms:
            model.row(terms, most=tables - (len(clique) - len(terms)))


def _patterns(
    choices: Iterable[Choice], pool_of: Mapping[int, int], seated: bool
) -> dict[tuple[Pattern, bool], tuple[int, bool]]:
    """The patterns of these choices with the least waste, and whether each way to have one relaxes a rule."""
    found: dict[tuple[Pattern, bool], tuple[int, bool]] = {}
    for choice in choices:
        key = (tuple(sorted(pool_of[table] for table in choice.tables)), seated and not choice.moves)
        waste, relaxed = found.get(key, (choice.waste, choice.relaxed))
        found[key] = (min(waste, choice.waste), relaxed and choice.relaxed)
    return found


def _groups(problem: Problem, choices: Mapping[str, tuple[Choice, ...]]) -> list[Group]:
    found: dict[tuple[int, int, int, int], Group] = {}
    for party in problem.parties:
        mine = choices.get(party.key)
        if mine is None or (not mine and party.seat is None):
            continue
        key = (id(mine), party.covers, party.start, party.end)
        if key not in found:
            found[key] = Group([], party.covers, (party.start, party.end), party.seat is not None, mine)
        found[key].keys.append(party.key)
    return list(found.values())


def _parts(problem: Problem) -> dict[int, int]:
    """The part of the house of each table that joins others: tables of one set are in one part."""
    parent: dict[int, int] = {}

    def root(table: int) -> int:
        while parent.setdefault(table, table) != table:
            parent[table] = parent[parent[table]]
            table = parent[table]
        return table

    seen: set[int] = set()
    for party in problem.parties:
        if id(party.options) in seen:
            continue
        seen.add(id(party.options))
        for option in party.options:
            first, *others = option.tables
            for other in others:
                parent[root(other)] = root(first)
    return {table: root(table) for table in list(parent)}


def patterns_of(pooled: Pooled, values: Sequence[int]) -> dict[str, tuple[Pattern, bool]]:
    """Which pattern each seated party has in these values of the columns, and whether it stays."""
    left = [list(group.keys) for group in pooled.groups]
    found = {}
    for way in pooled.ways:
        for _ in range(values[way.column]):
            found[left[way.group].pop()] = (way.pattern, way.stay)
    return found


def bound_of(party_list: Iterable[Party], problem: Problem) -> int:
    """What seating all of them would count: a bound that needs no solver."""
    return sum(problem.worth(party) for party in party_list)
