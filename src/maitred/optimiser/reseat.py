"""Seating everybody anew so that one more fits, by CP-SAT: for what the search for moves could not settle.

The newcomer must have tables, everybody who is seated keeps some; fewest moves first, then the least cost. Of the day
only those matter who are linked to the newcomer by windows that overlap, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ortools.sat.python import cp_model

from maitred.planner.answer import Plan
from maitred.planner.layout import indices_of
from maitred.planner.moves import Move, Moves, NoMoves, Seated, Wanted, ladder, newcomer_under, party_of
from maitred.planner.moves_search import Party
from maitred.planner.planner import Planner

_POINT = 1_000_000  # totals have six decimals; the solver counts in whole numbers


@dataclass(frozen=True, slots=True)
class _Placing:
    """Party `index` on the set of this rank; None: where it is."""

    index: int
    rank: int | None
    mask: int
    cost: float


def reseat(planner: Planner, wanted: Wanted, seated: Sequence[Seated], *, most: int, seconds: float) -> Moves | NoMoves:
    """The way with the fewest moves, at most `most`, as `find_moves` would give it with time without end.

    `seconds` bounds each of the two questions to the solver (how few moves, and then how cheap) for each step of the
    newcomer's ladder; on one core, so that the same question gets the same answer. When the bound is met the answer
    says what was proved by then.
    """
    proved: int | None = None
    for rules, relaxed in ladder(planner, wanted.request):
        parties = [newcomer_under(planner, wanted, rules), *(party_of(planner, each) for each in seated)]
        listed = all(party.sets is None or party.sets.listed for party in parties)
        model = _Model(parties, most)
        status, fewest = model.fewest(seconds)
        if status == cp_model.INFEASIBLE:
            if not listed:
                proved = -1
            elif not model.all_may_move:
                proved = most if proved is None else min(proved, most)
            continue
        if fewest is None:
            proved = -1
            continue
        cheapest, way = model.cheapest(fewest, seconds)
        moved = [
            Move(seated[each.index - 1].id, seated[each.index - 1].mask, _plan(parties, each))
            for each in way
            if each.index and each.rank is not None
        ]
        [newcomer] = [each for each in way if not each.index]
        settled = listed and status == cp_model.OPTIMAL
        return Moves(
            plan=_plan(parties, newcomer),
            moved=tuple(moved),
            cost=round(sum(each.cost for each in way), 6),
            relaxed=relaxed,
            fewest=settled,
            cheapest=settled and cheapest,
            nodes=0,
        )
    return NoMoves(proved, 0)


def _plan(parties: Sequence[Party], placing: _Placing) -> Plan:
    if placing.rank is None:
        raise ValueError("a party that stays has no new plan")
    return parties[placing.index].choice.plan(placing.rank)


class _Model:
    """One step's model. `all_may_move`: the bound on moves binds nobody, so infeasible means with any number."""

    def __init__(self, parties: Sequence[Party], most: int) -> None:
        linked = _linked(parties)
        movable = [index for index in linked if parties[index].sets is not None]
        self.all_may_move = most >= len(movable) - 1
        self._model = cp_model.CpModel()
        self._placings: list[tuple[_Placing, cp_model.IntVar]] = []
        by_party: dict[int, list[tuple[int, cp_model.IntVar]]] = {}
        moves = []
        for index in movable:
            party = parties[index]
            fixed = party.barred
            for other in linked:
                if parties[other].sets is None and _together(party, parties[other]):
                    fixed |= parties[other].mask
            variables = []
            for placing in _placings(index, party, fixed):
                variable = self._model.new_bool_var("")
                self._placings.append((placing, variable))
                variables.append((placing.mask, variable))
                if placing.rank is None:
                    self._model.add_hint(variable, 1)
                elif index:
                    moves.append(variable)
            self._model.add_exactly_one([variable for _, variable in variables])
            by_party[index] = variables
        for moment in sorted({parties[index].start for index in movable}):
            there = [index for index in movable if parties[index].start <= moment < parties[index].end]
            on_table: dict[int, list[cp_model.IntVar]] = {}
            for index in there:
                for mask, variable in by_party[index]:
                    for table in indices_of(mask):
                        on_table.setdefault(table, []).append(variable)
            for variables_there in on_table.values():
                self._model.add_at_most_one(variables_there)
        self._moves = sum(moves) if moves else 0
        if moves:
            self._model.add(self._moves <= most)

    def fewest(self, seconds: float) -> tuple[cp_model.CpSolverStatus, int | None]:
        """How it ended, and the number of moves of the best way found."""
        self._model.minimize(self._moves)
        solver = _solver(seconds)
        status = solver.solve(self._model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return status, None
        self._remember(solver)
        return status, round(solver.objective_value)

    def cheapest(self, moves: int, seconds: float) -> tuple[bool, list[_Placing]]:
        """Whether it was proved, and the cheapest way found with so many moves."""
        self._model.clear_objective()  # type: ignore[no-untyped-call]  # ortools leaves it untyped
        if not isinstance(self._moves, int):
            self._model.add(self._moves == moves)
        self._model.minimize(sum(round(placing.cost * _POINT) * variable for placing, variable in self._placings))
        self._model.clear_hints()  # type: ignore[no-untyped-call]  # ortools leaves it untyped
        chosen = {(each.index, each.rank) for each in self._way}
        for placing, variable in self._placings:
            self._model.add_hint(variable, int((placing.index, placing.rank) in chosen))
        solver = _solver(seconds)
        status = solver.solve(self._model)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            self._remember(solver)
        return status == cp_model.OPTIMAL, self._way

    def _remember(self, solver: cp_model.CpSolver) -> None:
        self._way = [placing for placing, variable in self._placings if solver.boolean_value(variable)]


def _solver(seconds: float) -> cp_model.CpSolver:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_time_in_seconds = seconds
    return solver


def _placings(index: int, party: Party, fixed: int) -> list[_Placing]:
    """Where the party may be: every set that nobody fixed has, and where it is."""
    sets = party.choice
    found = [_Placing(index, None, party.mask, 0.0)] if index else []
    for rank, mask in enumerate(sets.masks):
        if not mask & fixed and mask != party.mask:
            found.append(_Placing(index, rank, mask, sets.totals[rank] - party.before + party.cost))
    return found


def _linked(parties: Sequence[Party]) -> list[int]:
    """The newcomer, and all who are linked with it by windows that overlap; a fixed one links nobody."""
    reached = {0}
    border = [0]
    while border:
        party = parties[border.pop()]
        for index, other in enumerate(parties):
            if index not in reached and _together(party, other):
                reached.add(index)
                if other.sets is not None:
                    border.append(index)
    return sorted(reached)


def _together(one: Party, other: Party) -> bool:
    return one.start < other.end and other.start < one.end
