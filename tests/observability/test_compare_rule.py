"""The verdict: a rule of four lines, and how many bookings more it would take."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.observability.compare_measures import MARGIN, MORE_IS_BETTER, Difference, Name, Unknown, critical_value
from maitred.observability.compare_rule import Verdict, judge, more_bookings

Z = critical_value(4)


def difference(name: Name, estimate: float, error: float) -> Difference:
    return Difference(name, 1.0, 1.0, estimate, error, estimate - Z * error, estimate + Z * error)


def found(**estimates: float) -> list[Difference]:
    """All four measures; those that aren't named are exactly the same on both sides."""
    return [difference(name, estimates.get(name.name, 0.0), 0.012) for name in Name]


@pytest.mark.parametrize(
    ("estimates", "verdict", "because"),
    [
        ({}, Verdict.ALIKE, tuple(Name)),
        ({"MEDIAN": -0.1}, Verdict.BETTER, (Name.MEDIAN,)),
        ({"MEDIAN": 0.1}, Verdict.WORSE, (Name.MEDIAN,)),
        ({"SEATED": 0.1}, Verdict.BETTER, (Name.SEATED,)),
        ({"SEATED": -0.1}, Verdict.WORSE, (Name.SEATED,)),
        ({"ATTEMPTS": -0.1, "P95": -0.2}, Verdict.BETTER, (Name.P95, Name.ATTEMPTS)),
        ({"MEDIAN": -2.0, "SEATED": -0.1}, Verdict.WORSE, (Name.SEATED,)),
        ({"SEATED": 0.024}, Verdict.NOT_ENOUGH, ()),
    ],
)
def test_the_rule(estimates: dict[str, float], verdict: Verdict, because: tuple[Name, ...]) -> None:
    judged = judge(found(**estimates))
    assert (judged.verdict, judged.because) == (verdict, because)
    assert (judged.factor is None) == (verdict is not Verdict.NOT_ENOUGH)


measures = st.lists(
    st.builds(difference, st.sampled_from(Name), st.floats(-2, 2), st.floats(0.001, 2)), min_size=1, max_size=4
)


@given(found=measures)
def test_better_is_said_of_nothing_that_is_worse_in_anything(found: list[Difference]) -> None:
    verdict = judge(found).verdict
    assert (verdict is Verdict.WORSE) == any(each.is_worse for each in found)
    if verdict is Verdict.BETTER:
        assert any(each.is_better for each in found)
    if verdict is Verdict.ALIKE:
        assert all(abs(each.estimate) < MARGIN[each.name] for each in found)


@given(found=measures)
def test_swapping_the_sides_turns_a_difference_round(found: list[Difference]) -> None:
    for each in found:
        turned = difference(each.name, -each.estimate, each.error)
        assert (turned.is_better, turned.is_worse) == (each.is_worse, each.is_better)
        assert each.is_better == (each.is_more if each.name in MORE_IS_BETTER else each.is_less)


@given(name=st.sampled_from(Name), estimate=st.floats(-0.5, 0.5), error=st.floats(0.01, 1.0), others=st.integers(0, 3))
def test_with_so_many_more_bookings_the_same_difference_has_a_verdict(
    name: Name, estimate: float, error: float, others: int
) -> None:
    z = critical_value(1 + others)

    def seen(error: float) -> list[Difference]:
        one = Difference(name, 1.0, 1.0, estimate, error, estimate - z * error, estimate + z * error)
        return [one, *(Difference(each, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0) for each in list(Name)[:others])]

    judged = judge(seen(error))
    if judged.verdict is not Verdict.NOT_ENOUGH:
        return
    assert judged.factor is not None
    assert judged.factor >= 1
    assert judge(seen(error / math.sqrt(judged.factor * 1.001))).verdict is not Verdict.NOT_ENOUGH


def test_a_measure_of_which_nothing_is_known_leaves_the_others_their_say() -> None:
    unknown = Unknown(Name.P95, None, None, 2.0)
    assert judge([difference(Name.MEDIAN, 0.5, 0.01), unknown]).verdict is Verdict.WORSE
    judged = judge([difference(Name.MEDIAN, 0.0, 0.01), unknown])
    assert (judged.verdict, judged.factor) == (Verdict.NOT_ENOUGH, 2.0)


def test_no_number_of_bookings_helps_where_time_outs_hide_a_percentile() -> None:
    judged = judge([difference(Name.MEDIAN, 0.0, 0.01), Unknown(Name.P95, 4_000.0, 4_000.0, None)])
    assert (judged.verdict, judged.factor) == (Verdict.NOT_ENOUGH, None)


@pytest.mark.parametrize(("factor", "bookings", "more"), [(2.0, 100, 100), (1.0, 100, 1), (1.5, 3, 2), (30.0, 1, 29)])
def test_more_bookings_are_counted_beyond_those_there_are(factor: float, bookings: int, more: int) -> None:
    assert more_bookings(factor, bookings) == more
