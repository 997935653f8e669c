"""All that can seat a party under one set of rules: the listed sets, and the recipes for those too many to list."""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from threading import Lock

from maitred.model.scoring import ScoringPolicy
from maitred.planner.answer import Effort, Plan
from maitred.planner.burden import Burden
from maitred.planner.candidate import UNLISTED, Candidate, plan_of
from maitred.planner.catalogue import Batch, Catalogue
from maitred.planner.layout import Layout
from maitred.planner.ordering import Ordering
from maitred.planner.recipes import Draws, Recipes
from maitred.planner.rules import Rules, permits
from maitred.planner.score import score_of
from maitred.planner.sums import ROUNDING


class Seating:
    """The candidates under one set of rules, ranked."""

    def __init__(
        self, layout: Layout, catalogue: Catalogue, rules: Rules, policy: ScoringPolicy, *, recipes_limit: int
    ) -> None:
        self.rules = rules
        self._layout = layout
        self.listed = Ordering(
            layout,
            (
                (*score_of(batch.profile, policy.weights, rules.party, rules.demand_multiplier), batch)
                for batch in _batches(catalogue, rules)
                if permits(rules, policy.adjacency_mode, batch.profile)
            ),
        )
        self.recipes = Recipes(
            layout, catalogue, rules, policy.weights, policy.adjacency_mode, recipes_limit=recipes_limit
        )
        self.candidates = len(self.listed) + len(self.recipes)
        self.cut_zones = self.recipes.cut_zones
        self.effort = Effort(catalogue.size(rules.max_tables), self.candidates)
        self.cut_effort = replace(self.effort, exact=False)

    def best(self, occupied: int, limit: int, draws: Draws) -> tuple[Plan, ...]:
        """The best free plans by their static score."""
        listed = self.listed
        ranks = listed.free(occupied, limit)
        if not self.recipes:
            return tuple([listed.plan(rank) for rank in ranks])
        found = [listed.candidate(rank) for rank in ranks]
        worst = found[-1].standing if len(found) == limit else None
        for candidate in self.recipes.stream(self._layout.all & ~occupied, draws, worst):
            if len(found) >= limit and candidate > found[limit - 1]:
                break
            found.append(candidate)
            found.sort()
        return tuple([self.plan(candidate) for candidate in found[:limit]])

    def best_burdened(self, occupied: int, limit: int, burden: Burden, draws: Draws) -> tuple[Plan, ...]:
        """The best free plans, each with what it bears of the burden."""
        if not self.recipes:
            return self.listed.burdened_plans(occupied, limit, burden)
        found = self.listed.burdened(occupied, limit, burden)
        free = self._layout.all & ~occupied
        least = burden.least(free)
        for candidate in self.recipes.stream(free, draws):
            if len(found) >= limit and candidate.standing.total + least > found[-1].standing.total + ROUNDING:
                break
            insort(found, burden.on(candidate))
            del found[limit:]
        return tuple([self.plan(candidate) for candidate in found])

    def stream(self, occupied: int, draws: Draws) -> Iterator[Candidate]:
        """All free candidates, best first by their static score."""
        listed = self.listed.stream(occupied)
        if not self.recipes:
            return listed
        return heapq.merge(listed, self.recipes.stream(self._layout.all & ~occupied, draws))

    def bound(self, occupied: int) -> float:
        """What no free set can score less than, drawn and listed or not."""
        found = [candidate.standing.total for candidate in islice(self.listed.stream(occupied), 1)]
        found += self.recipes.bounds(self._layout.all & ~occupied)
        return min(found, default=0.0)

    def plan(self, candidate: Candidate) -> Plan:
        """The plan of one of this seating's candidates."""
        if candidate.rank != UNLISTED:
            return self.listed.plan(candidate.rank)
        return plan_of(self._layout, candidate)

    def first_free(self, occupied: int, draws: Draws) -> int:
        """The mask of one free candidate; 0 when there is none."""
        found = self.listed.first_free(occupied)
        if found or not self.recipes:
            return found
        return self.recipes.first_free(self._layout.all & ~occupied, draws)

    def groups(self, occupied: int, draws: Draws) -> Iterator[int]:
        """Groups of free tables: each free candidate lies in a group, and each table of a group is in a candidate."""
        for mask in self.listed.masks:
            if not mask & occupied:
                yield mask
        yield from self.recipes.groups(self._layout.all & ~occupied, draws)

    def reachable(self, occupied: int, draws: Draws) -> int:
        """The tables that are in some free candidate."""
        reachable = 0
        for mask in self.groups(occupied, draws):
            reachable |= mask
        return reachable


def _batches(catalogue: Catalogue, rules: Rules) -> Iterator[Batch]:
    yield from catalogue.connected(rules.max_tables)
    if not rules.adjacency_required:
        yield from catalogue.loose(rules.max_tables)


class Seatings:
    """The seatings in use, built when first asked for; the longest unused give way.

    What is kept is bounded by the number of candidates in all, since that is what takes the memory; the newest is
    always kept. Safe to share between threads: one builds at a time, and whoever asks for what is there waits for none.
    """

    def __init__(self, build: Callable[[Rules], Seating], *, most_candidates: int) -> None:
        self._build = build
        self._most_candidates = most_candidates
        self._kept: dict[Rules, Seating] = {}
        self._candidates = 0
        self._lock = Lock()
        self._building = Lock()

    def __contains__(self, rules: Rules) -> bool:
        """Whether the seating for these rules is at hand."""
        return rules in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def candidates(self) -> int:
        """How many candidates the kept seatings list together."""
        return self._candidates

    def get(self, rules: Rules) -> Seating:
        """The seating for these rules."""
        seating = self._again(rules)
        if seating is not None:
            return seating
        with self._building:
            seating = self._again(rules)
            if seating is None:
                seating = self._build(rules)
                self._keep(rules, seating)
            return seating

    def _again(self, rules: Rules) -> Seating | None:
        with self._lock:
            seating = self._kept.pop(rules, None)
            if seating is not None:
                self._kept[rules] = seating
            return seating

    def _keep(self, rules: Rules, seating: Seating) -> None:
        with self._lock:
            self._candidates += 1 + seating.candidates
            while self._kept and self._candidates > self._most_candidates:
                oldest = self._kept.pop(next(iter(self._kept)))
                self._candidates -= 1 + oldest.candidates
            self._kept[rules] = seating
