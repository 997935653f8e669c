"""How far a percentile of a sample may lie from the truth, said without assuming any distribution."""

from __future__ import annotations

import math
from functools import lru_cache

CONFIDENCE = 0.975

# From how many values on there is a bound at all. The formula alone would give p95 one from 72 values on
# (1 - 0.95**72 = 0.9751); the project's baseline says 73, which only errs on the careful side.
FEWEST = {0.95: 73, 0.99: 368}


@lru_cache(maxsize=8192)
def upper_bound_rank(n: int, p: float) -> int | None:
    """The rank (from 1) of the value that is an upper bound of the p-quantile with 97.5% confidence.

    It is the smallest k for which at most k - 1 of n values lie below the quantile with that probability, which is
    Binomial(n, p) at k - 1. None when even the largest value is no such bound: the bound is open.
    """
    if n < FEWEST.get(p, 1):
        return None
    rank = rank_by_formula(n, p)
    return rank if rank <= n else None


@lru_cache(maxsize=8192)
def lower_bound_rank(n: int, p: float) -> int | None:
    """The rank (from 1) of the value that is a lower bound of the p-quantile with 97.5% confidence; None for none.

    It is the upper bound seen from the other end of the order.
    """
    if n < 1:
        return None
    rank = n + 1 - rank_by_formula(n, 1 - p)
    return rank if rank >= 1 else None


def rank_by_formula(n: int, p: float) -> int:
    """The smallest k with P(Binomial(n, p) <= k - 1) >= 0.975, for 0 < p < 1; n + 1 when no k up to n will do."""
    # Walks down from far above the quantile and adds up the upper tail, which is small and so exact.
    spread = math.sqrt(n * p * (1 - p))
    j = min(n, math.ceil(n * p + 5 * spread))
    odds = p / (1 - p)
    mass = math.exp(
        math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1) + j * math.log(p) + (n - j) * math.log1p(-p)
    )
    above, term, i = 0.0, mass, j
    while i < n and term > 0:
        term *= (n - i) / (i + 1) * odds
        above += term
        i += 1
    while j > 0 and above + mass <= 1 - CONFIDENCE:
        above += mass
        mass *= j / ((n - j + 1) * odds)
        j -= 1
    return j + 1
