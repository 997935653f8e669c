"""Sets too many to list: which kinds of tables make a set, and then which tables of these kinds are free.

Tables of one zone with the same capacity and scarcity are of one kind: they give a set the same score. A recipe says
how many tables of each kind; recipes are few and ranked like sets. From the best recipe that the free tables allow,
the tables are drawn in the order that decides ties.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, islice
from operator import itemgetter, or_
from typing import NamedTuple

from maitred.model.scoring import AdjacencyMode, Weights
from maitred.planner.answer import Score
from maitred.planner.candidate import UNLISTED, Candidate
from maitred.planner.catalogue import Catalogue, Members
from maitred.planner.layout import Layout, indices_of
from maitred.planner.rules import Rules, touches
from maitred.planner.score import Profile, Standing, score_of


@dataclass(frozen=True, slots=True)
class Kind:
    """Tables of one zone that a set's score can't tell apart, as a mask."""

    zone_id: int
    capacity: int
    scarcity: float
    tables: int


class Recipe(NamedTuple):
    """So many tables of each kind (by the kind's index). No set made this way has a lower standing.

    `seats` are those of its tables before any is lost at a join.
    """

    standing: Standing
    score: Score
    needs: tuple[tuple[int, int], ...]
    zone_id: int
    seats: int


class Draws:
    """How many more sets may be drawn in answering one question; `cut` when a search ended for lack of them."""

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
    """The recipes for all candidates that the catalogue doesn't list, under one set of rules, in static order.

    Two sorts of sets are not listed. When adjacency is not required and the floor is large: those that aren't
    connected. In a zone that the catalogue lists only up to a number of tables: all larger ones. For the latter a
    recipe's standing supposes that one member touches all others, and that as many seats are lost at the joins as suits
    the party best; a set that turns out otherwise has to wait until its true place.
    """

    def __init__(
        self,
        layout: Layout,
        catalogue: Catalogue,
        rules: Rules,
        weights: Weights,
        mode: AdjacencyMode,
        *,
        recipes_limit: int,
    ) -> None:
        self._layout = layout
        self._rules = rules
        self._weights = weights
        self._mode = mode
        self._listed_up_to = catalogue.listed_up_to
        self._special = layout.loses_seats or bool(layout.said)
        self._behind = layout.steps_behind(None)
        self._loose = not rules.adjacency_required and not catalogue.lists_loose(rules.max_tables)
        self.cut_zones: set[int] = set()
        self._kinds: list[Kind] = []
        self._recipes: list[Recipe] = []
        for zone in layout.zones:
            first_size = 2 if self._loose else catalogue.listed_up_to[zone] + 1
            if first_size <= rules.max_tables:
                self._add_zone(zone, first_size, recipes_limit)
        self._recipes.sort(key=itemgetter(0))
        self._all = (1 << len(self._recipes)) - 1
        self._needing_more = self._by_need()

    def __len__(self) -> int:
        return len(self._recipes)

    def stream(self, free: int, draws: Draws, worst: Standing | None = None) -> Iterator[Candidate]:
        """The sets that these tables can make and that the catalogue doesn't list, best first; none above `worst`."""
        waiting: list[Candidate] = []
        for bound, candidate in self._drawn(free, draws, worst):
            if candidate is not None:
                heapq.heappush(waiting, candidate)
            while waiting and waiting[0][:2] <= bound:
                yield heapq.heappop(waiting)
        while waiting:
            yield heapq.heappop(waiting)

    def first_free(self, free: int, draws: Draws) -> int:
        """The mask of one set that these tables can make; 0 when there is none."""
        if self._rules.adjacency_required:
            return next((candidate.mask for candidate in self.stream(free, draws)), 0)
        rest = self._possible(free)
        if not rest:
            return 0
        mask = 0
        recipe = self._recipes[(rest & -rest).bit_length() - 1]
        for kind, count in recipe.needs:
            tables = self._kinds[kind].tables & free
            for _ in range(count):
                mask |= tables & -tables
                tables &= tables - 1
        if self._special and self._candidate(indices_of(mask), mask, recipe) is None:
            return next((candidate.mask for candidate in self.stream(free, draws)), 0)
        return mask

    def groups(self, free: int, draws: Draws) -> Iterator[int]:
        """Groups of tables that together cover all sets that these tables can make: each set lies within a group.

        When adjacency is not required, these are the tables of each possible recipe, and each of them is in some set.
        Otherwise they are the sets themselves.
        """
        if self._rules.adjacency_required or self._special:
            for candidate in self.stream(free, draws):
                yield candidate.mask
            return
        for recipe in self._allowed_by(free):
            yield reduce(or_, [self._kinds[kind].tables for kind, _ in recipe.needs]) & free

    def bounds(self, free: int) -> list[float]:
        """What the sets that these tables can make score at least, and those for which there is no recipe."""
        found = [recipe.standing.total for recipe in islice(self._allowed_by(free), 1)]
        scarcity = self._layout.scarcity
        for zone in self.cut_zones:
            movable = indices_of(self._layout.zones[zone] & self._layout.movable)
            scarcest = sorted([scarcity[index] for index in movable])[:2]  # what isn't listed has two tables or more
            weights = self._weights
            least = (weights.table_count + weights.adjacency_cost, math.fsum(scarcest) * weights.scarcity)
            found.append(math.fsum(least))
        return found

    def _drawn(
        self, free: int, draws: Draws, worst: Standing | None
    ) -> Iterator[tuple[tuple[Standing, Members], Candidate | None]]:
        """Draw by draw: the lowest place that this and later draws can have, and the set if it is a candidate."""
        for standing, recipes in groupby(self._allowed_by(free), key=itemgetter(0)):
            if worst is not None and standing > worst:
                return
            sets = [self._sets(recipe, free) for recipe in recipes]
            for members, mask, recipe in sets[0] if len(sets) == 1 else heapq.merge(*sets):
                if not draws.take():
                    return
                yield (standing, members), self._candidate(members, mask, recipe)

    def _allowed_by(self, free: int) -> Iterator[Recipe]:
        """The recipes that these tables can make, best first."""
        rest = self._possible(free)
        while rest:
            low = rest & -rest
            rest ^= low
            yield self._recipes[low.bit_length() - 1]

    def _sets(self, recipe: Recipe, free: int) -> Iterator[tuple[Members, int, Recipe]]:
        needs = {self._kinds[kind].tables & free: count for kind, count in recipe.needs}
        for mask in _in_order(needs, reduce(or_, needs), 0):
            yield indices_of(mask), mask, recipe

    def _candidate(self, members: Members, mask: int, recipe: Recipe) -> Candidate | None:
        size = len(members)
        capacity = recipe.seats
        if mask in self._layout.said:
            return None
        if self._layout.connected(mask):
            if size <= self._listed_up_to[recipe.zone_id]:
                return None
            centres = self._layout.centres(mask, members)
            cost = 1 if centres else 2
            if self._rules.adjacency_required and not touches(self._mode, size, cost, centres == size):
                return None
            capacity -= self._layout.loss(members)
            if capacity < self._rules.party or capacity > (self._rules.largest_capacity or capacity):
                return None
        elif self._loose and capacity <= (self._rules.largest_capacity or capacity):
            cost = size
        else:
            return None
        standing, score = recipe.standing, recipe.score
        if (cost, capacity) != (standing.adjacency_cost, standing.capacity):
            standing, score = self._score(recipe.needs, cost, capacity)
        return Candidate(standing, members, mask, score, UNLISTED)

    def _possible(self, free: int) -> int:
        """The recipes that these tables can make, as a bitset."""
        blocked = 0
        for kind, more in zip(self._kinds, self._needing_more, strict=True):
            left = (kind.tables & free).bit_count()
            if left < len(more):
                blocked |= more[left]
        return self._all & ~blocked

    def _by_need(self) -> list[list[int]]:
        """For each kind, at n, the bitset of the recipes that need more than n of it."""
        length = (len(self._recipes) + 7) // 8
        more = [[bytearray(length) for _ in range(self._rules.max_tables)] for _ in self._kinds]
        for rank, recipe in enumerate(self._recipes):
            byte, bit = rank >> 3, 1 << (rank & 7)
            for kind, count in recipe.needs:
                for n in range(count):
                    more[kind][n][byte] |= bit
        return [[int.from_bytes(bits, "little") for bits in each] for each in more]

    def _add_zone(self, zone: int, first_size: int, recipes_limit: int) -> None:
        kinds = self._kinds_of(zone)
        first = len(self._kinds)
        self._kinds.extend(kinds)
        losses = self._layout.losses_in(zone)
        for size in range(first_size, self._rules.max_tables + 1):
            joins = size > self._listed_up_to[zone]
            cost = 1 if joins else size
            # of the sets drawn here those that are joined lose seats, at size - 1 edges of the zone
            least, most = (sum(losses[: size - 1]), sum(losses[1 - size :])) if joins else (0, 0)
            if self._loose:
                least = 0
            largest = self._rules.largest_capacity
            for needs in self._needs(
                kinds, size, self._rules.party + least, math.inf if largest is None else largest + most
            ):
                if len(self._recipes) >= recipes_limit:
                    self.cut_zones.add(zone)
                    return
                numbered = tuple((first + kind, count) for kind, count in needs)
                seats = sum(count * kinds[kind].capacity for kind, count in needs)
                standing, score = self._score(numbered, cost, max(seats - most, self._rules.party))
                self._recipes.append(Recipe(standing, score, numbered, zone, seats))

    def _kinds_of(self, zone: int) -> list[Kind]:
        layout = self._layout
        rules = self._rules
        grouped: dict[tuple[int, float], int] = {}
        for index in indices_of(layout.zones[zone] & layout.movable):
            if rules.undercut or layout.min_party[index] <= rules.party:
                key = (layout.capacity[index], layout.scarcity[index])
                grouped[key] = grouped.get(key, 0) | 1 << index
        return [Kind(zone, capacity, scarcity, tables) for (capacity, scarcity), tables in sorted(grouped.items())]

    def _needs(self, kinds: list[Kind], size: int, fewest: int, most: float) -> Iterator[tuple[tuple[int, int], ...]]:
        """All ways to take `size` tables of the kinds, which ascend by capacity, with from `fewest` to `most` seats."""
        capacities = [kind.capacity for kind in kinds]
        stock = [kind.tables.bit_count() for kind in kinds]
        largest = capacities[-1] if kinds else 0

        def taken(size: int, start: int, seats: int) -> Iterator[tuple[tuple[int, int], ...]]:
            if size == 1:
                first = bisect_left(capacities, fewest - seats, start)
                for kind in range(first, bisect_right(capacities, most - seats, start)):
                    yield ((kind, 1),)
                return
            for kind in range(start, len(kinds)):
                capacity = capacities[kind]
                if seats + size * capacity > most:
                    return  # no later one is smaller
                for count in range(1, min(size, stock[kind]) + 1):
                    held, left = seats + count * capacity, size - count
                    if held + left * largest < fewest:
                        continue
                    if left == 0:
                        yield ((kind, count),)
                    else:
                        for rest in taken(left, kind + 1, held):
                            yield ((kind, count), *rest)

        return taken(size, 0, 0)

    def _score(self, needs: tuple[tuple[int, int], ...], adjacency_cost: int, capacity: int) -> tuple[Standing, Score]:
        members = [self._kinds[kind] for kind, count in needs for _ in range(count)]
        profile = Profile(
            capacity=capacity,
            size=len(members),
            largest=max(kind.capacity for kind in members),
            adjacency_cost=adjacency_cost,
            needs_party=1,
            most_party=None,
            scarcity=math.fsum(kind.scarcity for kind in members),
            pairwise=False,
            behind=self._behind,
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
