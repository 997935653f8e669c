"""The service optimiser: who sits where so that most are seated, then fewest move, then least is wasted.

First the day over pools of alike tables, level by level: small, quickly solved, and its best is a bound. Then certain
tables that do what the pools promise: if there are such, the answer is proved best on every level at once. If not, the
day itself is solved, level by level, with what is left of the time. ADR 16 has the figures that led here.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maitred.optimiser import cp_sat, highs
from maitred.optimiser.choices import Busy, Choice, choices_of
from maitred.optimiser.concrete import Concrete, Seats, concrete
from maitred.optimiser.greedy import first_answer, put_back, tight_answer
from maitred.optimiser.linear import Aim
from maitred.optimiser.pool import Pattern, Pooled, patterns_of, pooled
from maitred.optimiser.problem import Problem
from maitred.optimiser.result import Level, Params, Result, Status

Patterns = Mapping[str, tuple[Pattern, bool]]
"""By party: the pools of its tables, and whether it stays where it is."""

LEVELS = ("worth", "moves", "relaxed", "waste")
# beyond so many columns the day itself takes longer to write down than a service has patience
MOST_COLUMNS = 80_000
_POOL_SHARE = 0.45
_CONCRETE_SHARE = 0.6
_PLAIN_SHARE = 0.25
_CERTAIN_SHARE = 0.4
# what a solver may be late by, and what putting the answer together takes
_RESERVE = 0.05


def optimise(problem: Problem, params: Params | None = None) -> Result:
    """The best seating of the day found before the deadline, and how much better any other could be at most.

    Blocks for as long as it takes: async callers use a thread. Never raises for a day that can't be: that is a status.
    """
    return _Search(problem, params or Params()).run()


@dataclass(slots=True)
class _Best:
    """The best answer so far and its value on each level."""

    seats: Seats
    values: tuple[int, ...]


class _Search:
    def __init__(self, problem: Problem, params: Params) -> None:
        self._problem = problem
        self._params = params
        self._began = time.monotonic()
        self._end = self._began + params.deadline_s * (1 - _RESERVE)
        self._busy = Busy(problem)
        self._locked_worth = sum(problem.worth(party) for party in problem.parties if party.locked)
        self._choices: dict[str, tuple[Choice, ...]] = {}
        self._so_far: _Best | None = None
        self._impossible = False

    def run(self) -> Result:
        if self._busy.conflict is not None:
            return self._nothing(self._busy.conflict)
        self._choices = choices_of(self._problem, self._busy)
        if any(not mine and self._problem.by_key[key].seat is not None for key, mine in self._choices.items()):
            return self._nothing(None)
        first = first_answer(self._problem, self._choices)
        self._so_far = None if first is None else self._best(first)
        pooled_day = pooled(self._problem, self._choices, self._busy)
        promise = self._promise(pooled_day)
        if promise is None:
            return self._nothing(None)
        bounds, patterns = promise
        best = self._so_far
        if patterns is not None:
            best = self._fulfil(pooled_day, patterns, best, bounds)
        if best is None or not _proved(best.values, bounds):
            best = self._search_all(best, bounds)
        if best is None:
            return self._nothing(None) if self._impossible else self._out_of_time(bounds)
        return self._result(best, bounds)

    # the day over pools

    def _promise(self, day: Pooled) -> tuple[list[float], Patterns | None] | None:
        """The bound of each level, and the patterns that reach them; None when not everybody can be seated who must."""
        bounds: list[float] = [float(self._locked_worth + sum(self._worths())), 0.0, 0.0, 0.0]
        values: Sequence[int] | None = None
        for level, name in enumerate(LEVELS):
            aim = day.aims.get(name)
            if aim is None:
                continue
            weight = 1
            if name == "waste":
                aim, weight = _wasting(day)
            engine = highs if name == "waste" else cp_sat
            solved = engine.solve(day.model, aim, self._params, seconds=self._left() * _POOL_SHARE, hint=values)
            if solved.infeasible:
                return None if level == 0 else (bounds, None)
            if solved.bound is not None and math.isfinite(solved.bound):
                bounds[level] = self._tightened(level, solved.bound / weight, bounds[level])
            if solved.values is None:
                break
            values = solved.values
            plain = day.aims[name]
            reached = solved.value_of(plain.terms)
            if plain.maximise:
                day.model.row(plain.terms, least=reached)
            else:
                day.model.row(plain.terms, most=reached)
            if level == 0 and "moves" in day.aims:
                self._so_far = self._certain(day, self._as_if_nobody_sat(day, values), self._so_far)
        return bounds, None if values is None else patterns_of(day, values)

    def _as_if_nobody_sat(self, day: Pooled, values: Sequence[int]) -> Patterns:
        """Patterns of the same worth for a day on which nobody had a seat: those are the ones easily kept."""
        aim, _ = _wasting(day)
        solved = highs.solve(day.model, aim, self._params, seconds=self._left() * _PLAIN_SHARE, hint=values)
        return patterns_of(day, values if solved.values is None else solved.values)

    def _tightened(self, level: int, found: float, known: float) -> float:
        if level == 0:
            return min(known, self._locked_worth + math.floor(found + 1e-6))
        if level == 3:
            return max(known, float(math.floor(found + 1e-6)))
        return max(known, float(math.ceil(found - 1e-6)))

    # certain tables

    def _certain(self, day: Pooled, patterns: Patterns, best: _Best | None) -> _Best | None:
        """Certain tables of these patterns for everybody, whoever has to move for it."""
        within = {key: self._within(day, key, pattern) for key, (pattern, _) in patterns.items()}
        worth = sum(self._problem.worth(self._problem.by_key[key]) for key in patterns) + self._locked_worth
        best = self._better(best, tight_answer(self._problem, within))
        if best is not None and best.values[0] >= worth:
            return best
        model = concrete(self._problem, within, all_seated=True)
        solved = cp_sat.solve(
            model.model,
            None,
            self._params,
            seconds=self._left() * _CERTAIN_SHARE,
            hint=None if best is None else model.hint(best.seats),
        )
        if solved.values is None:
            return best
        return self._better(best, put_back(self._problem, self._choices, model.seats(solved.values)))

    def _fulfil(self, day: Pooled, patterns: Patterns, best: _Best | None, bounds: Sequence[float]) -> _Best | None:
        """Certain tables for the patterns: for all of them, or for as many as can be."""
        within = {key: self._within(day, key, *pattern) for key, pattern in patterns.items()}
        best = self._better(best, tight_answer(self._problem, within))
        if best is not None and _proved(best.values, bounds):
            return best
        model = concrete(self._problem, within, all_seated=True)
        solved = cp_sat.solve(model.model, None, self._params, seconds=self._left() * _CONCRETE_SHARE)
        if solved.values is not None:
            return self._better(best, model.seats(solved.values))
        if self._late():
            return best
        # The floor hasn't as many joined sets as the pools promise, or who stays is in the way: whoever was to have a
        # joined set may have anything, and whoever was to stay may move within the pool.
        looser = {
            key: self._choices[key] if len(pattern) > 1 else self._within(day, key, pattern)
            for key, (pattern, _) in patterns.items()
        }
        if best is not None:  # the best so far is among what can be had, so that the search can begin there
            for key, choice in best.seats.items():
                if choice not in (mine := looser.get(key, ())):
                    looser[key] = [*mine, choice]
        model = concrete(self._problem, looser, all_seated=False)
        moves, worth = model.aims["moves"], model.aims["worth"]
        if best is not None and best.values[0] == bounds[0]:
            self._keep(model, worth, best.values[0], 0)
            aim = moves
        else:
            fewer = [(column, -1) for column, _ in moves.terms]
            aim = Aim(_added(worth.terms, 1 + len(fewer), fewer), maximise=True)
        solved = cp_sat.solve(
            model.model,
            aim,
            self._params,
            seconds=self._left() * _CONCRETE_SHARE,
            hint=None if best is None else model.hint(best.seats),
        )
        return best if solved.values is None else self._better(best, model.seats(solved.values))

    def _within(self, day: Pooled, key: str, pattern: Pattern, stay: bool | None = None) -> list[Choice]:
        """The choices of this pattern; `stay` None: whether they are moves or not."""
        seated = self._problem.by_key[key].seat is not None
        return [
            choice
            for choice in self._choices[key]
            if stay in (None, seated and not choice.moves)
            and tuple(sorted(day.pool_of[table] for table in choice.tables)) == pattern
        ]

    def _search_all(self, best: _Best | None, bounds: list[float]) -> _Best | None:
        """The day itself, level by level, with the time that is left."""
        if self._late() or sum(map(len, self._choices.values())) > MOST_COLUMNS:
            return best
        model = concrete(self._problem, self._choices, all_seated=False)
        for level, name in enumerate(LEVELS):
            aim = model.aims[name]
            if best is not None and best.values[level] == bounds[level]:
                self._keep(model, aim, best.values[level], level)
                continue
            solved = cp_sat.solve(
                model.model,
                aim,
                self._params,
                seconds=self._left(),
                hint=None if best is None else model.hint(best.seats),
            )
            if solved.values is not None:
                best = self._better(best, model.seats(solved.values))
            if best is None:
                self._impossible = solved.infeasible
                return None
            if solved.bound is not None and math.isfinite(solved.bound):
                bounds[level] = self._tightened(level, solved.bound, bounds[level])
            if best.values[level] != bounds[level]:
                break
            self._keep(model, aim, best.values[level], level)
        return best

    def _keep(self, model: Concrete, aim: Aim, value: int, level: int) -> None:
        if level == 0:
            model.model.row(aim.terms, least=value - self._locked_worth)
        elif aim.terms:
            model.model.row(aim.terms, most=value)

    # answers

    def _best(self, seats: Seats) -> _Best:
        worth = self._locked_worth + sum(self._problem.worth(self._problem.by_key[key]) for key in seats)
        return _Best(
            seats,
            (
                worth,
                sum(choice.moves for choice in seats.values()),
                sum(choice.relaxed for choice in seats.values()),
                sum(choice.waste for choice in seats.values()),
            ),
        )

    def _better(self, best: _Best | None, seats: Seats) -> _Best | None:
        """The better of the two, once the new one has been given what is still free; it may have left somebody out."""
        found = first_answer(self._problem, self._choices, begin_with=seats)
        if found is None:
            return best
        new = self._best(found)
        return new if best is None or _rank(new.values) < _rank(best.values) else best

    def _result(self, best: _Best, bounds: list[float]) -> Result:
        first = self._problem.mode.value
        levels = []
        known = True
        for name, value, bound in zip((first, *LEVELS[1:]), best.values, bounds, strict=True):
            # a bound of a later level stands only for the best values of those before it
            levels.append(Level(name, value, bound if known else 0.0))
            known = known and value == bound
        optimal = all(level.proved for level in levels) and self._problem.complete
        late = self._late()
        seats = {key: choice.tables for key, choice in best.seats.items()}
        seats |= {party.key: party.seat for party in self._problem.parties if party.locked and party.seat is not None}
        return Result(
            status=Status.OPTIMAL if optimal else Status.DEADLINE if late else Status.FEASIBLE,
            seats=dict(sorted(seats.items())),
            levels=tuple(levels),
            seated=len(seats),
            covers=sum(self._problem.by_key[key].covers for key in seats),
            moves=tuple(sorted(key for key, choice in best.seats.items() if choice.moves)),
            seconds=time.monotonic() - self._began,
        )

    def _nothing(self, conflict: tuple[str, str] | None) -> Result:
        return Result(Status.INFEASIBLE, {}, (), 0, 0, (), time.monotonic() - self._began, conflict)

    def _out_of_time(self, bounds: list[float]) -> Result:
        level = Level(self._problem.mode.value, 0, bounds[0])
        return Result(Status.DEADLINE, {}, (level,), 0, 0, (), time.monotonic() - self._began)

    def _worths(self) -> list[int]:
        return [self._problem.worth(self._problem.by_key[key]) for key, mine in self._choices.items() if mine]

    def _late(self) -> bool:
        """Whether so little time is left that writing a programme down would use it up."""
        return self._left() < self._params.deadline_s * 0.1

    def _left(self) -> float:
        return max(0.0, self._end - time.monotonic())


def _proved(values: tuple[int, ...], bounds: Sequence[float]) -> bool:
    return all(value == bound for value, bound in zip(values, bounds, strict=True))


def _wasting(day: Pooled) -> tuple[Aim, int]:
    """Least waste, times the weight; of equally wasteful answers the fewest joined tables: the easiest to fulfil."""
    weight = 1 + sum(len(way.pattern) * day.model.upper[way.column] for way in day.ways)
    joined = [(way.column, len(way.pattern) - 1) for way in day.ways]
    return Aim(_added(day.aims["waste"].terms, weight, joined), maximise=False), weight


def _rank(values: tuple[int, ...]) -> tuple[int, ...]:
    worth, *others = values
    return (-worth, *others)


def _added(terms: Sequence[tuple[int, int]], weight: int, others: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    total: defaultdict[int, int] = defaultdict(int)
    for column, factor in terms:
        total[column] += factor * weight
    for column, factor in others:
        total[column] += factor
    return list(total.items())
