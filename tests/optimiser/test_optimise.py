from __future__ import annotations

import random

import pytest

from maitred.demo.reference import demo_day
from maitred.errors import InvalidInput
from maitred.model.period import as_micros
from maitred.model.policy import Window
from maitred.model.scoring import ScoringPolicy
from maitred.optimiser.choices import Busy, choices_of
from maitred.optimiser.greedy import put_back
from maitred.optimiser.optimise import optimise
from maitred.optimiser.problem import Mode, Option, Party, Problem, Taken
from maitred.optimiser.result import Params, Status
from tests.optimiser.days import problem_of, row_of
from tests.optimiser.verifier import MINUTE, Wanted, complaints

POLICY = ScoringPolicy()


def demo_bookings() -> list[Wanted]:
    day = demo_day()
    found = []
    for booking in day.bookings:
        window = day.policy.window(booking.starts_at, booking.party_size)
        assert isinstance(window, Window)
        start, end = (as_micros(moment) // MINUTE for moment in (window.blocked.start, window.blocked.end))
        found.append(Wanted(booking.reference, booking.party_size, start, end))
    return found


@pytest.mark.parametrize(("mode", "most"), [(Mode.COVERS, 279), (Mode.PARTIES, 79)])
def test_the_demos_day_reaches_its_bound_and_proves_it(mode: Mode, most: int) -> None:
    day = demo_day()
    bookings = demo_bookings()

    result = optimise(problem_of(day.floor, day.policy.scoring, bookings, mode), Params(deadline_s=120))

    assert result.status is Status.OPTIMAL
    assert (result.objective, result.bound, result.gap) == (most, most, 0)
    assert complaints(day.floor, day.policy.scoring, bookings, result.seats) == []


def test_a_day_that_has_seats_gives_up_none_and_moves_as_few_as_it_can() -> None:
    day = demo_day()
    rng = random.Random(1)
    bookings = []
    seats: list[Wanted] = []
    for wanted in sorted(demo_bookings(), key=lambda _: rng.random()):
        booking = wanted
        free = [
            table.id
            for table in day.floor.tables
            if (table.min_party_size <= booking.covers <= table.capacity)
            and not any(
                other.seat == (table.id,) and booking.start < other.end and other.start < booking.end for other in seats
            )
        ]
        if free:
            booking = Wanted(
                booking.key, booking.covers, booking.start, booking.end, (rng.choice(free),), rng.random() < 0.1
            )
            seats.append(booking)
        bookings.append(booking)
    problem = problem_of(day.floor, day.policy.scoring, bookings)

    result = optimise(problem, Params(deadline_s=20))

    assert complaints(day.floor, day.policy.scoring, bookings, result.seats) == []
    assert result.covers >= sum(booking.covers for booking in seats)
    assert result.bound >= result.objective
    assert set(result.moves) <= {booking.key for booking in seats if not booking.locked}


def test_whoever_was_moved_for_nothing_is_put_back_one_after_the_other() -> None:
    bookings = [Wanted("B1", 2, 0, 60, (1,)), Wanted("B2", 2, 30, 90, (2,)), Wanted("B3", 4, 0, 90)]
    problem = problem_of(row_of(2, 2, 4), POLICY, bookings)
    choices = choices_of(problem, Busy(problem))
    of = {key: {choice.tables: choice for choice in mine} for key, mine in choices.items()}
    moved = {"B1": of["B1"][2,], "B2": of["B2"][1,], "B3": of["B3"][3,]}

    assert put_back(problem, choices, moved) == moved  # each is in the other's way
    moved = {"B1": of["B1"][2,], "B2": of["B2"][3,]}
    assert {key: choice.tables for key, choice in put_back(problem, choices, moved).items()} == {"B1": (1,), "B2": (2,)}


def test_two_locked_bookings_that_overlap_are_both_named() -> None:
    bookings = [Wanted("B1", 2, 0, 60, (1,), locked=True), Wanted("B2", 2, 59, 90, (1,), locked=True)]

    result = optimise(problem_of(row_of(2, 2), POLICY, bookings))

    assert result.status is Status.INFEASIBLE
    assert result.conflict == ("B1", "B2")
    assert result.seats == {}


def test_locked_bookings_that_only_touch_are_no_conflict() -> None:
    bookings = [Wanted("B1", 2, 0, 60, (1,), locked=True), Wanted("B2", 2, 60, 90, (1,), locked=True)]

    assert optimise(problem_of(row_of(2), POLICY, bookings)).status is Status.OPTIMAL


def test_what_is_taken_by_others_stays_taken() -> None:
    options = (Option((1,)), Option((2,)))
    problem = Problem({1: 2, 2: 2}, (Party("B1", 2, 0, 60, options),), (Taken(1, 59, 70),))

    assert optimise(problem).seats == {"B1": (2,)}


def test_somebody_seated_moves_so_that_one_more_fits() -> None:
    bookings = [Wanted("B1", 2, 0, 60, (2,)), Wanted("B2", 4, 0, 60)]

    result = optimise(problem_of(row_of(2, 4), POLICY, bookings))

    assert result.seats == {"B1": (1,), "B2": (2,)}
    assert result.moves == ("B1",)


def test_nobody_moves_only_to_waste_less() -> None:
    result = optimise(problem_of(row_of(2, 4), POLICY, [Wanted("B1", 2, 0, 60, (2,))]))

    assert result.seats == {"B1": (2,)}
    assert result.moves == ()


def test_a_seat_that_the_rules_no_longer_allow_may_be_kept() -> None:
    result = optimise(problem_of(row_of(2, 8), POLICY, [Wanted("B1", 2, 0, 60, (2,))]))

    assert result.seats == {"B1": (2,)}


def test_a_day_whose_options_were_not_all_listed_is_never_called_optimal() -> None:
    problem = problem_of(row_of(2), POLICY, [Wanted("B1", 2, 0, 60)])
    cut = Problem(problem.capacity, problem.parties, complete=False)

    assert optimise(cut).status is Status.FEASIBLE


def test_a_deadline_too_short_for_anything_leaves_the_first_answer_and_an_honest_bound() -> None:
    day = demo_day()
    bookings = demo_bookings()

    result = optimise(problem_of(day.floor, day.policy.scoring, bookings), Params(deadline_s=0.001))

    assert result.status is Status.DEADLINE
    assert result.seated > 0
    assert result.bound >= 279
    assert complaints(day.floor, day.policy.scoring, bookings, result.seats) == []


def test_one_worker_gives_the_same_answer_again() -> None:
    day = demo_day()
    problem = problem_of(day.floor, day.policy.scoring, demo_bookings(), Mode.PARTIES)
    params = Params(deadline_s=120, workers=1)

    assert optimise(problem, params).seats == optimise(problem, params).seats


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_deadline_that_is_none_is_refused_by_name(seconds: float) -> None:
    with pytest.raises(InvalidInput, match="deadline"):
        Params(deadline_s=seconds)


@pytest.mark.parametrize(
    ("party", "field"),
    [
        (Party("B1", 0, 0, 1, ()), "covers"),
        (Party("B1", 1, 1, 1, ()), "window"),
        (Party("B1", 1, 0, 1, (Option((1, 1)),)), "options"),
        (Party("B1", 1, 0, 1, (Option((9,)),)), "options"),
        (Party("B1", 1, 0, 1, (Option(()),)), "options"),
        (Party("B1", 1, 0, 1, (), locked=True), "locked"),
    ],
)
def test_data_that_contradicts_itself_is_refused_by_name(party: Party, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Problem({1: 2}, (party,))
    assert (refused.value.item, refused.value.field) == ("booking B1", field)


def test_equal_parties_that_want_the_same_one_table_are_a_day_like_any_other() -> None:
    bookings = [Wanted(f"B{number}", 2, 0, 60) for number in range(3)]

    result = optimise(problem_of(row_of(2), POLICY, bookings))

    assert (result.status, len(result.seats), result.bound) == (Status.OPTIMAL, 1, 2)


def test_what_an_old_seat_wastes_is_what_its_tables_hold_together() -> None:
    day = Problem({1: 4, 2: 4}, (Party("B1", 5, 0, 60, (), (1, 2), seat_waste=1),))
    assert [level.value for level in optimise(day).levels] == [5, 0, 0, 1]
    with pytest.raises(InvalidInput) as refused:
        Problem({1: 4}, (Party("B1", 5, 0, 60, (), (1,), seat_waste=-1),))
    assert (refused.value.item, refused.value.field) == ("booking B1", "seat_waste")
