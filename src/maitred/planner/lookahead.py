"""What a plan does to bookings that still wait for tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from maitred.planner.answer import Upcoming
from maitred.planner.seating import Seating


class Waiting:
    """Bookings of one party size and one occupancy that had a free candidate before the plan."""

    def __init__(self, seating: Seating, occupied: int, bookings: int, witness: int) -> None:
        self._seating = seating
        self._occupied = occupied
        self._witnesses = [witness]
        self.bookings = bookings

    def left_without(self, mask: int) -> bool:
        """Whether these tables, once taken, leave no candidate."""
        for witness in self._witnesses:
            if not witness & mask:
                return False
        witness = self._seating.first_free(self._occupied | mask)
        if not witness:
            return True
        self._witnesses.append(witness)
        return False


def waiting_bookings(upcoming: Iterable[Upcoming], seating_for: Callable[[int], Seating]) -> list[Waiting]:
    """The bookings that a plan could harm. One that had no candidate before is not the plan's doing."""
    waiting = []
    for (party, occupied), bookings in Counter((each.party, each.occupied) for each in upcoming).items():
        seating = seating_for(party)
        witness = seating.first_free(occupied)
        if witness:
            waiting.append(Waiting(seating, occupied, bookings, witness))
    return waiting
