"""Days drawn as a venue's own past was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from maitred.errors import InvalidInput
from maitred.model.policy import Window
from maitred.simulate.days import draw_day
from maitred.simulate.history import LEAST_BOOKINGS, profile_of
from maitred.simulate.study import FIRST_DAY
from maitred.storage.database import Database
from maitred.venue.read import load_venue
from tests.house import NOON, House, build_house


async def past(house: House, count: int) -> None:
    """Parties of 2 at noon booked an hour before and of 5 at seven booked ten days before; a fifth of all cancel."""
    await house.database.fetch(
        "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at, created_at, status)"
        " SELECT %(venue)s, 'P' || n, CASE WHEN n %% 2 = 0 THEN 2 ELSE 5 END, at, "
        "        at - CASE WHEN n %% 2 = 0 THEN interval '1 hour' ELSE interval '10 days' END,"
        "        CASE WHEN n %% 5 = 0 THEN 'cancelled' WHEN n %% 4 = 1 THEN 'no_show' ELSE 'completed' END"
        "   FROM (SELECT n, %(noon)s - interval '1 day' * (1 + n / 10) + CASE WHEN n %% 2 = 0 THEN interval '0'"
        "         ELSE interval '7 hours' END AS at FROM generate_series(0, %(count)s - 1) AS given (n)) AS those",
        {"venue": house.restaurant_id, "noon": NOON, "count": count},
    )


async def test_days_are_as_the_past_was(database: Database) -> None:
    house = await build_house(database, (4,) * 20)
    await past(house, 400)
    planned = await load_venue(database, house.restaurant_id)
    profile = await profile_of(database, planned, now=NOON)
    assert profile.parties == {2: 200, 5: 200}
    assert profile.starts == {12 * 60: 200, 19 * 60: 200}
    assert profile.lead_days == {0: 200, 10: 200}
    assert profile.cancels == pytest.approx(0.2)
    assert profile.no_show[0] == 0
    assert profile.no_show[7] == pytest.approx(80 / 160)
    for booking in draw_day(profile, planned.policy, FIRST_DAY, seats=80, load=1.0, seed=1):
        window = planned.policy.window(booking.starts_at, booking.party)
        assert isinstance(window, Window)
        assert (booking.party, booking.starts_at.hour) in ((2, 12), (5, 19), (5, 12), (2, 19))
        assert booking.starts_at - booking.booked_at < timedelta(days=11)


async def test_too_short_a_past_is_refused_with_how_long_it_must_be(database: Database) -> None:
    house = await build_house(database)
    await past(house, 20)
    planned = await load_venue(database, house.restaurant_id)
    with pytest.raises(InvalidInput, match=str(LEAST_BOOKINGS)) as refused:
        await profile_of(database, planned, now=NOON)
    assert refused.value.field == "--from-history"
