"""Small days against trying everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.model.floor import Floor
from maitred.model.joined import JoinedSet
from maitred.model.scoring import ScoringPolicy
from maitred.optimiser.optimise import optimise
from maitred.optimiser.problem import Mode
from maitred.optimiser.result import Params, Status
from tests.optimiser.days import problem_of, row_of
from tests.optimiser.verifier import Wanted, complaints, seats_of

POLICY = ScoringPolicy(max_tables=2)


@st.composite
def days(draw: st.DrawFn) -> tuple[Floor, list[Wanted]]:
    """A few tables in a row, a few bookings; some of these have tables, and a few of those are locked to them."""
    capacities = draw(st.lists(st.sampled_from([2, 2, 4, 4, 6]), min_size=1, max_size=4))
    floor = row_of(*capacities, fixed=draw(st.sets(st.integers(1, len(capacities)), max_size=2)))
    if draw(st.booleans()):
        floor = draw(joined_differently(floor))
    bookings: list[Wanted] = []
    for number in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, 5))
        booking = Wanted(f"B{number}", draw(st.integers(1, 9)), start, start + draw(st.integers(1, 3)))
        seats = _sets(floor, booking, bookings)
        has_seat = draw(st.booleans())
        if seats and has_seat:
            seat = draw(st.sampled_from(seats))
            booking = Wanted(
                booking.key, booking.covers, booking.start, booking.end, seat, draw(st.integers(0, 3)) == 0
            )
        bookings.append(booking)
    return floor, bookings


@st.composite
def joined_differently(draw: st.DrawFn, floor: Floor) -> Floor:
    """Seats lost at the joins, and sets of which the venue says something: more seats than the tables have, fewer, none
    at all.
    """
    said = [
        JoinedSet(edge, draw(st.none() | st.integers(1, 14)), forbidden=draw(st.integers(0, 3)) == 0)
        for edge in sorted(floor.adjacency)
        if draw(st.booleans())
    ]
    lost = {edge: draw(st.integers(0, 3)) for edge in sorted(floor.adjacency)}
    return replace(floor, joined=tuple(said), lost_seats=lost)


@given(days(), st.sampled_from(Mode))
@settings(max_examples=60)
def test_nothing_better_exists_on_any_level(day: tuple[Floor, list[Wanted]], mode: Mode) -> None:
    floor, bookings = day

    result = optimise(problem_of(floor, POLICY, bookings, mode), Params(deadline_s=60, workers=1))

    assert result.status is Status.OPTIMAL
    assert complaints(floor, POLICY, bookings, result.seats) == []
    assert (-result.levels[0].value, result.levels[1].value, result.levels[3].value) == _best(floor, bookings, mode)
    assert all(level.value == level.bound for level in result.levels)


def _best(floor: Floor, bookings: Sequence[Wanted], mode: Mode) -> tuple[int, int, int]:
    """The best (worth, moves, waste), found by trying every seating; what counts most comes first, lower is better."""
    tables = {table.id: table for table in floor.tables}

    def tries(place: int, given: list[tuple[Wanted, tuple[int, ...]]]) -> Iterator[tuple[int, int, int]]:
        if place == len(bookings):
            worth = sum(booking.covers if mode is Mode.COVERS else 1 for booking, _ in given)
            moves = sum(booking.seat is not None and booking.seat != seat for booking, seat in given)
            waste = sum(
                max(0, seats_of(floor, [tables[table] for table in seat]) - booking.covers)
                for booking, seat in given
                if not booking.locked
            )
            yield -worth, moves, waste
            return
        booking = bookings[place]
        mine = [] if booking.seat is None else [booking.seat]
        for seat in mine if booking.locked else {*mine, *_allowed(floor, booking)}:
            if _fits(floor, booking, seat, given):
                yield from tries(place + 1, [*given, (booking, seat)])
        if booking.seat is None:
            yield from tries(place + 1, given)

    return min(tries(0, []))


def _fits(floor: Floor, booking: Wanted, seat: tuple[int, ...], given: list[tuple[Wanted, tuple[int, ...]]]) -> bool:
    return not any(
        set(seat) & set(other_seat) and booking.start < other.end and other.start < booking.end
        for other, other_seat in given
    )


def _allowed(floor: Floor, booking: Wanted) -> list[tuple[int, ...]]:
    ids = [table.id for table in floor.tables]
    sets = chain.from_iterable(combinations(ids, size) for size in (1, 2))
    alone = Wanted(booking.key, booking.covers, booking.start, booking.end)
    return [seat for seat in sets if complaints(floor, POLICY, [alone], {booking.key: tuple(sorted(seat))}) == []]


def _sets(floor: Floor, booking: Wanted, others: list[Wanted]) -> list[tuple[int, ...]]:
    seated = [(other, other.seat) for other in others if other.seat is not None]
    since = [said.tables for said in floor.joined]  # what the venue says of them now was not said when they were given
    sets = dict.fromkeys([*_allowed(floor, booking), *since])
    return [seat for seat in sets if _fits(floor, booking, seat, seated)]
