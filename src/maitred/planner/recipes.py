"""Sets too many to list: which kinds of tables make a set, and then which tables of these kinds are free.

Tables of one zone with the same capacity and scarcity are of one kind: they give a set the same score. A recipe says
how many tables of each kind; recipes are few and ranked like sets. From the best recipe that the free tables allow,
the tables are drawn in the order that decides ties.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_
from typing import NamedTuple

from maitred.model.scoring import Weights
from maitred.planner.answer import Score
from maitred.planner.catalogue import Catalogue, Members
from maitred.planner.layout import Layout, indices_of
from maitred.planner.rules import Rules
from maitred.planner.score import Profile, Standing, score_of, with_conflict


@dataclass(frozen=True, slots=True)
class Kind:
    """Tables of one zone that a set's score can't tell apart, as a mask."""

    zone_id: int
    capacity: int
    scarcity: float
    tables: int


class Recipe(NamedTuple):
    """So many tables of each kind (by the kind's index), and what every set made this way scores."""

    standing: Standing
    score: Score
    needs: tuple[tuple[int, int], ...]
    zone_id: int


class Drawn(NamedTuple):
    """One set drawn for a recipe. It sorts by standing, then by members."""

    standing: Standing
    members: Members
    mask: int
    score: Score

    def burdened(self, conflict: float) -> Drawn:
        """The same set with a look-ahead term."""
        score = with_conflict(self.score, conflict)
        return self._replace(standing=self.standing._replace(total=score.total), score=score)


class Draws:
    """How many more sets may be drawn in answering one question; `cut` when the search ended for lack of it."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.cut = False

    def take(self) -> bool:
        """Use up one; False when none is left."""
        if not self.left:
            self.cut = True
            return False
        self.left -= 1
        return True


class Recipes:
    """All recipes for one kind of question, in static order."""

    def __init__(
        self, layout: Layout, catalogue: Catalogue, rules: Rules, weights: Weights, *, recipes_limit: int
    ) -> None:
        self._layout = layout
        self._catalogue = catalogue
        self._rules = rules
        self._weights = weights
        self.whole_up_to: dict[int, float] = {}
        zones = (
            list(catalogue.complete_zones)
            if rules.adjacency_required or catalogue.lists_loose(rules.max_tables)
            else list(layout.zones)
        )
        self.kinds: list[Kind] = []
        recipes: list[Recipe] = []
        for zone in sorted(zones):
            recipes.extend(self._zone_recipes(zone, recipes_limit - len(recipes)))
        recipes.sort(key=itemgetter(0))
        self.recipes = recipes
        self._all = (1 << len(recipes)) - 1
        self._needing_more = self._by_need()

    def __len__(self) -> int:
        return len(self.recipes)

    def cut_zones(self) -> frozenset[int]:
        """The zones with recipes that are not listed."""
        return frozenset(zone for zone, size in self.whole_up_to.items() if size < self._rules.max_tables)

    def allowed_by(self, free: int) -> Iterator[Recipe]:
        """The recipes that these tables can make, best first."""
        rest = self._possible(free)
        while rest:
            low = rest & -rest
            rest ^= low
            yield self.recipes[low.bit_length() - 1]

    def first_free(self, free: int) -> int:
        """The mask of one set that these tables can make; 0 when there is none."""
        rest = self._possible(free)
        if not rest:
            return 0
        recipe = self.recipes[(rest & -rest).bit_length() - 1]
        mask = 0
        for kind, count in recipe.needs:
            tables = self.kinds[kind].tables & free
            for _ in range(count):
                mask |= tables & -tables
                tables &= tables - 1
        return mask

    def stream(self, free: int, draws: Draws) -> Iterator[Drawn]:
        """The sets that these tables can make and that the catalogue doesn't list, best first.

        In a zone that the catalogue had to cut, a set that happens to be connected comes later than its score says.
        """
        for _, tied in groupby(self.allowed_by(free), key=itemgetter(0)):
            recipes = list(tied)
            if len(recipes) == 1:
                yield from self._drawn(recipes[0], free, draws)
            else:
                yield from heapq.merge(*(self._drawn(recipe, free, draws) for recipe in recipes))

    def _drawn(self, recipe: Recipe, free: int, draws: Draws) -> Iterator[Drawn]:
        layout = self._layout
        needs = {self.kinds[kind].tables & free: count for kind, count in recipe.needs}
        complete = recipe.zone_id in self._catalogue.complete_zones
        whole_up_to = self._catalogue.whole_up_to[recipe.zone_id]
        for mask in _in_order(needs, reduce(or_, needs), 0):
            if not draws.take():
                return
            standing, score = recipe.standing, recipe.score
            members = indices_of(mask)
            if not complete and layout.connected(mask):
                if len(members) <= whole_up_to:
                    continue
                standing, score = self._score(recipe.needs, layout.radius(mask, members))
            yield Drawn(standing, members, mask, score)

    def _possible(self, free: int) -> int:
        blocked = 0
        for kind, more in zip(self.kinds, self._needing_more, strict=True):
            left = (kind.tables & free).bit_count()
            if left < len(more):
                blocked |= more[left]
        return self._all & ~blocked

    def _by_need(self) -> list[list[int]]:
        """For each kind, at n, the bitset of the recipes that need more than n of it."""
        most = self._rules.max_tables
        more = [[0] * most for _ in self.kinds]
        for rank, recipe in enumerate(self.recipes):
            for kind, count in recipe.needs:
                for n in range(count):
                    more[kind][n] |= 1 << rank
        return more

    def _zone_recipes(self, zone: int, room: int) -> list[Recipe]:
        kinds = self._zone_kinds(zone)
        first = len(self.kinds)
        self.kinds.extend(kinds)
        complete = zone in self._catalogue.complete_zones
        found: list[Recipe] = []
        self.whole_up_to[zone] = math.inf
        for size in range(2, self._rules.max_tables + 1):
            level: list[Recipe] = []
            for needs in self._needs(kinds, size, 0, 0):
                numbered = tuple((first + kind, count) for kind, count in needs)
                standing, score = self._score(numbered, 1 if complete else size)
                level.append(Recipe(standing, score, numbered, zone))
                if len(found) + len(level) > room:
                    self.whole_up_to[zone] = size - 1
                    return found
            found.extend(level)
        return found

    def _zone_kinds(self, zone: int) -> list[Kind]:
        layout = self._layout
        rules = self._rules
        grouped: dict[tuple[int, float], int] = {}
        for index in indices_of(layout.zones[zone] & layout.movable):
            if rules.undercut or layout.min_party[index] <= rules.party:
                key = (layout.capacity[index], layout.scarcity[index])
                grouped[key] = grouped.get(key, 0) | 1 << index
        return [Kind(zone, capacity, scarcity, tables) for (capacity, scarcity), tables in sorted(grouped.items())]

    def _needs(self, kinds: list[Kind], size: int, start: int, seats: int) -> Iterator[tuple[tuple[int, int], ...]]:
        """All ways to take `size` tables of the kinds from `start` on, so that with `seats` the party fits."""
        largest = self._rules.largest_capacity
        if size == 0:
            if seats >= self._rules.party:
                yield ()
            return
        if start == len(kinds):
            return
        if largest is not None and seats + size * kinds[start].capacity > largest:
            return  # kinds ascend by capacity: no later one is smaller
        if seats + size * kinds[-1].capacity < self._rules.party:
            return
        kind = kinds[start]
        for count in range(min(size, kind.tables.bit_count()), 0, -1):
            for rest in self._needs(kinds, size - count, start + 1, seats + count * kind.capacity):
                yield ((start, count), *rest)
        yield from self._needs(kinds, size, start + 1, seats)

    def _score(self, needs: tuple[tuple[int, int], ...], adjacency_cost: int) -> tuple[Standing, Score]:
        members = [self.kinds[kind] for kind, count in needs for _ in range(count)]
        profile = Profile(
            capacity=sum(kind.capacity for kind in members),
            size=len(members),
            largest=max(kind.capacity for kind in members),
            adjacency_cost=adjacency_cost,
            needs_party=1,
            most_alone=None,
            scarcity=math.fsum(kind.scarcity for kind in members),
            connected=adjacency_cost < len(members),
            pairwise=False,
        )
        return score_of(profile, self._weights, self._rules.party, self._rules.demand_multiplier)


def _in_order(needs: dict[int, int], pool: int, chosen: int) -> Iterator[int]:
    """All ways to take so many tables of each mask, in the order of their indices as words in a dictionary."""
    if not needs:
        yield chosen
        return
    while all((tables & pool).bit_count() >= count for tables, count in needs.items()):
        low = pool & -pool
        pool ^= low
        tables = next(tables for tables in needs if tables & low)
        remaining = dict(needs)
        rest = pool
        if remaining[tables] == 1:
            del remaining[tables]
            rest &= ~tables
        else:
            remaining[tables] -= 1
        yield from _in_order(remaining, rest, chosen | low)
