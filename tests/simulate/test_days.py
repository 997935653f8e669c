"""Drawn days: seeded, at the load that was asked for, within the services."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from maitred.demo.reference import demo_day
from maitred.errors import InvalidInput
from maitred.model.policy import Window
from maitred.simulate.days import PUBLISHED, DrawnBooking, Fate, draw_day

DAY = date(2030, 6, 5)
POLICY = demo_day().policy


def drawn(load: float, seed: int = 1) -> tuple[DrawnBooking, ...]:
    return draw_day(PUBLISHED, POLICY, DAY, seats=400, load=load, seed=seed)


def test_the_same_seed_draws_the_same_day_and_a_larger_load_only_adds_to_it() -> None:
    assert drawn(0.8) == drawn(0.8)
    assert drawn(0.8) != drawn(0.8, seed=2)
    assert set(drawn(0.8)) < set(drawn(1.05))


@pytest.mark.parametrize("load", [0.8, 0.95, 1.5])
def test_the_peak_is_as_high_as_was_asked_for(load: float) -> None:
    changes = []
    for booking in drawn(load):
        window = POLICY.window(booking.starts_at, booking.party)
        assert isinstance(window, Window)
        changes += [(window.blocked.start, booking.party), (window.blocked.end, -booking.party)]
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    assert load * 400 - max(PUBLISHED.parties) <= most <= load * 400


def test_bookings_are_made_before_the_meal_and_in_order() -> None:
    bookings = drawn(1.0)
    assert list(bookings) == sorted(bookings, key=lambda booking: (booking.booked_at, booking.reference))
    for booking in bookings:
        assert booking.booked_at < booking.starts_at
        assert (booking.cancelled_at is not None) == (booking.fate is Fate.CANCELS)
        if booking.cancelled_at is not None:
            assert booking.booked_at <= booking.cancelled_at <= booking.starts_at
    assert {booking.fate for booking in bookings} == set(Fate)


def test_what_makes_no_sense_is_named_and_refused() -> None:
    with pytest.raises(InvalidInput, match="load"):
        drawn(0.0)
    with pytest.raises(InvalidInput, match="seats"):
        draw_day(PUBLISHED, POLICY, DAY, seats=0, load=1, seed=1)
    with pytest.raises(InvalidInput, match="parties"):
        replace(PUBLISHED, parties={2: -1.0})
