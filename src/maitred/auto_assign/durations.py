"""Percentiles of durations, as PostgreSQL's percentile_cont computes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Durations:
    """`n` durations in milliseconds; everything else is None when there are none."""

    n: int
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


def durations(values: Iterable[float | None]) -> Durations:
    """Of those that are known."""
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return Durations(0, None, None, None, None)
    p50, p95, p99 = (percentile(ordered, fraction) for fraction in (0.5, 0.95, 0.99))
    return Durations(len(ordered), p50, p95, p99, ordered[-1])


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Of values in ascending order, at least one; between two of them it interpolates."""
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
