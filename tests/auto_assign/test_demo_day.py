"""The real day: one worker, and 32 at once on the same tables, with and without what keeps them apart."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from importlib import resources
from uuid import UUID

import pytest

from maitred.auto_assign.day import assign_in_order
from maitred.auto_assign.run import BookingOutcome
from maitred.booking import hold as hold_module
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.storage.database import Database
from maitred.venue.document import parse_day
from maitred.venue.store import import_day
from tests.booking.test_races import NO_CONSTRAINT, NO_LOCK, SLOW_HOLDS
from tests.house import Events, double_bookings

DAY = resources.files("maitred.demo") / "data" / "demo-restaurant-2025-11-06.json"
MIDNIGHT = datetime(2025, 11, 6, tzinfo=UTC)
BEST_FIT = (69, 256)
"""Parties and covers that best fit in order of time reaches, by the day's own bounds."""


async def assign(database: Database, workers: int) -> list[BookingOutcome]:
    await import_day(database, parse_day(DAY.read_bytes()))
    rows = await database.fetch("SELECT id FROM bookings ORDER BY starts_at, reference")
    desk = Desk(database, Venues(database), Events())
    bookings: list[UUID] = [row["id"] for row in rows]
    return await assign_in_order(desk, bookings, now=lambda: MIDNIGHT, trigger="ultra_fast", workers=workers)


def seated(outcomes: list[BookingOutcome]) -> tuple[int, int]:
    found = [outcome for outcome in outcomes if outcome.result == "succeeded"]
    return len(found), sum(outcome.party_size for outcome in found)


async def test_one_worker_seats_what_best_fit_in_order_of_time_reaches(database: Database) -> None:
    outcomes = await assign(database, 1)
    assert seated(outcomes) == BEST_FIT
    assert await double_bookings(database) == 0
    assert max(outcome.round_trips for outcome in outcomes) <= 4


async def test_32_workers_never_overlap_and_seat_as_many_within_three_parties(database: Database) -> None:
    outcomes = await assign(database, 32)
    assert await double_bookings(database) == 0
    assert abs(seated(outcomes)[0] - BEST_FIT[0]) <= 3
    assert Counter(outcome.result for outcome in outcomes).keys() == {"succeeded", "exhausted"}


async def test_with_nothing_to_keep_them_apart_32_workers_do_overlap(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.fetch(NO_CONSTRAINT)
    await database.fetch(SLOW_HOLDS)
    monkeypatch.setattr(hold_module, "LOCK_DAY", NO_LOCK)
    await assign(database, 32)
    assert await double_bookings(database) > 0


async def test_with_the_constraint_alone_they_do_not(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.fetch(SLOW_HOLDS)
    monkeypatch.setattr(hold_module, "LOCK_DAY", NO_LOCK)
    outcomes = await assign(database, 32)
    assert await double_bookings(database) == 0
    assert Counter(outcome.result for outcome in outcomes).keys() == {"succeeded", "exhausted"}
