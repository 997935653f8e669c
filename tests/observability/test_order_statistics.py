"""The bound of a percentile: an order statistic, checked against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maitred.observability.order_statistics import lower_bound_rank, rank_by_formula, upper_bound_rank


def exact_rank(n: int, quantile: str) -> int:
    """The definition, word by word, in fractions."""
    p, reached = Fraction(quantile), Fraction(0)
    for k in range(1, n + 1):
        reached += comb(n, k - 1) * p ** (k - 1) * (1 - p) ** (n - k + 1)
        if reached >= Fraction("0.975"):
            return k
    return n + 1


@given(n=st.integers(0, 450), quantile=st.sampled_from(["0.5", "0.95", "0.99"]))
@example(n=0, quantile="0.5")
@example(n=71, quantile="0.95")
@example(n=72, quantile="0.95")
@example(n=367, quantile="0.99")
@example(n=368, quantile="0.99")
def test_the_rank_is_the_one_of_the_definition(n: int, quantile: str) -> None:
    assert rank_by_formula(n, float(quantile)) == exact_rank(n, quantile)


@pytest.mark.parametrize(("quantile", "fewest"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_the_formula_has_a_bound_from_this_many_values_on(quantile: float, fewest: int) -> None:
    assert rank_by_formula(fewest - 1, quantile) > fewest - 1
    assert rank_by_formula(fewest, quantile) <= fewest


@pytest.mark.parametrize(("quantile", "fewest"), [(0.5, 6), (0.95, 73), (0.99, 368)])
def test_reports_have_a_bound_from_this_many_values_on(quantile: float, fewest: int) -> None:
    assert upper_bound_rank(fewest - 1, quantile) is None
    assert upper_bound_rank(fewest, quantile) is not None


@given(n=st.integers(368, 2_000_000), p=st.sampled_from([0.5, 0.95, 0.99]))
def test_in_large_samples_the_bound_is_two_standard_errors_above(n: int, p: float) -> None:
    rank = upper_bound_rank(n, p)
    assert rank is not None
    spread = (n * p * (1 - p)) ** 0.5
    assert n * p + 1.9 * spread - 2 <= rank <= min(n, n * p + 2.1 * spread + 3)


@given(n=st.integers(0, 450), quantile=st.sampled_from(["0.5", "0.95", "0.99"]))
def test_the_lower_bound_is_the_upper_one_from_the_other_end(n: int, quantile: str) -> None:
    """By the definition: the largest k for which at least k of n values lie below with that probability."""
    p, below, found = Fraction(quantile), Fraction(0), 0
    for k in range(1, n + 1):
        below += comb(n, k - 1) * p ** (k - 1) * (1 - p) ** (n - k + 1)
        if 1 - below < Fraction("0.975"):
            break
        found = k
    assert lower_bound_rank(n, float(quantile)) == (found or None)
