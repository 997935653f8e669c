"""The policies that are compared: a venue's own scoring with moves, prices and declining switched on or off."""

from __future__ import annotations

from dataclasses import dataclass, replace

from maitred.errors import InvalidInput
from maitred.model.policy import VenuePolicy
from maitred.model.scoring import MOST_MOVES, MovesPolicy, PricesPolicy

MARGIN = 1.0
"""So many covers more than the party has must be at stake before it is declined, where the venue says nothing: a
forecast is no certainty, and who is seated may cancel."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`prices` in use, `declines` on top of them; both by the venue's own points for a cover."""

    name: str
    moves: bool = False
    prices: bool = False
    declines: bool = False

    def applied_to(self, venue: VenuePolicy) -> VenuePolicy:
        """The venue's policy with exactly these switched on. Horizon and price of moves stay the venue's."""
        scoring = venue.scoring
        prices = PricesPolicy(
            use=self.prices,
            points_per_cover=scoring.prices.points_per_cover or 25.0,
            decline=self.declines,
            margin=(scoring.prices.margin or MARGIN) if self.declines else 0.0,
        )
        moves = MovesPolicy(
            most=MOST_MOVES if self.moves else 0,
            horizon_minutes=scoring.moves.horizon_minutes,
            cost=scoring.moves.cost,
        )
        return replace(venue, scoring=replace(scoring, moves=moves, prices=prices))


BEST_FIT = Policy("best-fit")
POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        BEST_FIT,
        Policy("moves", moves=True),
        Policy("prices", prices=True),
        Policy("moves+prices", moves=True, prices=True),
        Policy("declining", moves=True, prices=True, declines=True),
    )
}


def policy_named(name: str) -> Policy:
    """Raises InvalidInput, naming those there are, for any other name."""
    if name not in POLICIES:
        raise InvalidInput("simulate", "--policy", f"there is no {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name]
