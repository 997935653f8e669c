"""All that can seat a party under one set of rules: the listed sets, and the recipes for those too many to list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

from maitred.model.scoring import AdjacencyMode, Weights
from maitred.planner.catalogue import Batch, Catalogue
from maitred.planner.layout import Layout
from maitred.planner.ordering import Ordering
from maitred.planner.recipes import Recipes
from maitred.planner.rules import Rules
from maitred.planner.score import Profile, score_of


class Seating:
    """The candidates under one set of rules, ranked."""

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
        self.rules = rules
        self._all = layout.all
        scored = (
            (*score_of(batch.profile, weights, rules.party, rules.demand_multiplier), batch)
            for batch in _batches(catalogue, rules)
            if permits(rules, mode, batch.profile)
        )
        self.listed = Ordering(layout, scored)
        recipes = Recipes(layout, catalogue, rules, weights, recipes_limit=recipes_limit)
        self.recipes = recipes if len(recipes) or recipes.cut_zones() else None
        self.candidates = len(self.listed) + len(recipes)
        self.cut_zones = recipes.cut_zones() | catalogue.cut_zones(rules.max_tables)
        self.sets_in_catalogue = catalogue.size(rules.max_tables)

    def first_free(self, occupied: int) -> int:
        """The mask of one free candidate; 0 when there is none."""
        found = self.listed.first_free(occupied)
        if found or self.recipes is None:
            return found
        return self.recipes.first_free(self._all & ~occupied)


def permits(rules: Rules, mode: AdjacencyMode, profile: Profile) -> bool:
    """Whether sets of this profile are candidates under the rules."""
    most = rules.largest_capacity
    if profile.capacity < rules.party or (most is not None and profile.capacity > most):
        return False
    if profile.needs_party > rules.party and not rules.undercut:
        return False
    if profile.size == 1:
        return profile.most_alone is None or rules.party <= profile.most_alone
    return not rules.adjacency_required or touches(mode, profile)


def touches(mode: AdjacencyMode, profile: Profile) -> bool:
    """Whether sets of this profile satisfy the adjacency mode."""
    if mode is AdjacencyMode.PAIRWISE:
        return profile.pairwise
    if mode is AdjacencyMode.NEIGHBORS:
        return profile.connected and profile.adjacency_cost <= 1
    return profile.connected


def _batches(catalogue: Catalogue, rules: Rules) -> Iterator[Batch]:
    yield from catalogue.connected(rules.max_tables)
    if not rules.adjacency_required and catalogue.lists_loose(rules.max_tables):
        yield from catalogue.loose(rules.max_tables)


class Seatings:
    """The seatings in use, built when first asked for. The longest unused give way.

    What is kept is bounded by the number of candidates in all, since that is what takes the memory; the newest is
    always kept. Safe to share between threads.
    """

    def __init__(self, build: Callable[[Rules], Seating], *, most_candidates: int) -> None:
        self._build = build
        self._most_candidates = most_candidates
        self._kept: dict[Rules, Seating] = {}
        self._candidates = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def candidates(self) -> int:
        """How many candidates the kept seatings list together."""
        return self._candidates

    def get(self, rules: Rules) -> Seating:
        """The seating for these rules."""
        with self._lock:
            seating = self._kept.pop(rules, None)
            if seating is None:
                seating = self._build(rules)
                self._candidates += 1 + seating.candidates
                while self._kept and self._candidates > self._most_candidates:
                    oldest = self._kept.pop(next(iter(self._kept)))
                    self._candidates -= 1 + oldest.candidates
            self._kept[rules] = seating
            return seating
