"""For each table of the floor: what keeps it from this party, or that some plan has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from maitred.model.floor import Mobility, Table, TableStatus
from maitred.planner.answer import Ranked, Request
from maitred.planner.layout import indices_of
from maitred.planner.planner import Planner
from maitred.planner.rules import Rules, looser_steps, request_rules

MOST_NAMED = 4


class ObstacleCode(StrEnum):
    """What stands in a table's way. Stable, safe to store; the order is the one in which they are looked for."""

    INACTIVE = "inactive"
    OUT_OF_SERVICE = "out_of_service"
    OTHER_ZONE = "other_zone"
    AVOIDED = "avoided"
    FOR_LARGER = "for_larger"
    FOR_VIP = "for_vip"
    NEED = "need"
    MIN_PARTY = "min_party"
    TOO_LARGE = "too_large"
    MAX_PARTY = "max_party"
    FIXED = "fixed"
    NO_SET = "no_set"
    UNCLEAR = "unclear"
    TAKEN = "taken"
    SETS_TAKEN = "sets_taken"
    KEPT = "kept"
    IN_PLAN = "in_plan"


_UNCLEAR = (ObstacleCode.UNCLEAR, "too many sets to look through all of them")


@dataclass(frozen=True, slots=True)
class TableObstacle:
    """One table and what stands in its way. Every set with it needs one of the tables (ids) `in_the_way`."""

    table_id: int
    number: str
    code: ObstacleCode
    text: str
    in_the_way: tuple[int, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether no plan has this table."""
        return self.code is not ObstacleCode.IN_PLAN


def explain_tables(planner: Planner, request: Request, blockers: Mapping[int, str]) -> tuple[TableObstacle, ...]:
    """All tables in the order of their numbers.

    What is said holds under the rules that gave the answer, relaxed if they were; without an answer, under the first,
    unrelaxed ones. `blockers` says for ids of taken tables what takes them ("B012 19:00-20:20").
    Raises InvalidInput as `Planner.answer` does.
    """
    return tuple(_Explanation(planner, request, blockers).obstacles())


def _answering_rules(planner: Planner, request: Request) -> Rules:
    rules = request_rules(planner.policy, request)
    answer = planner.answer(request)
    if isinstance(answer, Ranked) and answer.relaxed:
        for looser, relaxed in looser_steps(planner.policy, request, rules):
            if relaxed == answer.relaxed:
                return looser
    return rules


class _Explanation:
    """`possible` are the tables in some candidate of an empty room, `free` those in some free one."""

    def __init__(self, planner: Planner, request: Request, blockers: Mapping[int, str]) -> None:
        self._planner = planner
        self._request = request
        self._blockers = blockers
        self._layout = planner.layout
        self._barred = planner.barred(request)
        self._rules = _answering_rules(planner, request)
        self._seating = planner.seating(self._rules)
        self._draws = planner.draws()
        self._possible = self._seating.reachable(self._barred, self._draws)
        self._free = self._seating.reachable(self._barred | request.occupied, self._draws)
        self._kept = self._free & ~self._considerate()
        self._in_the_way = self._blocked_by(self._possible & ~self._free & ~request.occupied)
        self._cut = self._draws.cut or bool(self._seating.cut_zones)

    def obstacles(self) -> Iterator[TableObstacle]:
        for index, table in enumerate(self._layout.tables):
            in_the_way = indices_of(self._in_the_way.get(index, 0))
            code, text = self._rule_against(index, table) or self._standing_of(index, table)
            ids = tuple(self._layout.tables[each].id for each in in_the_way)
            yield TableObstacle(table.id, table.number, code, text, ids)

    def _rule_against(self, index: int, table: Table) -> tuple[ObstacleCode, str] | None:
        """What rules the table out by itself, whatever else stands around it."""
        rules, request = self._rules, self._request
        if not table.active:
            return ObstacleCode.INACTIVE, "not active"
        if table.status is TableStatus.OUT_OF_SERVICE:
            return ObstacleCode.OUT_OF_SERVICE, "out of service"
        if request.zone_id is not None and table.zone_id != request.zone_id:
            return ObstacleCode.OTHER_ZONE, "in another zone than asked for"
        if table.id in request.avoid:
            return ObstacleCode.AVOIDED, "to be avoided"
        asks = self._planner.asks
        if asks.kept_for_large(request) >> index & 1:
            return ObstacleCode.FOR_LARGER, "kept for larger parties until shortly before the start"
        if asks.for_vip(request) >> index & 1:
            return ObstacleCode.FOR_VIP, "kept for VIPs"
        if request.preferences is not None and asks.unmet(request.preferences) >> index & 1:
            return ObstacleCode.NEED, "lacks what the party needs"
        if self._possible >> index & 1:
            return None  # a venue may say of a set what its tables say otherwise
        if table.min_party_size > rules.party and not rules.undercut:
            return ObstacleCode.MIN_PARTY, f"for parties of {table.min_party_size} or more"
        if rules.largest_capacity is not None and table.capacity > rules.largest_capacity:
            spare = table.capacity - rules.party
            return ObstacleCode.TOO_LARGE, f"too large: {spare} seats to spare, {rules.max_overage} are allowed"
        return None

    def _standing_of(self, index: int, table: Table) -> tuple[ObstacleCode, str]:
        bit = 1 << index
        if not self._possible & bit:
            return self._no_set(table)
        if self._request.occupied & bit:
            blocker = self._blockers.get(table.id)
            return ObstacleCode.TAKEN, f"taken: {blocker}" if blocker else "taken"
        if self._free & ~self._kept & bit:
            return ObstacleCode.IN_PLAN, "in a plan"
        if self._cut:
            return _UNCLEAR
        if self._kept & bit:
            return ObstacleCode.KEPT, "every plan with it would leave too many waiting bookings without a table"
        return ObstacleCode.SETS_TAKEN, self._alone(
            table
        ) + f"every set with it needs a taken table: {self._named(index)}"

    def _no_set(self, table: Table) -> tuple[ObstacleCode, str]:
        fixed = table.mobility is Mobility.FIXED
        rest = "fixed, so it joins no other" if fixed else "no allowed set with it fits the party"
        if self._cut and not fixed:
            return _UNCLEAR
        if table.capacity >= self._rules.party:
            return ObstacleCode.MAX_PARTY, f"{self._alone(table)}{rest}"
        return (ObstacleCode.FIXED if fixed else ObstacleCode.NO_SET), f"{self._alone(table)}{rest}"

    def _alone(self, table: Table) -> str:
        """Why it can't take the party alone."""
        if table.capacity < self._rules.party:
            return "too small alone; "
        return f"alone for parties of {table.max_party_size} at most; "

    def _named(self, index: int) -> str:
        tables = [self._layout.tables[each] for each in indices_of(self._in_the_way[index])]
        names = [
            f"{table.number} ({self._blockers[table.id]})" if table.id in self._blockers else table.number
            for table in tables[:MOST_NAMED]
        ]
        more = len(tables) - MOST_NAMED
        return ", ".join(names) + (f" and {more} more" if more > 0 else "")

    def _considerate(self) -> int:
        """The tables in some free candidate that the look-ahead doesn't drop."""
        request = self._request
        if not request.upcoming or self._planner.policy.lookahead_limit is None:
            return self._free
        lookahead = self._planner.lookahead(request, self._draws)
        if not lookahead.waiting:
            return self._free
        considerate = 0
        for candidate in self._seating.stream(self._barred | request.occupied, self._draws):
            if candidate.mask & ~considerate and not lookahead.drops(lookahead.conflict(candidate.mask)):
                considerate |= candidate.mask
                if considerate == self._free:
                    break
        return considerate

    def _blocked_by(self, tables: int) -> dict[int, int]:
        """For each of these free tables the taken tables of all candidates that it is in."""
        blocked: dict[int, int] = {}
        if not tables:
            return blocked
        for mask in self._seating.groups(self._barred, self._draws):
            for index in indices_of(mask & tables):
                blocked[index] = blocked.get(index, 0) | (mask & self._request.occupied)
        return blocked
