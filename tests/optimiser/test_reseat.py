"""Seating everybody anew agrees with the search for moves, and both with trying everything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from maitred.optimiser.reseat import reseat
from maitred.planner.moves import Moves, NoMoves
from maitred.planner.planner import Planner
from tests.planner.test_moves import MOST_BOOKINGS, Room, by_trying_everything, check, rooms


@settings(max_examples=60, deadline=None)
@given(rooms())
def test_the_fewest_moves_and_the_cheapest_of_these(room: Room) -> None:
    for most in (1, MOST_BOOKINGS):
        found = reseat(Planner(room.floor, room.policy), room.wanted, room.seated, most=most, seconds=20)
        best = by_trying_everything(room, most)
        if best is None:
            assert isinstance(found, NoMoves)
            assert found.proved_up_to in (None, most)
            if found.proved_up_to is None:
                assert by_trying_everything(room, MOST_BOOKINGS) is None
            continue
        assert isinstance(found, Moves)
        check(room, found)
        assert found.fewest
        assert found.cheapest
        assert len(found.moved) == best.moves
        assert found.cost == pytest.approx(best.cost, abs=1e-4)
