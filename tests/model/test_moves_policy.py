"""The switch for moves: off unless a venue says otherwise, and refused when it makes no sense."""

from __future__ import annotations

import math

import pytest

from maitred.errors import InvalidInput
from maitred.model.scoring import MOST_MOVES, MovesPolicy, ScoringPolicy
from maitred.venue.scoring import scoring_from_json, scoring_to_json


def test_nobody_is_moved_unless_the_venue_says_so() -> None:
    assert ScoringPolicy().moves.most == 0
    assert scoring_from_json("somewhere", {}).moves == MovesPolicy()


def test_moves_are_kept_as_they_were_given() -> None:
    policy = ScoringPolicy(moves=MovesPolicy(most=3, horizon_minutes=30, cost=12.5))
    assert scoring_from_json("somewhere", scoring_to_json(policy)) == policy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("most", -1),
        ("most", MOST_MOVES + 1),
        ("horizon_minutes", -1),
        ("horizon_minutes", 1441),
        ("cost", -0.5),
        ("cost", math.inf),
        ("cost", math.nan),
    ],
)
def test_a_number_without_sense_is_named_and_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=field):
        MovesPolicy(**{field: value})  # type: ignore[arg-type]  # the test gives what the type forbids
