"""Bookings as they behave: attempts of one booking are alike, hard bookings take more of them and longer ones."""

from __future__ import annotations

import numpy as np

from maitred.observability.baseline_distribution import Sample
from maitred.observability.compare_measures import Observed


def simulated(
    rng: np.random.Generator,
    bookings: int,
    *,
    first: int = 0,
    codes: int | None = None,
    slower: float = 1.0,
    alike: float = 0.8,
) -> Observed:
    """One side: log-normal times with an effect of the booking (its standard deviation is `alike`), 1 to 8 attempts.

    The bookings have the codes from `first` on, of `codes` in all.
    """
    codes = bookings if codes is None else codes
    attempts = np.minimum(rng.geometric(0.4, bookings), 8)
    ease = rng.normal(0.0, alike, bookings)
    of = np.repeat(np.arange(bookings), attempts)
    ms = np.exp(1.5 + ease[of] + rng.normal(0.0, 0.5, len(of))) * slower
    worked, seated = np.zeros(codes, dtype=np.bool_), np.zeros(codes, dtype=np.bool_)
    worked[first : first + bookings] = True
    seated[first : first + bookings] = rng.random(bookings) < np.where(attempts < 8, 0.9, 0.4)
    return Observed(Sample.of(ms, of + first), worked, seated)


def two_sides(
    rng: np.random.Generator, bookings: int, *, slower: float = 1.0, alike: float = 0.8
) -> tuple[Observed, Observed]:
    """Two samples of so many bookings each; the second side's times are so many times longer."""
    return (
        simulated(rng, bookings, codes=2 * bookings, alike=alike),
        simulated(rng, bookings, first=bookings, codes=2 * bookings, slower=slower, alike=alike),
    )


def as_if_each_attempt_were_a_booking(a: Observed, b: Observed) -> tuple[Observed, Observed]:
    """The mistake: attempts are taken for independent of each other."""
    codes = len(a.times) + len(b.times)
    return _each_alone(a, 0, codes), _each_alone(b, len(a.times), codes)


def _each_alone(side: Observed, first: int, codes: int) -> Observed:
    bookings = first + np.arange(len(side.times))
    mine = np.zeros(codes, dtype=np.bool_)
    mine[bookings] = True
    return Observed(Sample(side.times.values, bookings, side.times.at_least), mine, mine)
