"""The service optimiser: the demo's day and large days, and both solvers on the same programmes; JSON on stdout.

    python -m benchmarks.optimiser [--seeds N]

- `days`: seeded days (two peaks, a floor in zones of 50 tables whose neighbours join, all bookings waiting) at a load:
  the most covers wanted at one moment, as a share of the floor's seats. `with_seats`: the same days, but whoever gets
  tables by best fit in order of time has them already and may only move.
- `solvers`: seconds of CP-SAT and of HiGHS (two workers each) for the day over pools, by level, and for the day itself
  with a column for each set (`direct`); `value` is what was found in 10 s, `bound` what was proved.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks._service_days import POLICY, Booking, bookings, grid, peak
from maitred.demo.reference import demo_day
from maitred.model.period import as_micros
from maitred.model.policy import Window
from maitred.optimiser import cp_sat, highs
from maitred.optimiser.choices import Busy, choices_of
from maitred.optimiser.concrete import concrete
from maitred.optimiser.greedy import first_answer
from maitred.optimiser.linear import Aim, Linear
from maitred.optimiser.optimise import optimise
from maitred.optimiser.options import Options
from maitred.optimiser.pool import pooled
from maitred.optimiser.problem import Mode, Party, Problem
from maitred.optimiser.result import Params, Result
from maitred.planner.planner import Planner

LARGE = ((250, 100, 5.0, (0.9, 1.1, 1.3)), (1000, 200, 10.0, (0.9, 1.1, 1.5)))
_SOLVER_S = 10.0
_SEATED_UP_TO = 250

Row = dict[str, Any]


def demo_problem(mode: Mode) -> Problem:
    """The demo's day."""
    day = demo_day()
    options = Options(Planner(day.floor, day.policy.scoring))
    parties = []
    for booking in day.bookings:
        window = day.policy.window(booking.starts_at, booking.party_size)
        assert isinstance(window, Window)
        parties.append(_party(booking.reference, booking.party_size, window, options))
    return Problem({table.id: table.capacity for table in day.floor.tables}, tuple(parties), mode=mode)


def large_problem(count: int, tables: int, load: float, seed: int) -> tuple[Problem, float]:
    """A seeded day, and its load as drawn."""
    rng = random.Random(seed)
    floor = grid(tables, rng)
    seats = sum(table.capacity for table in floor.tables)
    day: list[Booking] = bookings(count, load, seats, rng)
    options = Options(Planner(floor, POLICY.scoring))
    parties = []
    for booking in day:
        window = POLICY.window(booking.starts_at, booking.party)
        assert isinstance(window, Window)
        parties.append(_party(booking.reference, booking.party, window, options))
    capacity = {table.id: table.capacity for table in floor.tables}
    return Problem(capacity, tuple(parties), complete=options.complete), peak(day) / seats


def with_seats(problem: Problem) -> Problem:
    """The same day once best fit has given tables to whom it could, in order of time."""
    seats = first_answer(problem, choices_of(problem, Busy(problem)))
    assert seats is not None
    parties = (replace(each, seat=seats[each.key].tables) if each.key in seats else each for each in problem.parties)
    return replace(problem, parties=tuple(parties))


def _party(key: str, covers: int, window: Window, options: Options) -> Party:
    start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
    return Party(key, covers, start, end, options.of(covers))


def row_of(result: Result) -> Row:
    return {
        "status": result.status.value,
        "seated": result.seated,
        "covers": result.covers,
        "objective": result.objective,
        "bound": result.bound,
        "gap": round(result.gap, 5),
        "levels": {level.name: [level.value, level.bound] for level in result.levels},
        "seconds": round(result.seconds, 2),
    }


def solvers(problem: Problem, *, direct: bool) -> list[Row]:
    """Both solvers on the same programmes."""
    busy = Busy(problem)
    choices = choices_of(problem, busy)
    day = pooled(problem, choices, busy)
    rows = []
    for name, aim in day.aims.items():
        rows += _both(f"pools, {name}", day.model, aim)
        reached = cp_sat.solve(day.model, aim, Params(), seconds=_SOLVER_S)
        if reached.values is None:
            break
        value = reached.value_of(aim.terms)
        day.model.row(aim.terms, least=value if aim.maximise else None, most=None if aim.maximise else value)
    if direct:
        whole = concrete(problem, choices, all_seated=False)
        rows += _both("direct, worth", whole.model, whole.aims["worth"])
    return rows


def _both(what: str, model: Linear, aim: Aim) -> list[Row]:
    rows = []
    for name, engine in (("cp_sat", cp_sat), ("highs", highs)):
        began = time.perf_counter()
        solved = engine.solve(model, aim, Params(), seconds=_SOLVER_S)
        rows.append(
            {
                "programme": what,
                "columns": len(model.upper),
                "rows": len(model.rows),
                "solver": name,
                "value": None if solved.values is None else solved.value_of(aim.terms),
                "bound": None if solved.bound is None else round(solved.bound, 2),
                "seconds": round(time.perf_counter() - began, 2),
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--no-solvers", action="store_true")
    options = parser.parse_args(arguments)
    load_average = os.getloadavg()[0]
    with contextlib.redirect_stdout(sys.stderr):
        optimise(demo_problem(Mode.PARTIES), Params(deadline_s=5))  # what is loaded once isn't the first day's cost
        demo = {mode.value: row_of(optimise(demo_problem(mode), Params(deadline_s=10))) for mode in Mode}
        days = []
        for count, tables, deadline, loads in LARGE:
            for load in loads:
                for seed in range(1, options.seeds + 1):
                    problem, drawn = large_problem(count, tables, load, seed)
                    result = optimise(problem, Params(deadline_s=deadline))
                    about = {"bookings": count, "tables": tables, "load": round(drawn, 3), "seed": seed}
                    days.append(about | {"deadline": deadline} | row_of(result))
                    if count <= _SEATED_UP_TO:
                        result = optimise(with_seats(problem), Params(deadline_s=deadline))
                        days.append(about | {"with_seats": True, "deadline": deadline} | row_of(result))
        table: Row = {}
        if not options.no_solvers:
            table["demo"] = solvers(demo_problem(Mode.COVERS), direct=True)
            for count, tables, load in ((250, 100, 1.1), (1000, 200, 1.1)):
                problem, _ = large_problem(count, tables, load, 1)
                table[f"{count} on {tables}"] = solvers(problem, direct=count <= 250)
    json.dump(
        {"load_average_before": round(load_average, 2), "demo": demo, "days": days, "solvers": table},
        sys.stdout,
        indent=1,
    )
    print()


if __name__ == "__main__":
    main()
