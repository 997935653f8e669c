"""Solving by HiGHS: whole-number programmes, and linear ones with the price of every row."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import highspy
import numpy as np

from maitred.optimiser.linear import Aim, Linear, Solved
from maitred.optimiser.result import Params

_greeting = Lock()
_greeted = False


@dataclass(frozen=True, slots=True)
class Priced:
    """A linear programme's best value, and by row what one more of its upper bound would bring (0 or more)."""

    value: float
    prices: Sequence[float]


def solve(model: Linear, aim: Aim, params: Params, *, seconds: float, hint: Sequence[int] | None = None) -> Solved:
    """The best values for the aim found in so many seconds. `hint` is where to begin."""
    highs = _loaded(model, aim, params, seconds)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 0.99)  # all factors are whole numbers
    highs.changeColsIntegrality(
        len(model.upper), np.arange(len(model.upper), dtype=np.int32), np.full(len(model.upper), 1, dtype=np.uint8)
    )
    if hint is not None:
        start = highspy.HighsSolution()
        start.col_value = [float(value) for value in hint]
        highs.setSolution(start)
    highs.run()
    status = highs.getModelStatus()
    info = highs.getInfo()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Solved(None, None, infeasible=True)
    bound = info.mip_dual_bound
    if info.primal_solution_status != highspy.kSolutionStatusFeasible:
        return Solved(None, bound)
    return Solved([round(value) for value in highs.getSolution().col_value], bound)


def price(model: Linear, aim: Aim, params: Params, *, seconds: float) -> Priced | None:
    """The linear programme (columns may be broken) solved to its end; None when time ran out or it has no answer.

    The dual simplex method, on one thread: the same model gives the same prices every time.
    """
    highs = _loaded(model, aim, params, seconds)
    highs.setOptionValue("solver", "simplex")
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return Priced(highs.getInfo().objective_function_value, [max(0.0, value) for value in highs.getSolution().row_dual])


def _loaded(model: Linear, aim: Aim, params: Params, seconds: float) -> highspy.Highs:
    highs = _instance()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("random_seed", params.seed)
    # One scheduler serves the whole process, and whoever names another number of threads than it has gets no answer.
    highs.setOptionValue("parallel", "off")
    highs.setOptionValue("time_limit", max(seconds, 0.001))
    columns = len(model.upper)
    cost = np.zeros(columns)
    for column, factor in aim.terms:
        cost[column] += factor
    lp = highspy.HighsLp()
    lp.num_col_ = columns
    lp.num_row_ = len(model.rows)
    lp.col_cost_ = cost
    lp.col_lower_ = np.zeros(columns)
    lp.col_upper_ = np.array(model.upper, dtype=float)
    lp.row_lower_ = np.array(
        [-highspy.kHighsInf if least is None else least for _, least, _ in model.rows], dtype=float
    )
    lp.row_upper_ = np.array([highspy.kHighsInf if most is None else most for _, _, most in model.rows], dtype=float)
    lp.sense_ = highspy.ObjSense.kMaximize if aim.maximise else highspy.ObjSense.kMinimize
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0, *(len(terms) for terms, _, _ in model.rows)])
    lp.a_matrix_.index_ = np.array([column for terms, _, _ in model.rows for column, _ in terms], dtype=np.int32)
    lp.a_matrix_.value_ = np.array([factor for terms, _, _ in model.rows for _, factor in terms], dtype=float)
    highs.passModel(lp)
    return highs


def _instance() -> highspy.Highs:
    """An instance. The first of a process greets on stdout before it can be told not to; stdout is for answers, so it
    is made to greet on stderr."""
    global _greeted  # noqa: PLW0603 - once per process, as the greeting is
    with _greeting:
        if _greeted or os.name == "nt":
            return _made()
        _greeted = True
        sys.stdout.flush()
        libc = ctypes.CDLL(None)
        libc.fflush(None)
        kept = os.dup(1)
        try:
            os.dup2(2, 1)
            made = _made()
            libc.fflush(None)
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        return made


def _made() -> highspy.Highs:
    return highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no types
