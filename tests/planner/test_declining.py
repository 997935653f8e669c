"""Declining a party whose tables would otherwise earn more: only when the policy says so, and by the same numbers."""

from __future__ import annotations

import math

import pytest

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Table
from maitred.model.reason import ReasonCode
from maitred.model.scoring import PricesPolicy, ScoringPolicy
from maitred.planner.answer import Ranked, Refused, Request
from maitred.planner.planner import Planner

FLOOR = Floor(1, (Table(1, "T1", 1, 4), Table(2, "T2", 1, 4)), zones={1: "Hall"})
DECLINING = ScoringPolicy(prices=PricesPolicy(use=True, points_per_cover=10, decline=True))


def test_a_party_is_declined_when_its_tables_would_otherwise_earn_more() -> None:
    answer = Planner(FLOOR, DECLINING).answer(Request(2, prices=(40.0, 30.0)))

    assert isinstance(answer, Refused)
    assert answer.reason is ReasonCode.DECLINED
    assert answer.price == pytest.approx(3)


def test_a_party_that_brings_as_much_is_seated_where_it_costs_least() -> None:
    answer = Planner(FLOOR, DECLINING).answer(Request(3, prices=(40.0, 30.0)))

    assert isinstance(answer, Ranked)
    assert answer.best.table_ids == (2,)


def test_nobody_is_declined_without_prices_nor_where_the_policy_is_silent() -> None:
    assert isinstance(Planner(FLOOR, DECLINING).answer(Request(2)), Ranked)
    silent = ScoringPolicy(prices=PricesPolicy(use=True, points_per_cover=10))
    assert isinstance(Planner(FLOOR, silent).answer(Request(2, prices=(40.0, 30.0))), Ranked)


def test_declining_needs_prices_in_use() -> None:
    with pytest.raises(InvalidInput, match="decline"):
        PricesPolicy(decline=True)


@pytest.mark.parametrize("points", [-1, math.nan, math.inf])
def test_points_for_a_cover_are_a_number_of_0_or_more(points: float) -> None:
    with pytest.raises(InvalidInput, match="points_per_cover"):
        PricesPolicy(points_per_cover=points)


@pytest.mark.parametrize(("margin", "declined"), [(0.9, True), (1.0, False)])
def test_as_much_as_the_margin_may_be_lost_before_anybody_is_declined(margin: float, declined: bool) -> None:
    policy = ScoringPolicy(prices=PricesPolicy(use=True, points_per_cover=10, decline=True, margin=margin))

    answer = Planner(FLOOR, policy).answer(Request(2, prices=(40.0, 30.0)))

    assert isinstance(answer, Refused) is declined


@pytest.mark.parametrize("margin", [-1, math.nan, math.inf])
def test_a_margin_is_a_number_of_covers_of_0_or_more(margin: float) -> None:
    with pytest.raises(InvalidInput, match="margin"):
        PricesPolicy(margin=margin)
