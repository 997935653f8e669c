"""The planner: for a party and an occupied room, the ranked plans or the reason why there is none."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable
from dataclasses import replace

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.joined import MOST_TABLES
from maitred.model.reason import ReasonCode
from maitred.model.scoring import ScoringPolicy
from maitred.planner.answer import Answer, Effort, Plan, Ranked, Refused, Request
from maitred.planner.asks import Asks
from maitred.planner.burden import Burden
from maitred.planner.candidate import Candidate
from maitred.planner.catalogue import Catalogue
from maitred.planner.layout import Layout, indices_of
from maitred.planner.lookahead import Lookahead
from maitred.planner.recipes import Draws
from maitred.planner.refusal import reason_without_candidates
from maitred.planner.rules import Rules, looser_steps, policy_rules, request_rules
from maitred.planner.seating import Seating, Seatings

_ROUNDING = 1e-6  # a price that comes to the party's own covers is not above them


class Planner:
    """Answers for one version of a floor under one policy. Same question, same answer; safe to share between threads.

    The bounds are for floors beyond the ordinary, and an answer that touched one says so (`effort.exact`).
    `enumeration_limit` is the largest number of sets that are listed when adjacency is not required, or in a zone
    where all tables touch each other; beyond it sets are drawn by kind of table, which is as exact. `sets_limit`
    bounds the catalogue, beyond which sets are drawn too; `recipes_limit` the combinations of kinds for one sort of
    question; `draws_limit` how many sets one search may draw; `kept_candidates` the rankings kept between questions.
    Raises InvalidInput for a floor that contradicts itself.
    """

    def __init__(
        self,
        floor: Floor,
        policy: ScoringPolicy,
        *,
        enumeration_limit: int = 5_000,
        sets_limit: int = 200_000,
        recipes_limit: int = 200_000,
        draws_limit: int = 20_000,
        kept_candidates: int = 200_000,
    ) -> None:
        self.floor = floor
        self.policy = policy
        self.layout = Layout(floor)
        self.catalogue = Catalogue(
            self.layout, sets_limit=sets_limit, enumeration_limit=enumeration_limit, most_tables=MOST_TABLES
        )
        self.catalogue.reach(policy.max_tables)
        self.asks = Asks(self.layout, floor, policy)
        self._recipes_limit = recipes_limit
        self._draws_limit = draws_limit
        self._seatings = Seatings(self._build_seating, most_candidates=kept_candidates)
        # by number of tables, whether all sets, joined or not, are few enough to be ranked in a moment
        self._few = [self.catalogue.lists_loose(size) for size in range(MOST_TABLES + 1)]

    @property
    def kept_candidates(self) -> int:
        """How many candidates the rankings kept for coming questions list together."""
        return self._seatings.candidates

    def mask_of(self, table_ids: Iterable[int]) -> int:
        """The bitmask of these tables. Raises InvalidInput for an id that the floor doesn't have."""
        return self._mask(table_ids, "tables")

    def ids_of(self, mask: int) -> tuple[int, ...]:
        """The ids of the tables in a bitmask, in the order of their numbers."""
        return tuple(self.layout.tables[index].id for index in indices_of(mask))

    def quick(self, request: Request) -> bool:
        """Whether the answer takes a moment only: nothing large must be prepared first, and no sets must be drawn under
        terms that are this question's own. Whoever must not wait asks in a thread otherwise.
        """
        first = request_rules(self.policy, request)
        if self._few[first.max_tables]:
            return True
        steps = [first, *(rules for rules, _ in looser_steps(self.policy, request, first))]
        waiting = {each.party for each in request.upcoming}
        steps += [policy_rules(self.policy, party, request.demand_multiplier) for party in waiting]
        if not all(rules in self._seatings for rules in steps):
            return False
        if not any(self._seatings.get(rules).recipes for rules in steps):
            return True
        plain = not waiting and not self.layout.said and not self.layout.loses_seats
        return plain and self.asks.burden(request) is None

    def answer(self, request: Request) -> Answer:
        """The ranked plans, or why nothing fits. Raises InvalidInput naming the field for a question without sense."""
        found = self._answer(request)
        if request.prices and self.policy.prices.decline and isinstance(found, Ranked):
            return self._worth_it(request, found)
        return found

    def _worth_it(self, request: Request, found: Ranked) -> Answer:
        """The same, unless the best plan's tables would otherwise earn more than the party brings and the margin."""
        index_of = self.layout.index_of
        points = sum(request.prices[index_of[table]] for table in found.best.table_ids)
        covers = points / self.policy.prices.points_per_cover
        if covers <= request.party + self.policy.prices.margin + _ROUNDING:
            return found
        return Refused(ReasonCode.DECLINED, found.effort, price=covers)

    def _answer(self, request: Request) -> Answer:
        barred = self.barred(request)
        first = self._seatings.get(request_rules(self.policy, request))
        plans, exact = self._plans(first, request, barred)
        if plans:
            return Ranked(plans, first.effort if exact else self._cut([first], request, barred))
        steps = [first]
        for rules, relaxed in looser_steps(self.policy, request, first.rules):
            seating = self._seatings.get(rules)
            plans, whole = self._plans(seating, request, barred)
            exact = exact and whole
            if plans:
                effort = seating.effort if exact else self._cut([*steps, seating], request, barred)
                return Ranked(plans, effort, relaxed)
            steps.append(seating)
        return self._refused(steps, request, barred, exact)

    def barred(self, request: Request) -> int:
        """The tables outside the zone asked for, those to be avoided, and those that are not for this party.

        Raises InvalidInput as `answer` does.
        """
        _check(request, self.layout)
        self.asks.check(request)
        barred = self.asks.barred(request)
        if request.avoid:
            barred |= self._mask(request.avoid, "avoid")
        if request.zone_id is None:
            return barred
        zone = self.layout.zones.get(request.zone_id)
        if zone is None:
            raise InvalidInput("request", "zone_id", f"the floor has no zone with id {request.zone_id}")
        return barred | (self.layout.all & ~zone)

    def seating(self, rules: Rules) -> Seating:
        """All candidates under these rules, ranked."""
        return self._seatings.get(rules)

    def lookahead(self, request: Request, draws: Draws) -> Lookahead:
        """The waiting bookings that a plan could harm, by the policy's own rules for their party."""
        multiplier = request.demand_multiplier
        return Lookahead(
            self.policy,
            request.upcoming,
            lambda party: self._seatings.get(policy_rules(self.policy, party, multiplier)),
            draws,
        )

    def draws(self) -> Draws:
        """A fresh allowance for one search."""
        return Draws(self._draws_limit)

    def _mask(self, table_ids: Iterable[int], field: str) -> int:
        mask = 0
        for table_id in table_ids:
            index = self.layout.index_of.get(table_id)
            if index is None:
                raise InvalidInput("request", field, f"the floor has no table with id {table_id}")
            mask |= 1 << index
        return mask

    def _build_seating(self, rules: Rules) -> Seating:
        return Seating(self.layout, self.catalogue, rules, self.policy, recipes_limit=self._recipes_limit)

    def _plans(self, seating: Seating, request: Request, barred: int) -> tuple[tuple[Plan, ...], bool]:
        """The best plans of one step, and whether nothing better can have been missed."""
        occupied = request.occupied | barred
        draws = self.draws()
        whole = not seating.cut_zones or (request.zone_id is not None and request.zone_id not in seating.cut_zones)
        lookahead = self.lookahead(request, draws) if request.upcoming else None
        burden = self.asks.burden(request)
        if lookahead is not None and lookahead.waiting:
            plans = _considerate(seating, occupied, request.limit, lookahead, burden, draws)
        elif burden is not None:
            plans = seating.best_burdened(occupied, request.limit, burden, draws)
        else:
            plans = seating.best(occupied, request.limit, draws)
        return plans, whole and not draws.cut and (lookahead is None or not lookahead.cut)

    def _cut(self, steps: list[Seating], request: Request, barred: int) -> Effort:
        """The effort of an answer that may not be the best: with what no set of these steps can be better than."""
        bound = min(seating.bound(request.occupied | barred) for seating in steps)
        return replace(steps[-1].cut_effort, bound=bound)

    def _refused(self, steps: list[Seating], request: Request, barred: int, exact: bool) -> Refused:
        draws = self.draws()
        reason = ReasonCode.NO_CAPACITY
        first = steps[0]
        if not any(seating.first_free(barred, draws) for seating in steps):
            reason = reason_without_candidates(self.layout, request.party, first.rules.max_tables, barred)
        return Refused(reason, first.effort if exact and not draws.cut else first.cut_effort)


def _considerate(
    seating: Seating, occupied: int, limit: int, lookahead: Lookahead, burden: Burden | None, draws: Draws
) -> tuple[Plan, ...]:
    """The best plans when each pays for the bookings that it leaves without tables, and bears its burden."""
    best: list[Candidate] = []
    for each in seating.stream(occupied, draws):
        if len(best) == limit and each > best[-1]:
            break  # burden and look-ahead only add: nothing that follows can beat what was found
        candidate = each if burden is None else burden.on(each)
        if len(best) == limit and candidate > best[-1]:
            continue
        conflict = lookahead.conflict(candidate.mask)
        if lookahead.drops(conflict):
            continue
        insort(best, candidate.burdened(conflict) if conflict else candidate)
        del best[limit:]
    return tuple([seating.plan(candidate) for candidate in best])


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
