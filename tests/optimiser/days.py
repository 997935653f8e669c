"""Days for the optimiser's tests: from bookings in whole minutes to a problem, by the planner's own options."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from maitred.model.floor import Floor, Mobility, Table
from maitred.model.scoring import ScoringPolicy
from maitred.optimiser.options import Options
from maitred.optimiser.problem import Mode, Party, Problem
from maitred.planner.planner import Planner
from tests.optimiser.verifier import MINUTE, Wanted


def row_of(*capacities: int, fixed: Collection[int] = ()) -> Floor:
    """Tables 1, 2, ... in one row, each beside the next; ids in `fixed` join nothing."""
    tables = tuple(
        Table(place, f"T{place}", 1, capacity, mobility=Mobility.FIXED if place in fixed else Mobility.MOVABLE)
        for place, capacity in enumerate(capacities, start=1)
    )
    return Floor(1, tables, frozenset((place, place + 1) for place in range(1, len(capacities))), {1: "Hall"})


def problem_of(floor: Floor, policy: ScoringPolicy, bookings: Sequence[Wanted], mode: Mode = Mode.COVERS) -> Problem:
    """The problem of this day."""
    options = Options(Planner(floor, policy))
    parties = tuple(
        Party(
            key=booking.key,
            covers=booking.covers,
            start=booking.start * MINUTE,
            end=booking.end * MINUTE,
            options=options.of(booking.covers),
            seat=booking.seat,
            locked=booking.locked,
            seat_waste=None if booking.seat is None else max(0, floor.seats_of(booking.seat) - booking.covers),
        )
        for booking in bookings
    )
    return Problem({table.id: table.capacity for table in floor.tables}, parties, mode=mode, complete=options.complete)
