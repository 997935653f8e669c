"""Resampling bookings: how much a figure would vary if other bookings of the same kind had come.

A Poisson bootstrap: in each draw every booking counts Poisson(1) times, with all its attempts. That is the bootstrap of
drawing as many bookings with replacement, but each booking's count is its own, so that all draws are one matrix. Above
`MOST_BUNDLES` bookings they are resampled in so many bundles: bundles are as independent of each other as bookings are,
and the spread found varies by 1/sqrt(2 * bundles), which is 1.6%, less than the draws themselves add.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from maitred.observability.baseline_distribution import Sample

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

DRAWS = 1_000
MOST_BUNDLES = 2_048

_SEED = 2025  # the same events give the same report
_WINDOW_SDS = 8


class Resamples:
    """Draws of the same bookings, for all figures alike: what is computed of one draw belongs together."""

    def __init__(self, bookings: int, *, draws: int = DRAWS, seed: int = _SEED) -> None:
        self._bundles = max(min(bookings, MOST_BUNDLES), 1)
        counts = np.random.default_rng(seed).poisson(1.0, (draws, self._bundles))
        self._counts = counts.astype(np.float32)

    def mean(self, values: Floats, weights: Floats) -> Floats:
        """The sum of the values over the sum of the weights in each draw; both have a place for each booking."""
        drawn: Floats = self._sums(values) / np.maximum(self._sums(weights), 1e-9)
        return drawn

    def quantile(self, sample: Sample, p: float, worth: int) -> Floats:
        """The p-quantile of the sample in each draw: the smallest value with a share of p at or below it.

        `worth` is how many independent values the sample is worth; it tells how far a draw's quantile may lie away.
        """
        n = len(sample)
        bundles = sample.bookings % self._bundles
        total = self._counts @ np.bincount(bundles, minlength=self._bundles).astype(np.float32)
        wanted = p * total.astype(np.float64)
        half = math.ceil(_WINDOW_SDS * n * math.sqrt(p * (1 - p) / max(worth, 1))) + 16
        low, high = max(math.floor(n * p) - half, 0), min(math.ceil(n * p) + half, n)
        while True:
            below = self._counts @ np.bincount(bundles[:low], minlength=self._bundles).astype(np.float32)
            inside = np.cumsum(self._counts[:, bundles[low:high]], axis=1, dtype=np.float32)
            needed = (wanted - below)[:, np.newaxis]
            reached = high == n or bool((inside[:, -1:] >= needed).all())
            if reached and (low == 0 or bool((needed > 0).all())):
                break
            low, high = 0, n
        places = np.minimum(low + np.count_nonzero(inside < needed, axis=1), n - 1)
        drawn: Floats = sample.values[places]
        return drawn

    def _sums(self, values: Floats) -> Floats:
        bundles = np.arange(len(values)) % self._bundles
        sums: Floats = self._counts.astype(np.float64) @ np.bincount(bundles, weights=values, minlength=self._bundles)
        return sums
