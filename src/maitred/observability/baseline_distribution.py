"""Percentiles of values that hang together in bookings and of which some are only known to be at least so large.

A percentile is PostgreSQL's `percentile_cont`. Its interval holds the true one with 95% confidence: both ends are order
statistics, of as many independent values as the sample is worth. What it is worth is found by resampling bookings (ADR
11): attempts of one booking are alike, so ten of them tell less than ten of ten bookings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from maitred.observability.order_statistics import lower_bound_rank, upper_bound_rank

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile of a sample and its 95% interval; an end that is None is open: there are too few values to say.

    `at_least`: it falls on a value of which only the least is known, or above one, so that the true one may be larger.
    """

    value: float
    upper: float | None
    lower: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """`n` values of so many `bookings`; everything else is None or 0 when there are none.

    `timed_out` are those of which only the least is known. They count with that, so with any of them the mean is a
    least too, and the maximum when `max_at_least` says so. A value without a booking counts as a booking of its own.
    """

    n: int
    mean: float | None = None
    median: Percentile | None = None
    p95: Percentile | None = None
    p99: Percentile | None = None
    max: float | None = None
    bookings: int = 0
    timed_out: int = 0
    max_at_least: bool = False


NOTHING = Distribution(0)


@dataclass(frozen=True, slots=True)
class Sample:
    """Values in ascending order, the code of the booking of each, and which are only known to be at least so large.

    Codes count from 0. Of equal values those that are known come first; otherwise their order changes no figure.
    """

    values: Floats
    bookings: Ints
    at_least: Flags

    @classmethod
    def of(cls, values: Floats, bookings: Ints) -> Self:
        """Values that are all known; puts them in order."""
        order = np.argsort(values)
        return cls(values[order], bookings[order], np.zeros(len(values), dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.values)


def describe(sample: Sample) -> Distribution:
    """All figures of the sample."""
    n = len(sample)
    if not n:
        return NOTHING
    belows = [_up_to(sample.values, percentile_cont(sample.values, p)) for p in QUANTILES]
    bookings = _Bookings(sample.bookings, belows)
    timed_out = int(np.count_nonzero(sample.at_least))
    # The same values if nothing that timed out had ever come to an end.
    endless = (
        np.concatenate((sample.values[~sample.at_least], np.full(timed_out, np.inf))) if timed_out else sample.values
    )
    median, p95, p99 = (
        _percentile(sample.values, endless, p, worth) for p, worth in zip(QUANTILES, bookings.worths, strict=True)
    )
    return Distribution(
        n=n,
        mean=float(sample.values.mean()),
        median=median,
        p95=p95,
        p99=p99,
        max=float(sample.values[-1]),
        bookings=bookings.count,
        timed_out=timed_out,
        max_at_least=bool(sample.at_least[-1]),
    )


def percentile_cont(ordered: Floats, p: float) -> float:
    """PostgreSQL's `percentile_cont` of values in ascending order: between two neighbours, in proportion."""
    place = p * (len(ordered) - 1)
    below = math.floor(place)
    share = place - below
    low = float(ordered[below])
    if share == 0:
        return low
    high = float(ordered[below + 1])
    return high if math.isinf(high) else low + share * (high - low)


def worth_of(sample: Sample, p: float) -> int:
    """How many independent values would tell as much about the sample's p-quantile; 0 of nothing."""
    if not len(sample):
        return 0
    (worth,) = _Bookings(sample.bookings, [_up_to(sample.values, percentile_cont(sample.values, p))]).worths
    return worth


class _Bookings:
    """The bookings of a sample in ascending order.

    `worths`: for each place in `belows`, which rise, how many independent values would tell as much about the share of
    values before it. That is the variance of the share under resampling of bookings, with Poisson(1) copies of each,
    against a binomial one; at most n, at least what it would be if the values of a booking were all the same.
    """

    def __init__(self, codes: Ints, belows: Sequence[int]) -> None:
        n = len(codes)
        # Codes of a small part of many bookings are packed first: counting by code takes as long as the largest.
        highest = int(codes.max())
        if n * 16 < highest:
            codes = np.unique(codes, return_inverse=True)[1]
            highest = int(codes.max())
        ends = [0, *belows, n]
        pieces = [np.bincount(codes[a:b], minlength=highest + 1) for a, b in pairwise(ends)]
        sizes: Ints = np.sum(pieces, axis=0)
        self.count = int(np.count_nonzero(sizes))
        if self.count == n:
            self.worths = [n for _ in belows]
            return
        square = float(np.dot(sizes, sizes))
        inside = np.zeros_like(sizes)
        self.worths = []
        for below, piece in zip(belows, pieces, strict=False):
            inside += piece
            spread = math.inf
            if 0 < below < n:
                share = below / n
                squares = float(np.dot(inside, inside)) - 2 * share * float(np.dot(inside, sizes)) + share**2 * square
                spread = squares * self.count / max(self.count - 1, 1) / (n * share * (1 - share))
            self.worths.append(int(n / min(max(spread, 1.0), square / n)))


def _up_to(values: Floats, value: float) -> int:
    """How many values aren't above it: with all that equal it, so that it doesn't matter in which order those are."""
    return int(np.searchsorted(values, value, side="right"))


def _percentile(values: Floats, endless: Floats, p: float, worth: int) -> Percentile:
    n, value = len(values), percentile_cont(values, p)
    low, high = lower_bound_rank(worth, p), upper_bound_rank(worth, p)
    # In a handful of values the interpolated percentile may lie outside of what is sure of the true one.
    lower = None if low is None else min(float(values[_rank_of(low, worth, n, up=False) - 1]), value)
    upper = None if high is None else max(float(endless[_rank_of(high, worth, n, up=True) - 1]), value)
    return Percentile(
        value=value,
        upper=None if upper is None or math.isinf(upper) else upper,
        lower=lower,
        at_least=value != percentile_cont(endless, p),
    )


def _rank_of(rank: int, worth: int, n: int, *, up: bool) -> int:
    """The rank among n values of what has this rank among as many as they are worth; rounded away from the middle."""
    place = (rank - 1) * n / worth
    return min(math.ceil(place) if up else math.floor(place), n - 1) + 1


class Ordered:
    """Values of some of many things, sorted once and then cut in any way.

    `places` are those of the things in the arrays that tell more about them, in the order of the values. Values that
    are NaN are left out.
    """

    def __init__(self, places: Ints, values: Floats, bookings: Ints, at_least: Flags | None = None) -> None:
        if (unknown := np.isnan(values)).any():
            places, values, bookings = places[~unknown], values[~unknown], bookings[~unknown]
            at_least = None if at_least is None else at_least[~unknown]
        if at_least is None or not at_least.any():
            order = np.argsort(values)
            at_least = np.zeros(len(values), dtype=np.bool_)
        else:
            order = np.lexsort((at_least, values))
        self.places = places[order]
        self.sample = Sample(values[order], bookings[order], at_least[order])

    def split(self, codes: Ints, names: Sequence[str]) -> dict[str, Sample]:
        """The sample by the codes of all things, which are places in `names`; the largest part first, then by name."""
        mine = codes[self.places]
        order = np.argsort(mine.astype(np.int16 if len(names) < 2**15 else np.int64), kind="stable")
        ends = np.cumsum(np.bincount(mine, minlength=len(names)))
        sample, parts = self.sample, {}
        for name, start, end in zip(names, [0, *ends.tolist()], ends.tolist(), strict=False):
            if end > start:
                chosen = order[start:end]
                parts[name] = Sample(sample.values[chosen], sample.bookings[chosen], sample.at_least[chosen])
        return dict(sorted(parts.items(), key=lambda part: (-len(part[1]), part[0])))
