"""What a comparison measures of its two sides, and how sure each difference is. Pure.

The four measures, what counts as better in each and which difference matters are fixed here, before anything is looked
at. Intervals come from resampling bookings, and are so wide that all measures' intervals hold together with 95%.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from maitred.observability.baseline_distribution import Distribution, Percentile, Sample, describe, worth_of
from maitred.observability.bootstrap import DRAWS, Resamples
from maitred.observability.order_statistics import FEWEST

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
FEWEST_BOOKINGS = 30  # below, a spread found by resampling is not to be trusted


class Name(StrEnum):
    """The measures, in the order in which they are told."""

    MEDIAN = "median planner time"
    P95 = "p95 planner time"
    SEATED = "bookings seated"
    ATTEMPTS = "planner calls per booking"


TIMES = (Name.MEDIAN, Name.P95)
ALL = tuple(Name)

# From which difference on it matters. Of times it is a ratio, of shares points, of calls a number.
MARGIN = {Name.MEDIAN: math.log(1.2), Name.P95: math.log(1.2), Name.SEATED: 0.05, Name.ATTEMPTS: 0.2}
_QUANTILE = {Name.MEDIAN: 0.5, Name.P95: 0.95}
MORE_IS_BETTER = frozenset({Name.SEATED})


@dataclass(frozen=True, slots=True)
class Observed:
    """One side. Bookings have the same codes on both sides, and the arrays have a place for each code.

    `worked` are the bookings of this side, `seated` those of them that got their tables. `times` are the planner times.
    """

    times: Sample
    worked: Flags
    seated: Flags

    @property
    def bookings(self) -> int:
        """How many belong to this side."""
        return int(np.count_nonzero(self.worked))

    def calls(self) -> Floats:
        """How many planner calls each booking took."""
        return np.bincount(self.times.bookings, minlength=len(self.worked)).astype(np.float64)

    def only(self, chosen: Flags) -> Observed:
        """The same without other bookings."""
        mine = chosen[self.times.bookings]
        times = Sample(self.times.values[mine], self.times.bookings[mine], self.times.at_least[mine])
        return Observed(times, self.worked & chosen, self.seated & chosen)


@dataclass(frozen=True, slots=True)
class Difference:
    """How much B differs from A in one measure: for times the logarithm of B's over A's, else B's minus A's.

    `error` is its standard error and `lower` to `upper` its interval. An end is None when a percentile falls on calls
    that timed out and so the true difference may lie anywhere beyond.
    """

    name: Name
    a: float
    b: float
    estimate: float
    error: float
    lower: float | None
    upper: float | None

    @property
    def is_more(self) -> bool:
        """Whether B surely has more of it than A."""
        return self.lower is not None and self.lower > 0

    @property
    def is_less(self) -> bool:
        """Whether B surely has less of it than A."""
        return self.upper is not None and self.upper < 0

    @property
    def is_better(self) -> bool:
        """Whether B is surely better."""
        return self.is_more if self.name in MORE_IS_BETTER else self.is_less

    @property
    def is_worse(self) -> bool:
        """Whether B is surely worse."""
        return self.is_less if self.name in MORE_IS_BETTER else self.is_more

    @property
    def is_small(self) -> bool:
        """Whether it surely is too small to matter."""
        margin = MARGIN[self.name]
        return self.lower is not None and self.upper is not None and -margin < self.lower and self.upper < margin


@dataclass(frozen=True, slots=True)
class Unknown:
    """A measure of which nothing can be said: too few bookings, by `factor` times, or time-outs (`factor` None)."""

    name: Name
    a: float | None
    b: float | None
    factor: float | None


def critical_value(measures: int) -> float:
    """How many standard errors an interval reaches to each side so that all of them hold together (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / measures / 2)


def differences(
    a: Observed, b: Observed, names: tuple[Name, ...] = ALL, *, draws: int = DRAWS
) -> tuple[Difference | Unknown, ...]:
    """The measures of these names. A booking on both sides is resampled on both alike."""
    described = describe(a.times), describe(b.times)
    fewest = min(a.bookings, b.bookings)
    if fewest < FEWEST_BOOKINGS:
        factor = FEWEST_BOOKINGS / max(fewest, 1)
        return tuple(
            Unknown(name, _figure(name, a, described[0]), _figure(name, b, described[1]), factor) for name in names
        )
    resamples = Resamples(len(a.worked), draws=draws)
    z = critical_value(len(names))
    return tuple(
        _time(name, (a, b), described, resamples, z) if name in TIMES else _count(name, (a, b), resamples, z)
        for name in names
    )


def _count(name: Name, sides: tuple[Observed, Observed], resamples: Resamples, z: float) -> Difference:
    values = [side.seated.astype(np.float64) if name is Name.SEATED else side.calls() for side in sides]
    worked = [side.worked.astype(np.float64) for side in sides]
    first, second = (float(each.sum() / of.sum()) for each, of in zip(values, worked, strict=True))
    drawn = [resamples.mean(each, of) for each, of in zip(values, worked, strict=True)]
    unseen = sum(_unseen(each, of > 0) for each, of in zip(values, worked, strict=True))
    estimate, error = second - first, math.sqrt(float(np.var(drawn[1] - drawn[0])) + unseen)
    return Difference(name, first, second, estimate, error, estimate - z * error, estimate + z * error)


def _unseen(values: Floats, worked: Flags) -> float:
    """The variance of a mean whose values are all the same, which resampling takes for none at all.

    Of 30 bookings that were all seated nobody knows that all are: one in 32 might differ by one (Laplace's rule).
    """
    mine = values[worked]
    if (mine != mine[0]).any():
        return 0.0
    share = 1 / (len(mine) + 2)
    return share * (1 - share) / len(mine)


def _time(
    name: Name,
    sides: tuple[Observed, Observed],
    described: tuple[Distribution, Distribution],
    resamples: Resamples,
    z: float,
) -> Difference | Unknown:
    p = _QUANTILE[name]
    first, second = (_percentile(name, each) for each in described)
    if first is None or second is None:
        return Unknown(name, first.value if first else None, second.value if second else None, None)
    if min(first.value, second.value) <= 0:
        return Unknown(name, first.value, second.value, None)
    worth = [worth_of(side.times, p) for side in sides]
    if min(worth) < FEWEST.get(p, 1):
        return Unknown(name, first.value, second.value, FEWEST[p] / max(min(worth), 1))
    if first.at_least and second.at_least:
        return Unknown(name, first.value, second.value, None)
    smallest = min(first.value, second.value) / 1e3  # a draw may fall on a time of 0
    logs = [
        np.log(np.maximum(resamples.quantile(side.times, p, of), smallest))
        for side, of in zip(sides, worth, strict=True)
    ]
    estimate, error = math.log(second.value / first.value), float(np.std(logs[1] - logs[0]))
    return Difference(
        name,
        first.value,
        second.value,
        estimate,
        error,
        None if first.at_least else estimate - z * error,
        None if second.at_least else estimate + z * error,
    )


def _percentile(name: Name, of: Distribution) -> Percentile | None:
    return of.median if name is Name.MEDIAN else of.p95


def _figure(name: Name, side: Observed, described: Distribution) -> float | None:
    if name in TIMES:
        found = _percentile(name, described)
        return None if found is None else found.value
    if not side.bookings:
        return None
    of = int(np.count_nonzero(side.seated)) if name is Name.SEATED else len(side.times)
    return of / side.bookings
