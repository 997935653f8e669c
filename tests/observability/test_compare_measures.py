"""How sure a difference is: resampling bookings against brute force, against chance, and against the usual mistake."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.observability.baseline_distribution import Sample, worth_of
from maitred.observability.bootstrap import MOST_BUNDLES, Resamples
from maitred.observability.compare_measures import (
    FEWEST_BOOKINGS,
    Difference,
    Name,
    Observed,
    Unknown,
    critical_value,
    differences,
)
from maitred.observability.compare_rule import Verdict, judge
from tests.observability.simulated import as_if_each_attempt_were_a_booking, simulated, two_sides

DRAWS = 200


def alarms(pairs: int, seed: int, *, mistaken: bool) -> float:
    """How often two samples of one system surely differ in their median."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(pairs):
        a, b = two_sides(rng, 100, alike=1.2)
        if mistaken:
            a, b = as_if_each_attempt_were_a_booking(a, b)
        (median,) = differences(a, b, (Name.MEDIAN,), draws=DRAWS)
        found += isinstance(median, Difference) and (median.is_more or median.is_less)
    return found / pairs


def test_resampling_attempts_instead_of_bookings_raises_false_alarms() -> None:
    assert alarms(200, 1, mistaken=False) <= 0.09
    assert alarms(200, 1, mistaken=True) >= 0.2


def verdicts(pairs: int, bookings: int, slower: float, seed: int) -> list[Verdict]:
    rng = np.random.default_rng(seed)
    return [judge(differences(*two_sides(rng, bookings, slower=slower), draws=DRAWS)).verdict for _ in range(pairs)]


def test_two_samples_of_one_system_are_seldom_told_apart() -> None:
    told = verdicts(200, 150, 1.0, seed=2)
    assert sum(each in (Verdict.BETTER, Verdict.WORSE) for each in told) / len(told) <= 0.1


def test_what_is_slower_by_a_fifth_is_found_with_enough_bookings_and_never_called_better() -> None:
    told = verdicts(20, 2_000, 1.2, seed=3)
    assert told.count(Verdict.WORSE) >= 18
    assert Verdict.BETTER not in told


def test_what_is_faster_is_better() -> None:
    told = verdicts(10, 2_000, 1 / 1.3, seed=4)
    assert told.count(Verdict.BETTER) >= 9


def test_a_side_is_no_different_from_itself() -> None:
    side = simulated(np.random.default_rng(5), 200)
    for each in differences(side, side):
        assert isinstance(each, Difference)
        assert (each.estimate, each.error, each.lower, each.upper) == (0.0, 0.0, 0.0, 0.0)
    assert judge(differences(side, side)).verdict is Verdict.ALIKE


def test_bookings_on_both_sides_make_the_difference_surer() -> None:
    """The same bookings, faster by a tenth: what they have in common says nothing on the difference."""
    rng = np.random.default_rng(6)
    side = simulated(rng, 300)
    ms = side.times.values * 0.9
    same = Observed(Sample.of(ms, side.times.bookings), side.worked, side.seated)
    other = simulated(rng, 300, first=300, codes=600, slower=0.9)
    padded = simulated(np.random.default_rng(6), 300, codes=600)
    paired, unpaired = differences(side, same)[0], differences(padded, other)[0]
    assert isinstance(paired, Difference)
    assert isinstance(unpaired, Difference)
    assert paired.error < unpaired.error / 5
    assert paired.is_better


def timed_out(side: Observed, share: float) -> Observed:
    """The slowest of the side's calls timed out."""
    at_least = np.arange(len(side.times)) >= (1 - share) * len(side.times)
    return Observed(Sample(side.times.values, side.times.bookings, at_least), side.worked, side.seated)


def test_a_percentile_among_time_outs_is_only_told_in_the_direction_that_is_sure() -> None:
    rng = np.random.default_rng(7)
    a, b = two_sides(rng, 400, slower=0.5)
    _, p95, *_ = differences(a, timed_out(b, 0.2))
    assert isinstance(p95, Difference)
    assert p95.upper is None  # b may be slower than it looks
    assert not p95.is_better
    _, p95, *_ = differences(timed_out(a, 0.2), b)
    assert isinstance(p95, Difference)
    assert p95.lower is None  # a may be slower than it looks
    assert p95.is_better
    _, p95, *_ = differences(timed_out(a, 0.2), timed_out(b, 0.2))
    assert isinstance(p95, Unknown)
    assert p95.factor is None
    assert judge([p95]).factor is None


def test_with_few_bookings_nothing_is_said() -> None:
    rng = np.random.default_rng(8)
    for each in differences(*two_sides(rng, FEWEST_BOOKINGS - 1, slower=100.0)):
        assert isinstance(each, Unknown)
        assert each.factor == pytest.approx(FEWEST_BOOKINGS / (FEWEST_BOOKINGS - 1))
    few = differences(*two_sides(rng, FEWEST_BOOKINGS, slower=100.0, alike=3.0))
    assert isinstance(few[0], Difference)
    assert isinstance(few[1], Unknown)  # worth fewer than 73 values
    assert few[1].factor is not None
    assert few[1].factor > 1


def test_nothing_against_something_is_not_known() -> None:
    some = simulated(np.random.default_rng(9), 40)
    nothing = some.only(np.zeros(40, dtype=np.bool_))
    for each in differences(some, nothing):
        assert isinstance(each, Unknown)
    assert judge(differences(nothing, nothing)).verdict is Verdict.NOT_ENOUGH


@given(measures=st.integers(1, 10))
def test_more_measures_need_wider_intervals(measures: int) -> None:
    assert critical_value(1) == pytest.approx(1.959964, abs=1e-6)
    assert critical_value(measures + 1) > critical_value(measures)
    # the chance that any of so many independent ones is off is 5% at most
    outside = math.erfc(critical_value(measures) / math.sqrt(2))
    assert 1 - (1 - outside) ** measures <= 0.05 + 1e-12


def by_hand(values: list[float], bookings: list[int], counts: list[int], p: float) -> float:
    """The p-quantile of one draw: every value as often as its booking was drawn."""
    drawn = sorted(value for value, booking in zip(values, bookings, strict=True) for _ in range(counts[booking]))
    if not drawn:
        return min(values)
    return drawn[max(math.ceil(round(p * len(drawn), 6)) - 1, 0)]


@settings(max_examples=100)
@given(data=st.data(), p=st.sampled_from([0.5, 0.95]))
def test_a_draw_is_the_sample_with_each_booking_as_often_as_it_was_drawn(data: st.DataObject, p: float) -> None:
    bookings = data.draw(st.integers(1, 30))
    of = data.draw(st.lists(st.integers(0, bookings - 1), min_size=1, max_size=80))
    values = data.draw(st.lists(st.integers(1, 40).map(float), min_size=len(of), max_size=len(of)))
    resamples = Resamples(bookings, draws=20, seed=data.draw(st.integers(0, 1_000)))
    sample = Sample.of(np.array(values), np.array(of))
    counts = resamples._counts.astype(int)

    worth = data.draw(st.sampled_from([1, worth_of(sample, p), 10**9]))  # only says where to look first
    found = resamples.quantile(sample, p, worth).tolist()
    assert found == [by_hand(values, of, row.tolist(), p) for row in counts]

    weights = np.ones(bookings)
    totals = np.bincount(of, weights=values, minlength=bookings).astype(np.float64)
    drawn = [sum(row * totals) / max(sum(row), 1e-9) for row in counts]
    assert resamples.mean(totals, weights).tolist() == pytest.approx(drawn)


def test_many_bookings_are_resampled_in_bundles_with_the_same_spread() -> None:
    rng = np.random.default_rng(10)
    bookings = 5 * MOST_BUNDLES
    values = rng.normal(10.0, 3.0, bookings)
    drawn = Resamples(bookings).mean(values, np.ones(bookings))
    assert np.std(drawn) == pytest.approx(np.std(values) / math.sqrt(bookings), rel=0.1)


def test_the_same_events_give_the_same_report() -> None:
    a, b = two_sides(np.random.default_rng(11), 100)
    assert differences(a, b) == differences(a, b)


@pytest.mark.parametrize(("bookings", "verdict"), [(40, Verdict.NOT_ENOUGH), (4_000, Verdict.ALIKE)])
def test_that_all_were_seated_is_no_proof_that_all_are(bookings: int, verdict: Verdict) -> None:
    """Resampling 40 bookings that were all seated gives 40 that were all seated, every time."""
    rng = np.random.default_rng(11)
    codes = np.arange(bookings)
    everybody = np.ones(2 * bookings, dtype=np.bool_)
    sides = []
    for first in (0, bookings):
        worked = everybody & (np.arange(2 * bookings) // bookings == first // bookings)
        times = Sample.of(np.exp(rng.normal(1.5, 0.1, bookings)), codes + first)
        sides.append(Observed(times, worked, worked))
    found = {each.name: each for each in differences(sides[0], sides[1])}
    for name in (Name.SEATED, Name.ATTEMPTS):
        each = found[name]
        assert isinstance(each, Difference)
        assert each.lower is not None
        assert each.lower < 0 == each.estimate
    seated = found[Name.SEATED]
    assert isinstance(seated, Difference)
    # of n bookings that all came out the same, the share that may not is 3 / n with 95% confidence (the rule of three)
    assert seated.is_small is (bookings == 4_000)
    assert seated.upper is not None
    assert seated.upper > 3 / bookings
    assert judge(tuple(found.values())).verdict is verdict
