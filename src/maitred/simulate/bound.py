"""The most covers that anybody could have seated who knew the whole day beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maitred.model.floor import Floor
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy, Window
from maitred.optimiser.optimise import optimise
from maitred.optimiser.options import Options
from maitred.optimiser.problem import Party, Problem
from maitred.optimiser.result import Params
from maitred.planner.planner import Planner
from maitred.simulate.days import DrawnBooking, Fate


@dataclass(frozen=True, slots=True)
class Clairvoyant:
    """`bound` is what nobody beats, `covers` what was found; where they are equal it is `proved`."""

    bound: int
    covers: int
    seated: int

    @property
    def proved(self) -> bool:
        """Whether the bound is reached."""
        return self.bound == self.covers


def clairvoyant(day: Sequence[DrawnBooking], floor: Floor, policy: VenuePolicy, *, seconds: float) -> Clairvoyant:
    """Seats all of the day at once by the venue's rules; who cancels needs no table, a no-show has his kept for him.

    `seconds` is the solver's deadline; blocks until then at most.
    """
    options = Options(Planner(floor, policy.scoring))
    parties = []
    for booking in day:
        window = policy.window(booking.starts_at, booking.party)
        if booking.fate is Fate.CANCELS or not isinstance(window, Window):
            continue
        start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
        parties.append(Party(booking.reference, booking.party, start, end, options.of(booking.party)))
    capacity = {table.id: table.capacity for table in floor.tables}
    everybody = sum(party.covers for party in parties)
    found = optimise(Problem(capacity, tuple(parties), complete=options.complete), Params(deadline_s=seconds))
    bound = min(everybody, int(found.bound + 1e-6)) if options.complete else everybody
    return Clairvoyant(bound, found.covers, found.seated)
