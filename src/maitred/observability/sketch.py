"""The distribution of many numbers in little space: mergeable, with percentiles that are off by 1% at most.

A DDSketch (Masson, Rim, Lee, 2019): each number falls into a bin whose bounds grow geometrically, so the middle of its
bin is within 1% of it. Merging adds bins up and loses nothing: a sketch of all is the same as the sketches of the parts
merged, in whatever order. Numbers up to 0.001, below what is recorded, count as 0; negative ones do too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

RELATIVE_ERROR = 0.01

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_ZERO = 0.001


@dataclass(slots=True)
class Sketch:
    """So many numbers as `bins` and `zeros` count; `sum`, `least` and `most` are exact, up to the rounding of sums."""

    bins: Counter[int] = field(default_factory=Counter)
    zeros: int = 0
    sum: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    @property
    def n(self) -> int:
        """How many numbers."""
        return self.zeros + self.bins.total()

    @property
    def mean(self) -> float | None:
        """None of no numbers."""
        return self.sum / self.n if self.n else None

    def add(self, x: float) -> None:
        """Takes one more; it must be finite."""
        if x <= _ZERO:
            self.zeros += 1
        else:
            self.bins[math.ceil(math.log(x) / _LOG_GAMMA)] += 1
        self.sum += x
        self.least = min(self.least, x)
        self.most = max(self.most, x)

    def merge(self, other: Sketch) -> None:
        """Takes all numbers of the other."""
        self.bins.update(other.bins)
        self.zeros += other.zeros
        self.sum += other.sum
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    def quantile(self, share: float) -> float | None:
        """The number below which this share of them lies: within 1% of the one at rank share * (n - 1), rounded down.

        None of no numbers. Raises ValueError for a share outside [0, 1].
        """
        if not 0 <= share <= 1:
            raise ValueError("a share lies between 0 and 1")
        if not self.n:
            return None
        left = math.floor(share * (self.n - 1)) - self.zeros
        if left < 0:
            return max(0.0, min(self.least, _ZERO)) if self.least > 0 else min(0.0, self.most)
        for number in sorted(self.bins):
            left -= self.bins[number]
            if left < 0:
                return min(max(2 * _GAMMA**number / (_GAMMA + 1), self.least), self.most)
        return self.most

    def as_json(self) -> dict[str, Any]:
        """For a jsonb column."""
        return {
            "error": RELATIVE_ERROR,
            "n": self.n,
            "sum": self.sum,
            "min": self.least if self.n else None,
            "max": self.most if self.n else None,
            "zeros": self.zeros,
            "bins": {str(number): count for number, count in sorted(self.bins.items())},
        }


def sketch_of(numbers: Iterable[float]) -> Sketch:
    """The sketch of these numbers."""
    sketch = Sketch()
    for x in numbers:
        sketch.add(x)
    return sketch


def sketch_from_json(kept: Any) -> Sketch:
    """The way back. Raises ValueError for a sketch of another error, which can't be merged with these."""
    if kept["error"] != RELATIVE_ERROR:
        raise ValueError("a sketch of another relative error")
    return Sketch(
        bins=Counter({int(number): int(count) for number, count in kept["bins"].items()}),
        zeros=kept["zeros"],
        sum=kept["sum"],
        least=math.inf if kept["min"] is None else kept["min"],
        most=-math.inf if kept["max"] is None else kept["max"],
    )
