"""The verdict of a comparison: a rule fixed in advance. Pure.

1. B is worse if it surely is in any measure: what was gained elsewhere doesn't make up for it.
2. B is better if it surely is in any measure, and worse in none.
3. They are alike if every measure's difference is surely too small to matter.
4. Otherwise there is not enough data.

Surely means by intervals that hold together: whoever compares two samples of the same system hears "better" or "worse"
in at most 5% of cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from maitred.observability.compare_measures import MARGIN, Difference, Name, Unknown, critical_value

_CHANCE = 0.8


class Verdict(StrEnum):
    """Of B against A."""

    BETTER = "better"
    WORSE = "worse"
    ALIKE = "alike"
    NOT_ENOUGH = "not enough data"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and the measures it rests on, all for `better` and `worse` those that are.

    `factor`: how many times as many bookings as there are it would take, on both sides, for a verdict with a chance of
    80% if the differences are as they look now. None unless there is not enough data, or when no number would do
    (a percentile among calls that timed out).
    """

    verdict: Verdict
    because: tuple[Name, ...] = ()
    factor: float | None = None


def judge(found: Sequence[Difference | Unknown]) -> Judgement:
    """Applies the rule."""
    known = [each for each in found if isinstance(each, Difference)]
    if worse := tuple(each.name for each in known if each.is_worse):
        return Judgement(Verdict.WORSE, worse)
    if better := tuple(each.name for each in known if each.is_better):
        return Judgement(Verdict.BETTER, better)
    if known and len(known) == len(found) and all(each.is_small for each in known):
        return Judgement(Verdict.ALIKE, tuple(each.name for each in known))
    return Judgement(Verdict.NOT_ENOUGH, factor=_factor(found, known))


def _factor(found: Sequence[Difference | Unknown], known: Sequence[Difference]) -> float | None:
    z = critical_value(len(found))
    open_ones = [each for each in known if not each.is_small and each.lower is not None and each.upper is not None]
    # One that differs is a verdict; to find them alike takes all.
    differing = [_times_as_many(each, z) for each in open_ones if abs(each.estimate) >= MARGIN[each.name] / 2]
    if differing:
        return min(differing)
    unknown = [each.factor for each in found if isinstance(each, Unknown)]
    if any(factor is None for factor in unknown) or any(each.lower is None or each.upper is None for each in known):
        return None
    return max([*(_times_as_many(each, z) for each in open_ones), *(factor for factor in unknown if factor)])


def _times_as_many(each: Difference, z: float) -> float:
    """Until the interval is narrow enough to lie on one side of no difference, or within what doesn't matter."""
    wanted = max(abs(each.estimate), MARGIN[each.name] - abs(each.estimate))
    return max(((z + NormalDist().inv_cdf(_CHANCE)) * each.error / wanted) ** 2, 1.0)


def more_bookings(factor: float, bookings: int) -> int:
    """How many more than these."""
    return max(math.ceil((factor - 1) * bookings), 1)
