"""What takes the planner long is done beside the loop: while it lasts everybody else goes on."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from uuid import UUID

from maitred.booking.venues import PlannedVenue
from maitred.model.floor import Floor, Table
from maitred.model.policy import VenuePolicy
from maitred.model.scoring import ScoringPolicy, Weights
from maitred.planner.answer import Answer, Request, Upcoming
from maitred.planner.planner import Planner
from maitred.planner.rules import policy_rules
from maitred.planner.seating import Seating, Seatings
from maitred.venue.read import Venue
from tests.venue.files import parsed, small_file

FREE = ScoringPolicy(max_tables=5, adjacency_from_party=None)


class Watched(Planner):
    """Remembers on which thread it was asked."""

    def __init__(self, floor: Floor, policy: ScoringPolicy) -> None:
        super().__init__(floor, policy)
        self.threads: list[int] = []

    def answer(self, request: Request) -> Answer:
        self.threads.append(threading.get_ident())
        return super().answer(request)


def hall(kinds: int, of_each: int = 2) -> Floor:
    """Tables of so many capacities in one room, none beside another."""
    tables = (
        Table(id=place * of_each + copy + 1, number=f"T{place}-{copy}", zone_id=1, capacity=2 + place)
        for place in range(kinds)
        for copy in range(of_each)
    )
    return Floor(1, tuple(tables), zones={1: "Hall"})


def planned(floor: Floor, scoring: ScoringPolicy) -> tuple[PlannedVenue, Watched]:
    policy: VenuePolicy = replace(parsed(small_file()).policy, scoring=scoring)
    planner = Watched(floor, scoring)
    return PlannedVenue(Venue(UUID(int=1), "hall", "Hall", policy, floor, 1, 1), planner), planner


async def beats_during(venue: PlannedVenue, request: Request) -> tuple[Answer, int]:
    """The answer, and how often the loop came round to somebody else before it was there."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    heart = asyncio.create_task(beat())
    try:
        return await venue.answer(request), beats
    finally:
        heart.cancel()


async def test_the_first_question_of_its_kind_in_a_large_hall_leaves_the_loop_free_and_the_next_is_quick() -> None:
    venue, planner = planned(hall(25), FREE)
    request = Request(30)
    first, beats = await beats_during(venue, request)
    assert planner.threads[0] != threading.get_ident()
    assert beats > 10
    again, beats = await beats_during(venue, request)
    assert (planner.threads[1], beats) == (threading.get_ident(), 0)
    assert first == again == Planner(hall(25), FREE).answer(request)


async def test_sets_drawn_under_a_questions_own_terms_are_drawn_beside_the_loop_every_time() -> None:
    venue, planner = planned(hall(12, 3), replace(FREE, weights=Weights(gap=0.5)))
    minutes = tuple(range(36))
    for request in (
        Request(20, lost_minutes=minutes),
        Request(20, prices=tuple(map(float, minutes))),
        Request(20, upcoming=(Upcoming(8, 0),)),
    ):
        await venue.answer(request)
        await venue.answer(request)
    assert threading.get_ident() not in planner.threads
    await venue.answer(Request(20))
    assert planner.threads[-1] == threading.get_ident()


async def test_an_ordinary_room_is_answered_where_it_is_asked() -> None:
    venue, planner = planned(hall(6), FREE)
    await venue.answer(Request(9, upcoming=(Upcoming(4, 0),), prices=(1.0,) * 12))
    assert planner.threads == [threading.get_ident()]


def test_whoever_asks_for_what_is_there_does_not_wait_for_what_is_being_built() -> None:
    planner = Planner(hall(4), FREE)
    there, wanted = policy_rules(FREE, 2, 1.0), policy_rules(FREE, 3, 1.0)
    begun, go_on = threading.Event(), threading.Event()

    def build(rules: object) -> Seating:
        if rules == wanted:
            begun.set()
            assert go_on.wait(30)
        return planner.seating(there)

    seatings = Seatings(build, most_candidates=1_000)
    seatings.get(there)
    slow = threading.Thread(target=seatings.get, args=(wanted,))
    slow.start()
    try:
        assert begun.wait(30)
        got: list[Seating] = []
        quick = threading.Thread(target=lambda: got.append(seatings.get(there)), daemon=True)
        quick.start()
        quick.join(30)
        assert got
        assert wanted not in seatings
    finally:
        go_on.set()
        slow.join(30)
    assert wanted in seatings
