from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.optimiser import highs
from maitred.optimiser.linear import Aim, Linear
from maitred.optimiser.prices import Expected, price_tables
from maitred.optimiser.problem import Option, Taken
from maitred.optimiser.result import Params

TWO, FOUR = (Option((1,)),), (Option((2,)),)


def test_a_table_that_nobody_else_wants_costs_nothing() -> None:
    prices = price_tables({1: 2}, [Expected(2, 0, 60, 0.5, TWO)])

    assert prices is not None
    assert prices.window(0, 60) == (0.0,)


def test_a_table_that_others_would_fill_costs_their_covers() -> None:
    prices = price_tables({1: 2, 2: 4}, [Expected(4, 30, 90, 3, FOUR), Expected(2, 30, 90, 0.5, TWO)])

    assert prices is not None
    assert prices.window(0, 60) == pytest.approx((0, 4))


def test_windows_are_half_open_and_cost_nothing_beside_the_demand() -> None:
    prices = price_tables({2: 4}, [Expected(4, 30, 90, 3, FOUR)])

    assert prices is not None
    assert prices.window(0, 30) == (0.0,)
    assert prices.window(90, 120) == (0.0,)


def test_a_long_stay_pays_for_every_party_that_it_keeps_out() -> None:
    prices = price_tables({2: 4}, [Expected(4, 0, 60, 3, FOUR), Expected(3, 60, 120, 3, FOUR)])

    assert prices is not None
    assert prices.window(0, 120) == pytest.approx((7,))


def test_what_is_taken_already_leaves_less_to_go_round() -> None:
    demand = [Expected(4, 0, 60, 1.5, (Option((1,)), Option((2,))))]

    free, half = price_tables({1: 4, 2: 4}, demand), price_tables({1: 4, 2: 4}, demand, [Taken(1, 0, 60)])

    assert free is not None
    assert half is not None
    assert free.window(0, 60) == (0.0, 0.0)
    assert half.window(0, 60) == pytest.approx((4, 4))


def test_without_demand_all_is_free() -> None:
    prices = price_tables({1: 2, 2: 4}, [])

    assert prices is not None
    assert prices.window(0, 60) == (0.0, 0.0)


@given(
    st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 20), st.integers(1, 10), st.floats(0, 9, allow_nan=False)),
        max_size=8,
    )
)
def test_prices_are_never_negative_and_the_same_again(rows: list[tuple[int, int, int, float]]) -> None:
    both = (Option((1,)), Option((2,)))
    demand = [Expected(covers, start, start + length, count, both) for covers, start, length, count in rows]

    once, again = price_tables({1: 6, 2: 6}, demand), price_tables({1: 6, 2: 6}, demand)

    assert once is not None
    assert again is not None
    for start in range(0, 30, 3):
        assert min(once.window(start, start + 5)) >= 0
        assert once.window(start, start + 5) == again.window(start, start + 5)


@pytest.mark.parametrize("count", [-0.1, float("nan"), float("inf")])
def test_a_forecast_with_a_count_that_is_none_is_refused_by_name(count: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        Expected(2, 0, 60, count, TWO)
    assert (refused.value.item, refused.value.field) == ("forecast", "count")


def test_prices_come_whatever_else_the_process_has_solved_with_several_threads() -> None:
    """The solver has one scheduler for the whole process, and gave nothing to who wanted another number of threads."""
    model = Linear()
    column = model.column(3)
    model.row([(column, 2)], most=3)
    for workers in (2, 1, 2):
        aim = Aim([(column, 1)], maximise=True)
        assert highs.solve(model, aim, Params(workers=workers), seconds=5).values == [1]

        assert price_tables({1: 2}, [Expected(2, 0, 60, 3, TWO)], params=Params(workers=workers)) is not None
