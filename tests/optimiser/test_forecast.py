from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.demo.reference import demo_day
from maitred.errors import InvalidInput
from maitred.optimiser.day_prices import price_day
from maitred.optimiser.forecast import PRIOR_DAYS, PRIOR_LEAD_MIN, Cell, Forecast, Seen, forecast, slot_of
from maitred.optimiser.history import prior_of
from maitred.storage.database import Database
from maitred.venue.read import Venue
from tests.house import DAWN, NOON, build_house
from tests.optimiser.test_apply import slug_of

DINNER = Cell("dinner", 2, 60)
WEEK = 7 * 24 * 60.0


def test_without_history_the_prior_is_the_forecast() -> None:
    assert forecast([], 0, {DINNER: 3.0}, {DINNER: 2 * WEEK}).counts == {DINNER: 3.0}


def test_a_long_history_outweighs_the_prior() -> None:
    days = [date(2030, 1, 2) + timedelta(weeks=week) for week in range(100)]
    seen = [Seen(day, DINNER, 60.0) for day in days for _ in range(5)]

    [count] = forecast(seen, len(days), {DINNER: 0.0}, {DINNER: 2 * WEEK}).counts.values()

    assert count == pytest.approx(5, rel=0.05)


def test_only_what_books_later_than_now_is_still_to_come() -> None:
    seen = [Seen(date(2030, 1, 2), DINNER, lead) for lead in [30.0] * 500 + [3000.0] * 500]

    whole = forecast(seen, 100, {}, {DINNER: 2 * WEEK}).counts[DINNER]
    late = forecast(seen, 100, {}, {DINNER: 60.0}).counts[DINNER]

    assert late == pytest.approx(whole / 2, rel=0.02)


def test_what_has_begun_brings_nothing_more() -> None:
    assert forecast([], 0, {DINNER: 3.0}, {DINNER: 0.0}).counts == {}


@given(st.lists(st.floats(-100, 20_000), max_size=20), st.integers(0, 30), st.floats(0, 50), st.floats(-100, 30_000))
def test_a_forecast_is_never_negative_nor_more_than_all_that_was_seen(
    leads: list[float], days: int, prior: float, left: float
) -> None:
    found = forecast([Seen(date(2030, 1, 2), DINNER, lead) for lead in leads], days, {DINNER: prior}, {DINNER: left})

    for count in found.counts.values():
        assert 0 <= count <= (prior * PRIOR_DAYS + len(leads)) / (PRIOR_DAYS + days) + 1e-9
    assert PRIOR_LEAD_MIN > 0


@pytest.mark.parametrize("count", [-1.0, float("nan"), float("inf")])
def test_a_forecast_without_sense_is_named_and_refused(count: float) -> None:
    with pytest.raises(InvalidInput, match="dinner, party of 2, minute 60"):
        Forecast({DINNER: count})


@pytest.mark.parametrize(("minutes", "slot"), [(0, 0), (14.9, 0), (15, 15), (61, 60), (-1, -15)])
def test_a_slot_is_a_quarter_of_an_hour(minutes: float, slot: int) -> None:
    assert slot_of(minutes) == slot


async def test_tables_are_dear_when_the_past_was_full_and_free_when_there_is_plenty(database: Database) -> None:
    house = await build_house(database, (4,), edges=[])
    for week in range(1, 21):
        for _ in range(4):
            await house.book(4, NOON - timedelta(weeks=week))
    await database.fetch("UPDATE bookings SET created_at = starts_at - interval '1 hour'")

    read, prices = await price_day(database, await slug_of(house), NOON.date(), now=DAWN)

    assert prices is not None
    noon, night = (read.bookings, prices.window(_micros(0), _micros(90))), prices.window(_micros(-300), _micros(-240))
    assert noon[1][0] > 2
    assert night == (0.0,)


def _micros(minutes: int) -> int:
    return int((NOON + timedelta(minutes=minutes)).timestamp()) * 1_000_000


def test_the_prior_has_as_many_bookings_as_the_venues_own_past_had() -> None:
    day = demo_day()
    venue = Venue(UUID(int=1), "house", "House", day.policy, day.floor, 1, 1)

    assert sum(prior_of(venue).values()) == pytest.approx(117)  # the demo's day has 117 on these seats
    assert sum(prior_of(venue, past_bookings=90, past_days=3).values()) == pytest.approx(30)
