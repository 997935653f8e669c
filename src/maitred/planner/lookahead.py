"""What a plan does to bookings that still wait for tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from maitred.model.scoring import ScoringPolicy
from maitred.planner.answer import Upcoming
from maitred.planner.recipes import Draws
from maitred.planner.seating import Seating


class Lookahead:
    """The bookings that a plan could leave without tables. `cut`: some that could may not have been recognised."""

    def __init__(
        self,
        policy: ScoringPolicy,
        upcoming: Iterable[Upcoming],
        seating_for: Callable[[int], Seating],
        draws: Draws,
    ) -> None:
        self._policy = policy
        self._draws = draws
        self.cut = False
        self.waiting: list[Waiting] = []
        for (party, occupied), bookings in Counter([(each.party, each.occupied) for each in upcoming]).items():
            seating = seating_for(party)
            self.cut = self.cut or bool(seating.cut_zones)
            witness = seating.first_free(occupied, draws)
            if witness:  # one that had no candidate before the plan is not the plan's doing
                self.waiting.append(Waiting(seating, occupied, bookings, witness))

    def conflict(self, mask: int) -> float:
        """The look-ahead term of a plan with these tables."""
        harmed = 0
        for each in self.waiting:
            if each.loses_all_to(mask, self._draws):
                harmed += each.bookings
        return harmed * self._policy.lookahead_penalty

    def drops(self, conflict: float) -> bool:
        """Whether a look-ahead term this large rules a plan out."""
        return self._policy.lookahead_limit is not None and conflict > self._policy.lookahead_limit


class Waiting:
    """Bookings of one party size in one occupied room that had a free candidate before the plan."""

    def __init__(self, seating: Seating, occupied: int, bookings: int, witness: int) -> None:
        self._seating = seating
        self._occupied = occupied
        self._witnesses = [witness]
        self.bookings = bookings

    def loses_all_to(self, mask: int, draws: Draws) -> bool:
        """Whether these tables, once taken, leave no candidate."""
        for witness in self._witnesses:
            if not witness & mask:
                return False
        witness = self._seating.first_free(self._occupied | mask, draws)
        if not witness:
            return True
        self._witnesses.append(witness)
        return False
