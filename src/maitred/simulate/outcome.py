"""What became of one drawn day under one policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from maitred.model.floor import Floor
from maitred.simulate.days import DrawnBooking, Fate


@dataclass(frozen=True, slots=True)
class Sitting:
    """A booking that kept tables (ids, ascending), taken for [start, end) in microseconds since 1970."""

    booking: DrawnBooking
    tables: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Outcome:
    """`sittings` are those who had tables when their time came; no-shows are among them, since their tables were kept.

    `waste` are seats at their tables that nobody booked. `moves` counts each booking each time it got other tables.
    """

    sittings: Sequence[Sitting]
    moves: int
    declined: int
    waste: int

    @property
    def seated(self) -> int:
        """Parties with tables."""
        return len(self.sittings)

    @property
    def covers(self) -> int:
        """Their covers."""
        return sum(sitting.booking.party for sitting in self.sittings)

    @property
    def came(self) -> int:
        """Covers of those who came."""
        return sum(each.booking.party for each in self.sittings if each.booking.fate is Fate.COMES)


def outcome(sittings: Sequence[Sitting], floor: Floor, *, moves: int, declined: int) -> Outcome:
    """The outcome, looked through: raises RuntimeError when two sit at one table at a moment."""
    for one, other in combinations(sittings, 2):
        if one.start < other.end and other.start < one.end and set(one.tables) & set(other.tables):
            raise RuntimeError(f"{one.booking.reference} and {other.booking.reference} share a table")
    waste = sum(floor.seats_of(each.tables) - each.booking.party for each in sittings)
    return Outcome(tuple(sittings), moves, declined, waste)
