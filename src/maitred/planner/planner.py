"""The planner: for a party and an occupied room, the ranked plans or the reason why there is none."""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Iterable, Iterator
from operator import itemgetter

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.reason import ReasonCode
from maitred.model.scoring import MOST_TABLES, ScoringPolicy
from maitred.planner.answer import Answer, Effort, Plan, Ranked, Refused, Request
from maitred.planner.catalogue import Catalogue, Members
from maitred.planner.layout import Layout, indices_of
from maitred.planner.lookahead import Waiting, waiting_bookings
from maitred.planner.ordering import make_plan
from maitred.planner.recipes import Drawn, Draws
from maitred.planner.refusal import reason_without_candidates
from maitred.planner.rules import Rules, looser_steps, policy_rules, request_rules
from maitred.planner.score import Standing
from maitred.planner.seating import Seating, Seatings


class Planner:
    """Answers for one version of a floor under one policy. Same question, same answer; safe to share between threads.

    The bounds are for floors beyond the ordinary, and an answer that they touched says so (`effort.exact`):
    `enumeration_limit` is the largest number of sets that are listed when adjacency is not required, or in a zone
    where all tables touch each other; beyond it tables are drawn by kind, which is as exact. `sets_limit` bounds the
    catalogue, `draws_limit` how many sets one answer may draw by kind, `kept_candidates` the orderings kept.
    Raises InvalidInput for a floor that contradicts itself.
    """

    def __init__(
        self,
        floor: Floor,
        policy: ScoringPolicy,
        *,
        enumeration_limit: int = 5_000,
        sets_limit: int = 200_000,
        draws_limit: int = 20_000,
        kept_candidates: int = 200_000,
    ) -> None:
        self.floor = floor
        self.policy = policy
        self.layout = Layout(floor)
        self.catalogue = Catalogue(
            self.layout, sets_limit=sets_limit, enumeration_limit=enumeration_limit, most_tables=MOST_TABLES
        )
        self._sets_limit = sets_limit
        self._draws_limit = draws_limit
        self._seatings = Seatings(self._build_seating, most_candidates=kept_candidates)
        self._avoided: dict[frozenset[int], int] = {frozenset(): 0}
        for _ in self.catalogue.connected(policy.max_tables):
            pass

    def mask_of(self, table_ids: Iterable[int]) -> int:
        """The bitmask of these tables. Raises InvalidInput for an id that the floor doesn't have."""
        mask = 0
        for table_id in table_ids:
            index = self.layout.index_of.get(table_id)
            if index is None:
                raise InvalidInput("request", "tables", f"the floor has no table with id {table_id}")
            mask |= 1 << index
        return mask

    def ids_of(self, mask: int) -> tuple[int, ...]:
        """The ids of the tables in a bitmask, in the order of their numbers."""
        return tuple(self.layout.tables[index].id for index in indices_of(mask))

    def answer(self, request: Request) -> Answer:
        """The ranked plans, or why nothing fits. Raises InvalidInput naming the field for a question without sense."""
        barred = self.barred(request)
        rules = request_rules(self.policy, request)
        seating = self._seatings.get(rules)
        plans, exact = self._plans(seating, request, barred)
        if plans:
            return Ranked(plans, self._effort(seating, request, exact))
        return self._relaxed(seating, request, barred, exact)

    def seating(self, rules: Rules) -> Seating:
        """All candidates under these rules, ranked."""
        return self._seatings.get(rules)

    def waiting(self, request: Request) -> list[Waiting]:
        """The waiting bookings that a plan could leave without tables, by the policy's own rules for their party."""
        multiplier = request.demand_multiplier
        return waiting_bookings(
            request.upcoming, lambda party: self._seatings.get(policy_rules(self.policy, party, multiplier))
        )

    def conflict(self, waiting: Iterable[Waiting], mask: int) -> float:
        """The look-ahead term of a set."""
        harmed = sum(each.bookings for each in waiting if each.left_without(mask))
        return harmed * self.policy.lookahead_penalty if harmed else 0.0

    def drops(self, conflict: float) -> bool:
        """Whether a look-ahead term this large rules a plan out."""
        limit = self.policy.lookahead_limit
        return limit is not None and conflict > limit

    def barred(self, request: Request) -> int:
        """The tables outside the zone asked for and those to be avoided. Raises InvalidInput."""
        _check(request, self.layout)
        barred = 0
        if request.zone_id is not None:
            zone = self.layout.zones.get(request.zone_id)
            if zone is None:
                raise InvalidInput("request", "zone_id", f"the floor has no zone with id {request.zone_id}")
            barred = self.layout.all & ~zone
        for table_id in request.avoid:
            index = self.layout.index_of.get(table_id)
            if index is None:
                raise InvalidInput("request", "avoid", f"the floor has no table with id {table_id}")
            barred |= 1 << index
        return barred

    def _build_seating(self, rules: Rules) -> Seating:
        policy = self.policy
        return Seating(
            self.layout,
            self.catalogue,
            rules,
            policy.weights,
            policy.adjacency_mode,
            recipes_limit=self._sets_limit,
        )

    def _relaxed(self, first: Seating, request: Request, barred: int, exact: bool) -> Answer:
        """What the ladder gives when its first step gave nothing."""
        fits_empty_room = first.first_free(barred) != 0
        exact = exact and self._whole(first, request)
        for rules, relaxed in looser_steps(self.policy, request, first.rules):
            seating = self._seatings.get(rules)
            plans, whole = self._plans(seating, request, barred)
            exact = exact and whole and self._whole(seating, request)
            if plans:
                effort = Effort(seating.sets_in_catalogue, seating.candidates, exact)
                return Ranked(plans, effort, relaxed)
            fits_empty_room = fits_empty_room or seating.first_free(barred) != 0
        reason = ReasonCode.NO_CAPACITY
        if not fits_empty_room:
            reason = reason_without_candidates(self.layout, request.party, first.rules.max_tables, barred)
        return Refused(reason, Effort(first.sets_in_catalogue, first.candidates, exact))

    def _plans(self, seating: Seating, request: Request, barred: int) -> tuple[tuple[Plan, ...], bool]:
        """The best plans of one step, and whether the search went to its end."""
        occupied = request.occupied | barred
        waiting = self.waiting(request) if request.upcoming else None
        if seating.recipes is None and not waiting:
            listed = seating.listed
            return tuple([listed.plan(rank) for rank in listed.free(occupied, request.limit)]), True
        draws = Draws(self._draws_limit)
        best: list[tuple[Standing, Members, Drawn]] = []
        for drawn in self._stream(seating, occupied, draws):
            if len(best) == request.limit and (drawn.standing, drawn.members) > best[-1][:2]:
                break  # the look-ahead only adds: nothing that follows can beat what was found
            if waiting:
                conflict = self.conflict(waiting, drawn.mask)
                if self.drops(conflict):
                    continue
                found = drawn.burdened(conflict) if conflict else drawn
            else:
                found = drawn
            insort(best, (found.standing, found.members, found), key=itemgetter(0, 1))
            del best[request.limit :]
        plans = [make_plan(self.layout, drawn.members, drawn.mask, drawn.standing, drawn.score) for _, _, drawn in best]
        return tuple(plans), not draws.cut

    def _stream(self, seating: Seating, occupied: int, draws: Draws) -> Iterator[Drawn]:
        """All free candidates in static order."""
        listed = _listed(seating, occupied)
        if seating.recipes is None:
            return listed
        return heapq.merge(listed, seating.recipes.stream(self.layout.all & ~occupied, draws))

    def _whole(self, seating: Seating, request: Request) -> bool:
        """Whether every candidate that the request could have is known."""
        if not seating.cut_zones:
            return True
        return request.zone_id is not None and request.zone_id not in seating.cut_zones

    def _effort(self, seating: Seating, request: Request, exact: bool) -> Effort:
        return Effort(seating.sets_in_catalogue, seating.candidates, exact and self._whole(seating, request))


def _listed(seating: Seating, occupied: int) -> Iterator[Drawn]:
    listed = seating.listed
    for rank in listed.stream(occupied):
        standing, score = listed.standing(rank)
        yield Drawn(standing, listed.members[rank], listed.masks[rank], score)


def _check(request: Request, layout: Layout) -> None:
    if request.party < 1:
        raise InvalidInput("request", "party", "must be 1 or more")
    if request.limit < 1:
        raise InvalidInput("request", "limit", "must be 1 or more plans")
    if request.max_tables is not None and not 1 <= request.max_tables <= MOST_TABLES:
        raise InvalidInput("request", "max_tables", f"must be from 1 to {MOST_TABLES}")
    if not 0 <= request.demand_multiplier < math.inf:
        raise InvalidInput("request", "demand_multiplier", "must be a finite number of 0 or more")
    if not 0 <= request.occupied <= layout.all:
        raise InvalidInput("request", "occupied", "has bits beyond the floor's tables")
    for each in request.upcoming:
        if each.party < 1:
            raise InvalidInput("request", "upcoming.party", "must be 1 or more")
        if not 0 <= each.occupied <= layout.all:
            raise InvalidInput("request", "upcoming.occupied", "has bits beyond the floor's tables")
