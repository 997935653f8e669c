"""Solving by OR-Tools' CP-SAT.

One worker gives the same answer every time, unless the time limit cuts it. Several are faster, prove the same bounds
and reach the same values; which of several equally good answers comes out then depends on which thread was first.
Interleaved search would make that the same too, at 4 to 13 times the time (ADR 16).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ortools.sat.python import cp_model

from maitred.optimiser.linear import Aim, Linear, Solved
from maitred.optimiser.result import Params


def solve(
    model: Linear, aim: Aim | None, params: Params, *, seconds: float, hint: Sequence[int] | None = None
) -> Solved:
    """The best values for the aim (None: any values) found in so many seconds, writing the model down included.

    `hint` is where to begin.
    """
    began = time.monotonic()
    cp = cp_model.CpModel()
    columns = [cp.new_bool_var("") if upper == 1 else cp.new_int_var(0, upper, "") for upper in model.upper]
    for terms, least, most in model.rows:
        yes_or_no = all(factor == 1 and model.upper[column] == 1 for column, factor in terms)
        if yes_or_no and most == 1 and least in (None, 1):
            _add_choice(cp, [columns[column] for column, _ in terms], must=least == 1)
        else:
            _add_row(cp, columns, terms, least, most)
    if aim is not None:
        total = _sum(columns, aim.terms)
        if aim.maximise:
            cp.maximize(total)
        else:
            cp.minimize(total)
    if hint is not None:
        for column, value in zip(columns, hint, strict=True):
            cp.add_hint(column, value)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = params.workers
    solver.parameters.random_seed = params.seed
    solver.parameters.max_time_in_seconds = max(seconds - (time.monotonic() - began), 0.001)
    status = solver.solve(cp)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Solved(None, None, infeasible=status == cp_model.INFEASIBLE)
    return Solved(
        [solver.value(column) for column in columns], solver.best_objective_bound if aim is not None else None
    )


def _add_choice(cp: cp_model.CpModel, columns: list[cp_model.IntVar], *, must: bool) -> None:
    if must:
        cp.add_exactly_one(columns)
    else:
        cp.add_at_most_one(columns)


def _add_row(
    cp: cp_model.CpModel,
    columns: list[cp_model.IntVar],
    terms: Sequence[tuple[int, int]],
    least: int | None,
    most: int | None,
) -> None:
    total = _sum(columns, terms)
    if least is not None and least == most:
        cp.add(total == least)
        return
    if least is not None:
        cp.add(total >= least)
    if most is not None:
        cp.add(total <= most)


def _sum(columns: list[cp_model.IntVar], terms: Sequence[tuple[int, int]]) -> cp_model.LinearExprT:
    return cp_model.LinearExpr.weighted_sum([columns[column] for column, _ in terms], [factor for _, factor in terms])
