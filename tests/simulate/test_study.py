"""A whole study: bounds hold, figures add up, nonsense is refused by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.demo.reference import demo_day
from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Table
from maitred.model.policy import Window
from maitred.simulate.bound import clairvoyant
from maitred.simulate.days import PUBLISHED, Fate, draw_day
from maitred.simulate.figures import figures, to_json
from maitred.simulate.outcome import Sitting, outcome
from maitred.simulate.picture import render_html
from maitred.simulate.players import in_memory, on_database
from maitred.simulate.policies import BEST_FIT, POLICIES, policy_named
from maitred.simulate.study import FIRST_DAY, Plan, Study, study
from maitred.storage.database import Database
from tests.house import Events

DEMO = demo_day()
CERTAIN = replace(PUBLISHED, cancels=0.0, no_show={0: 0.0})
BOTH = [BEST_FIT, POLICIES["moves"]]


async def studied(plan: Plan, **changes: Any) -> Study:
    given = {
        "venue": DEMO.name,
        "source": "tests",
        "floor": DEMO.floor,
        "policy": DEMO.policy,
        "play": in_memory(DEMO.floor, DEMO.policy, BOTH),
    }
    return await study(plan, BOTH, PUBLISHED, **{**given, **changes})


async def test_no_policy_beats_the_bound_and_the_figures_add_up() -> None:
    found = await studied(Plan(loads=(0.8, 1.5), days=4, seed=11))
    for load in found.loads:
        for day in load.days:
            for each in day.outcomes.values():
                assert each.covers <= day.best.bound
                assert each.came <= each.covers
                assert each.waste >= 0
    for load, told in zip(found.loads, figures(found), strict=True):
        best, moves = told.rows
        assert best.covers * 4 == sum(day.outcomes["best-fit"].covers for day in load.days)
        assert best.share_p5 == min(day.outcomes["best-fit"].covers / day.best.bound for day in load.days)
        assert moves.covers >= best.covers
        assert told.bound * 4 == sum(day.best.bound for day in load.days)
    assert figures(found)[1].rows[0].regret_removed == 0
    assert (figures(found)[1].rows[1].regret_removed or 0) > 0


async def test_a_bound_that_a_policy_beats_is_told() -> None:
    many = in_memory(DEMO.floor, DEMO.policy, BOTH)

    async def too_good(*asked: Any) -> Any:
        found = await many(*asked)
        return replace(found, sittings=[*found.sittings, *found.sittings])

    with pytest.raises(RuntimeError, match="above the bound"):
        await studied(Plan(loads=(1.0,), days=1), play=too_good)


async def test_the_same_seed_gives_the_same_study() -> None:
    plan = Plan(loads=(1.25,), days=2, seed=5)
    first, second = to_json(await studied(plan)), to_json(await studied(plan))
    assert first == second
    assert first != to_json(await studied(replace(plan, seed=6)))


async def test_loads_of_one_study_do_not_meet_on_a_database(database: Database) -> None:
    plan = Plan(loads=(0.8, 0.95), days=2)
    desk = Desk(database, Venues(database), Events())
    async with on_database(desk, DEMO.floor, DEMO.policy, BOTH) as play:
        there = await studied(plan, play=play)
    assert to_json(there) == to_json(await studied(plan))


async def test_a_venue_that_is_there_already_is_left_alone(database: Database) -> None:
    desk = Desk(database, Venues(database), Events())
    async with on_database(desk, DEMO.floor, DEMO.policy, [BEST_FIT]):
        with pytest.raises(InvalidInput, match="already in the database"):
            async with on_database(desk, DEMO.floor, DEMO.policy, [BEST_FIT]):
                pass
        assert len(await database.fetch("SELECT id FROM restaurants")) == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_leaves_out_who_cancels_and_seats_all_where_there_is_room(seed: int) -> None:
    day = draw_day(PUBLISHED, DEMO.policy, FIRST_DAY, seats=54, load=0.3, seed=seed)
    found = clairvoyant(day, DEMO.floor, DEMO.policy, seconds=10)
    stay = [booking for booking in day if booking.fate is not Fate.CANCELS]
    assert found.proved
    assert found.covers == sum(booking.party for booking in stay)
    assert found.seated == len(stay)


def test_two_at_one_table_are_found_out() -> None:
    one, other = draw_day(CERTAIN, DEMO.policy, FIRST_DAY, seats=54, load=0.5, seed=1)[:2]
    window = DEMO.policy.window(one.starts_at, one.party)
    assert isinstance(window, Window)
    floor = Floor(1, (Table(1, "T1", 1, 8), Table(2, "T2", 1, 8)), frozenset({(1, 2)}), lost_seats={(1, 2): 2})
    apart = [Sitting(one, (1,), 0, 60), Sitting(other, (1, 2), 60, 90)]
    seen = outcome(apart, floor, moves=0, declined=0)
    assert (seen.seated, seen.waste) == (2, 8 + 14 - one.party - other.party)
    with pytest.raises(RuntimeError, match="share a table"):
        outcome([apart[0], replace(apart[1], start=59)], floor, moves=0, declined=0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"loads": (-1.0,)}, "--load"),
        ({"loads": (0.0,)}, "--load"),
        ({"loads": (float("nan"),)}, "--load"),
        ({"loads": (float("inf"),)}, "--load"),
        ({"loads": ()}, "--load"),
        ({"loads": (1.0,) * 11}, "--load"),
        ({"days": 0}, "--days"),
        ({"days": 366}, "--days"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**31}, "--seed"),
        ({"bound_s": 0.0}, "--bound-seconds"),
    ],
)
def test_a_plan_without_sense_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Plan(**changes)
    assert refused.value.field == field


def test_an_unknown_policy_is_refused_and_told_which_there_are() -> None:
    with pytest.raises(InvalidInput, match="best-fit"):
        policy_named("magic")


async def test_the_page_needs_nothing_else_and_has_every_day() -> None:
    found = await studied(Plan(loads=(0.95, 1.25), days=3))
    page = render_html(found)
    assert not re.search(r"https?://|<script|<link|@import|url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count('r="3"') == 2 * 2 * 3
    assert page.count('r="6"') == 2 * 2
    json.dumps(to_json(found))
