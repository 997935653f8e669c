"""Availability while the venue's rules change: what is kept is what the rules of that version say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from maitred.booking.availability import Availabilities
from maitred.booking.snapshot import Snapshot
from maitred.booking.venues import PlannedVenue
from tests.http.conftest import Api


async def test_rules_that_change_twice_while_one_asks_leave_no_old_answer_behind(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await api.house()
    desk = api.application.desk
    day, now = datetime.now(UTC).date() + timedelta(days=3), datetime.now(UTC)
    get, changed = desk.venues.get, False

    async def get_then_change(snapshot: Snapshot) -> PlannedVenue:
        nonlocal changed
        found = await get(snapshot)
        if not changed:
            changed = True
            await house.database.fetch("UPDATE services SET ends = '11:00'")
        return found

    monkeypatch.setattr(desk.venues, "get", get_then_change)
    kept, fresh = Availabilities(desk.venues, desk.prices), Availabilities(desk.venues, desk.prices)
    first = await kept.of_day(desk.database, house.restaurant_id, day, 2, now=now)
    again = await kept.of_day(desk.database, house.restaurant_id, day, 2, now=now)
    expected = await fresh.of_day(desk.database, house.restaurant_id, day, 2, now=now)
    assert len(expected.slots) == 4
    assert (first, again) == (expected, expected)
