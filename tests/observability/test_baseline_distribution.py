"""Percentiles with their intervals: over bookings and not over attempts, and with values that are only a least."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.observability.baseline_distribution import (
    QUANTILES,
    Distribution,
    Ordered,
    Percentile,
    Sample,
    describe,
    percentile_cont,
    worth_of,
)
from maitred.observability.bootstrap import Resamples
from tests.observability.simulated import simulated


def percentiles(found: Distribution) -> list[Percentile]:
    every = [found.median, found.p95, found.p99]
    assert all(each is not None for each in every)
    return [each for each in every if each is not None]


def sample(values: list[float], bookings: list[int], at_least: list[bool] | None = None) -> Sample:
    flags = None if at_least is None else np.array(at_least)
    n = len(values)
    return Ordered(np.arange(n), np.array(values, dtype=np.float64), np.array(bookings, dtype=np.int64), flags).sample


clustered = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 30).map(float), min_size=n, max_size=n),
        st.lists(st.integers(0, 10), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
    )
)


@given(values=st.lists(st.integers(0, 1_000).map(float), min_size=1, max_size=400), copies=st.integers(2, 5))
def test_attempts_that_are_all_alike_tell_no_more_than_one_of_each_booking(values: list[float], copies: int) -> None:
    of = list(range(len(values)))
    once, often = sample(values, of), sample(values * copies, of * copies)
    for p in QUANTILES:
        assert worth_of(often, p) == pytest.approx(len(values), rel=0.02, abs=1)
    found = describe(often)
    assert (found.n, found.bookings) == (copies * len(values), describe(once).bookings)


def test_attempts_that_have_nothing_in_common_tell_as_much_as_bookings() -> None:
    drawn = simulated(np.random.default_rng(1), 2_000, alike=0.0).times
    assert worth_of(drawn, 0.5) == pytest.approx(len(drawn), rel=0.1)
    alike = simulated(np.random.default_rng(1), 2_000, alike=2.0).times
    assert worth_of(alike, 0.5) < 0.5 * len(alike)


@settings(max_examples=100)
@given(drawn=clustered)
def test_what_a_sample_is_worth_is_what_resampling_its_bookings_says(
    drawn: tuple[list[float], list[int], list[bool]],
) -> None:
    """The closed form against draws: the spread of the share of values up to the percentile."""
    values, bookings, _ = drawn
    found, n, p = sample(values, bookings), len(values), 0.5
    below = np.array(values) <= percentile_cont(found.values, p)
    count = len(set(bookings))
    share = below.mean()
    if count < 2 or share in (0.0, 1.0):
        return
    inside = np.bincount(bookings, weights=below.astype(float), minlength=11).astype(np.float64)
    sizes = np.bincount(bookings, minlength=11).astype(np.float64)
    draws = Resamples(11, draws=4_000)
    spread = np.var(draws._sums(inside) - share * draws._sums(sizes)) / n**2 * count / (count - 1)
    most, least = n, n / (float(sizes @ sizes) / n)
    expected = min(max(share * (1 - share) / max(spread, 1e-12), least), most)
    assert worth_of(found, p) == pytest.approx(n if count == n else expected, rel=0.15, abs=1)


@given(drawn=clustered, seed=st.integers(0, 100))
def test_the_order_in_which_values_come_changes_nothing(
    drawn: tuple[list[float], list[int], list[bool]], seed: int
) -> None:
    values, bookings, at_least = drawn
    order = np.random.default_rng(seed).permutation(len(values)).tolist()
    mixed = [[column[place] for place in order] for column in (values, bookings, at_least)]
    one, other = describe(sample(values, bookings, at_least)), describe(sample(*mixed))
    assert one.mean == pytest.approx(other.mean)
    for first, second in zip(percentiles(one), percentiles(other), strict=True):
        assert first == second


@given(drawn=clustered)
def test_a_percentile_is_a_least_when_longer_time_outs_could_move_it(
    drawn: tuple[list[float], list[int], list[bool]],
) -> None:
    values, bookings, at_least = drawn
    found = describe(sample(values, bookings, at_least))
    longer = [math.inf if cut else value for value, cut in zip(values, at_least, strict=True)]
    ordered, endless = np.sort(values), np.sort(longer)
    for p, each in zip(QUANTILES, percentiles(found), strict=True):
        assert each.value == percentile_cont(ordered, p)
        assert each.at_least == (percentile_cont(endless, p) != each.value)
        assert each.lower is None or each.lower <= each.value
        assert each.upper is None or each.upper >= each.value
    assert found.timed_out == sum(at_least)
    assert found.max == max(values)


def test_with_time_outs_the_upper_bound_is_open_where_they_might_be() -> None:
    values = [float(value) for value in range(100)]
    found = describe(sample(values, list(range(100)), [value >= 90 for value in values]))
    median, p95, _ = percentiles(found)
    assert median.upper is not None
    assert not median.at_least
    assert p95.at_least
    assert p95.upper is None
    assert p95.lower == describe(sample(values, list(range(100)))).p95.lower  # type: ignore[union-attr]  # 100 values


def test_nothing_is_a_distribution_of_nothing() -> None:
    assert describe(sample([], [])) == Distribution(0)
    assert worth_of(sample([], []), 0.5) == 0
    assert describe(sample([math.nan], [0])) == Distribution(0)


def hits(pairs: int, *, mistaken: bool) -> float:
    """How often the interval of the median holds the true one, of attempts that are alike within bookings."""
    rng, truth, found = np.random.default_rng(2), math.exp(1.5), 0
    for _ in range(pairs):
        drawn = simulated(rng, 200, alike=1.0).times
        if mistaken:
            drawn = Sample(drawn.values, np.arange(len(drawn)), drawn.at_least)
        median = describe(drawn).median
        assert median is not None
        assert median.lower is not None
        assert median.upper is not None
        found += median.lower <= truth <= median.upper
    return found / pairs


def test_an_interval_over_bookings_holds_the_truth_and_one_over_attempts_does_not() -> None:
    assert hits(300, mistaken=False) >= 0.92
    assert hits(300, mistaken=True) <= 0.85
