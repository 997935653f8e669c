"""Moving bookings out of the way: all of it with the newcomer's seat or nothing, and only those that may be moved."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg.types.json import Jsonb

from maitred.auto_assign.attempt import AttemptOutcome, Confirmed, NoTables, make_attempt
from maitred.auto_assign.inline import auto_assign_inline
from maitred.booking.hold import NOT_HELD
from maitred.booking.moves import Way, look_for_way, move_statements, must_be_seated, read_standing
from maitred.booking.preview import preview_booking
from maitred.booking.question import Question, Strategy, question_for
from maitred.booking.quote import quote_tables_for_booking
from maitred.booking.snapshot import Snapshot, snapshot_of, snapshot_statement
from maitred.model.reason import ReasonCode
from maitred.observability.values import Packed
from maitred.planner.remedies import Remedy
from maitred.replay.decide import VenueRules, as_recorded, changes, decide
from maitred.replay.explain import explain_booking
from maitred.replay.record import read_record
from maitred.replay.story import Story, Told
from maitred.storage.database import Database, Statement
from tests.house import DAWN, NOON, House, at_dawn, build_house, double_bookings, pool

MOVES: dict[str, object] = {"moves": {"most": 3, "horizon_minutes": 60, "cost": 10}}


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    """Two tables for two and two for four that can't be joined; a venue that moves up to three bookings for one."""
    return await moving_house(database, (2, 2, 4, 4))


async def moving_house(database: Database, capacities: tuple[int, ...]) -> House:
    house = await build_house(database, capacities, edges=())
    await scoring(house, MOVES)
    return house


async def scoring(house: House, value: dict[str, object]) -> None:
    await house.database.fetch(
        "UPDATE restaurants SET scoring = %(scoring)s WHERE id = %(id)s",
        {"scoring": Jsonb(value), "id": house.restaurant_id},
    )


async def seat(house: House, party: int, table: str, starts_at: datetime = NOON) -> UUID:
    """A confirmed booking on this table."""
    booking = await house.book(party, starts_at)
    await house.database.fetch(
        "INSERT INTO allocations (restaurant_id, table_id, booking_id, period)"
        " VALUES (%(venue)s, %(table)s, %(id)s, tstzrange(%(start)s, %(end)s))",
        {
            "venue": house.restaurant_id,
            "table": house.tables[table],
            "id": booking,
            "start": starts_at,
            "end": starts_at + timedelta(minutes=90),
        },
    )
    await house.database.fetch("UPDATE bookings SET status = 'confirmed' WHERE id = %(id)s", {"id": booking})
    return booking


async def attempt(house: House, booking: UUID) -> AttemptOutcome:
    return await make_attempt(
        house.desk,
        booking,
        now=at_dawn,
        ttl_s=60,
        trigger="creation",
        attempt_index=0,
        strategy=Strategy(),
        idempotency_key=f"key:{booking}",
        also=lambda _quote, _confirmation_id: (),
    )


async def seats_of(house: House, *bookings: UUID) -> list[list[str]]:
    numbers = {table_id: number for number, table_id in house.tables.items()}
    return [[numbers[table] for table in await house.seats(booking)] for booking in bookings]


async def periods(house: House, booking: UUID) -> list[str]:
    rows = await house.database.fetch("SELECT period::text FROM allocations WHERE booking_id = %(id)s", {"id": booking})
    return [row["period"] for row in rows]


async def small_party_on_a_large_table(house: House) -> UUID:
    """T3 has two guests, T4 four: the next four need T3, and T1 is free."""
    small = await seat(house, 2, "T3")
    await seat(house, 4, "T4")
    return small


async def test_nobody_is_moved_unless_the_venue_says_so(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    await scoring(house, {})
    newcomer = await house.book(4)
    result = await auto_assign_inline(house.desk, newcomer, now=at_dawn)
    assert not result.confirmed
    assert result.reason is ReasonCode.NO_CAPACITY
    assert await seats_of(house, small) == [["T3"]]


async def test_the_stories_of_both_tell_who_made_way_for_whom(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    newcomer = await house.book(4)
    await auto_assign_inline(house.desk, newcomer, now=at_dawn)
    rows = await house.database.fetch("SELECT id, reference FROM bookings")
    reference = {row["id"]: row["reference"] for row in rows}
    moved, seated = await explain_booking(house.database, small), await explain_booking(house.database, newcomer)
    assert f"It was moved from T3 to T1 for the same time, to make way for {reference[newcomer]}." in told(moved)
    assert f"{reference[small]} made way for it: from T3 to T1 for the same time." in told(seated)
    assert "The booking stayed confirmed (made_way), tables T1." in told(moved)


def told(story: Story) -> list[str]:
    return [step.text for step in story.steps if isinstance(step, Told)]


async def test_a_booking_makes_way_within_the_inline_attempt(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    before = await periods(house, small)
    newcomer = await house.book(4)
    result = await auto_assign_inline(house.desk, newcomer, now=at_dawn)
    assert result.confirmed
    assert await seats_of(house, small, newcomer) == [["T1"], ["T3"]]
    assert await periods(house, small) == before
    assert await house.status(small) == "confirmed"
    assert await double_bookings(house.database) == 0
    [event] = await house.stored_events("booking.tables_moved")
    assert event["booking_id"] == small
    assert event["context"] == {
        "from_tables": [house.tables["T3"]],
        "to_tables": [house.tables["T1"]],
        "cause": "made_way",
        "moved_for": str(newcomer),
    }
    history = await house.database.fetch(
        "SELECT from_status, to_status, cause, table_ids FROM booking_history WHERE booking_id = %(id)s", {"id": small}
    )
    assert history == [
        {
            "from_status": "confirmed",
            "to_status": "confirmed",
            "cause": "made_way",
            "table_ids": [house.tables["T1"]],
        }
    ]


async def test_a_booking_makes_way_within_a_runs_attempt(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    newcomer = await house.book(4)
    outcome = await attempt(house, newcomer)
    assert isinstance(outcome, Confirmed)
    assert [moved.booking_id for moved in outcome.quote.moved] == [small]
    assert await seats_of(house, small, newcomer) == [["T1"], ["T3"]]
    assert await house.count("holds") == 0


async def test_two_may_have_to_go_each_where_the_other_was(house: House) -> None:
    """T1 holds two until one o'clock: who is on T3 may go there only if he comes later."""
    first = await seat(house, 2, "T3")
    await seat(house, 2, "T1")
    await seat(house, 2, "T2", NOON + timedelta(minutes=60))
    await seat(house, 4, "T4")
    newcomer = await house.book(4)
    outcome = await attempt(house, newcomer)
    assert isinstance(outcome, NoTables)
    assert outcome.reason is ReasonCode.NO_CAPACITY
    assert await seats_of(house, first) == [["T3"]]


async def test_a_quote_that_only_holds_moves_nobody(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    quote = await quote_tables_for_booking(house.desk, await house.book(4), now=at_dawn, ttl_s=60, trigger="manual")
    assert quote.reason is ReasonCode.NO_CAPACITY
    assert await seats_of(house, small) == [["T3"]]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE bookings SET locked = true WHERE id = %(id)s",
        "UPDATE bookings SET status = 'checked_in' WHERE id = %(id)s",
        "UPDATE bookings SET status = 'pending' WHERE id = %(id)s",
    ],
)
async def test_who_is_locked_seated_or_waiting_stays(house: House, change: LiteralString) -> None:
    small = await small_party_on_a_large_table(house)
    await house.database.fetch(change, {"id": small})
    assert isinstance(await attempt(house, await house.book(4)), NoTables)
    assert await seats_of(house, small) == [["T3"]]


async def test_who_comes_within_the_horizon_stays(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    newcomer = await house.book(4, NOON + timedelta(minutes=30))
    result = await auto_assign_inline(house.desk, newcomer, now=lambda: NOON - timedelta(minutes=60))
    assert not result.confirmed
    assert await seats_of(house, small) == [["T3"]]
    result = await auto_assign_inline(house.desk, newcomer, now=lambda: NOON - timedelta(minutes=61))
    assert result.confirmed
    assert await seats_of(house, small, newcomer) == [["T1"], ["T3"]]


async def test_somebodys_hold_is_not_moved_and_not_sat_upon(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    for _ in range(2):  # both tables for two
        held = await quote_tables_for_booking(house.desk, await house.book(2), now=at_dawn, ttl_s=60, trigger="manual")
        assert held.hold is not None
    newcomer = await house.book(4)
    assert isinstance(await attempt(house, newcomer), NoTables)
    await house.let_holds_expire()
    assert isinstance(await attempt(house, newcomer), Confirmed)
    assert await seats_of(house, small, newcomer) == [["T1"], ["T3"]]


async def planned_way(house: House, newcomer: UUID) -> tuple[Snapshot, Question, Way]:
    """The way as a quote finds it, before it goes it."""
    snapshot = snapshot_of(newcomer, await house.database.fetch(*snapshot_statement(newcomer)))
    planned = await house.desk.venues.get(snapshot)
    question = question_for(snapshot, planned.venue.policy, planned.venue.floor, Strategy(), DAWN)
    assert isinstance(question, Question)
    standing = await read_standing(house.database, snapshot)
    way = await look_for_way(standing, snapshot, question, planned, DAWN)
    assert way is not None
    return snapshot, question, way


SHORTER = (
    "UPDATE allocations SET period = tstzrange(lower(period), upper(period) - interval '1 minute')"
    " WHERE booking_id = %(id)s"
)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE bookings SET locked = true WHERE id = %(id)s",
        "UPDATE bookings SET revision = revision + 1 WHERE id = %(id)s",
        "UPDATE bookings SET status = 'checked_in' WHERE id = %(id)s",
        "UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s",
        "UPDATE allocations SET table_id = table_id - 1 WHERE booking_id = %(id)s",
        SHORTER,
    ],
)
async def test_what_changed_since_it_was_planned_undoes_the_moves(house: House, change: LiteralString) -> None:
    small = await small_party_on_a_large_table(house)
    snapshot, question, way = await planned_way(house, await house.book(4))
    await house.database.fetch(change, {"id": small})
    before = await house.seats(small)
    with pytest.raises(psycopg.Error) as raised:
        await house.database.transact(move_statements(snapshot, way, question.window.service_day, 1_000))
    assert raised.value.sqlstate == NOT_HELD
    assert await house.seats(small) == before
    assert await house.stored_events("booking.tables_moved") == []


async def test_without_the_newcomers_seat_nobody_has_moved(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    snapshot, question, way = await planned_way(house, await house.book(4))
    statements = move_statements(snapshot, way, question.window.service_day, 1_000)
    with pytest.raises(psycopg.Error) as raised:
        await house.database.transact([*statements, must_be_seated(snapshot.booking_id, uuid4())])
    assert raised.value.sqlstate == NOT_HELD
    assert await seats_of(house, small) == [["T3"]]
    assert await house.stored_events("booking.tables_moved") == []
    assert await house.count("booking_history") == 0


async def test_a_table_that_was_taken_meanwhile_means_planning_again(house: House) -> None:
    """The way led over T1. Somebody sits there now: the quote finds the way over T2."""
    small = await small_party_on_a_large_table(house)
    snapshot, question, way = await planned_way(house, await house.book(4))
    await seat(house, 2, "T1")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        await house.database.transact(move_statements(snapshot, way, question.window.service_day, 1_000))
    assert await seats_of(house, small) == [["T3"]]
    assert isinstance(await attempt(house, snapshot.booking_id), Confirmed)
    assert await seats_of(house, small, snapshot.booking_id) == [["T2"], ["T3"]]


async def test_two_who_want_moves_at_once_both_get_them_and_a_third_is_refused(
    database: Database, database_url: str
) -> None:
    for _ in range(5):
        house = await moving_house(database, (2, 2, 4, 4))
        small = [await seat(house, 2, "T3"), await seat(house, 2, "T4")]
        newcomers = await house.book_many([4, 4, 4])
        async with pool(database_url) as other:
            elsewhere = House(other, house.restaurant_id, house.tables)
            outcomes = await asyncio.gather(
                attempt(house, newcomers[0]), attempt(elsewhere, newcomers[1]), attempt(house, newcomers[2])
            )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Confirmed", "Confirmed", "NoTables"]
        assert sorted(await seats_of(house, *small)) == [["T1"], ["T2"]]
        seated = [one for one, outcome in zip(newcomers, outcomes, strict=True) if isinstance(outcome, Confirmed)]
        assert sorted(await seats_of(house, *seated)) == [["T3"], ["T4"]]
        assert await double_bookings(database) == 0


def lock_of(booking: UUID) -> list[Statement]:
    return [Statement("BEGIN", {}), Statement("SELECT FROM bookings WHERE id = %(id)s FOR UPDATE", {"id": booking})]


async def killed_while_waiting(database: Database) -> None:
    """Ends the server's process that waits for a row's lock, as if the machine had gone."""
    async with asyncio.timeout(10):
        while True:
            killed = await database.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            if killed:
                return
            await asyncio.sleep(0.01)


async def test_a_connection_lost_in_the_middle_leaves_everybody_where_he_was(house: House, database_url: str) -> None:
    small = await small_party_on_a_large_table(house)
    newcomer = await house.book(4)
    async with pool(database_url) as other, other.session() as session:
        await session.send(lock_of(small))
        trying = asyncio.create_task(attempt(house, newcomer))
        await killed_while_waiting(house.database)
        await trying
        await session.send([Statement("ROLLBACK", {})])
    assert await seats_of(house, small, newcomer) == [["T3"], []]
    assert await house.stored_events("booking.tables_moved") == []
    assert isinstance(await attempt(house, newcomer), Confirmed)
    assert await seats_of(house, small, newcomer) == [["T1"], ["T3"]]


async def test_a_refusal_says_who_would_have_to_move_and_which_rule_to_give_way(house: House) -> None:
    await scoring(house, {})
    small = await small_party_on_a_large_table(house)
    newcomer = await house.book(4)
    found = await preview_booking(house.desk, newcomer, now=DAWN)
    assert found.reason is ReasonCode.NO_CAPACITY
    assert [obstacle.code.value for obstacle in found.obstacles] == ["no_set", "no_set", "taken", "taken"]
    assert found.way is not None
    assert [each.booking_id for each in found.way.moved] == [small]
    assert found.way.found.plan.numbers == ("T3",)
    assert [(each.remedies, each.plan.numbers) for each in found.admissions] == [((Remedy.ADJACENCY,), ("T1", "T2"))]
    assert [each.starts_at for each in found.nearest.before] == [
        NOON - timedelta(minutes=90),
        NOON - timedelta(minutes=105),
    ]
    assert found.nearest.after[0].starts_at == NOON + timedelta(minutes=90)
    assert await seats_of(house, small) == [["T3"]]


async def test_a_plan_needs_no_ways_in(house: House) -> None:
    found = await preview_booking(house.desk, await house.book(4), now=DAWN)
    assert found.admissions == ()
    assert found.way is None


async def test_a_quote_that_moved_somebody_is_decided_again_identically(house: House) -> None:
    await small_party_on_a_large_table(house)
    newcomer = await house.book(4)
    before = snapshot_of(newcomer, await house.database.fetch(*snapshot_statement(newcomer)))
    assert isinstance(await attempt(house, newcomer), Confirmed)
    [event] = house.events.of_type("auto_assign.quote")
    text = Packed().admit(event.context["planner_record"])
    assert isinstance(text, str)
    planned = await house.desk.venues.get(before)
    rules = VenueRules(planned.venue.floor, planned.venue.policy, planned.planner)
    for recorded in read_record(text):
        again = decide(recorded, rules)
        assert again is not None
        assert changes(as_recorded(recorded), again) == frozenset()


async def test_nobody_is_moved_to_tables_that_are_not_for_him(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    needs = {"step_free": True, "must": ["step_free"]}
    await house.database.fetch(
        "UPDATE bookings SET preferences = %(needs)s WHERE id = %(id)s", {"needs": Jsonb(needs), "id": small}
    )
    await house.database.fetch("UPDATE tables SET features = '{step_free}' WHERE number IN ('T2', 'T3', 'T4')")
    newcomer = await house.book(4)
    assert (await auto_assign_inline(house.desk, newcomer, now=at_dawn)).confirmed
    assert await seats_of(house, small, newcomer) == [["T2"], ["T3"]]


async def test_a_venues_own_tables_are_for_its_own_guests_also_when_moved(house: House) -> None:
    small = await small_party_on_a_large_table(house)
    await scoring(house, MOVES | {"vip_only": True})
    await house.database.fetch("UPDATE tables SET features = '{vip}' WHERE number IN ('T1', 'T2')")
    newcomer = await house.book(4)
    assert not (await auto_assign_inline(house.desk, newcomer, now=at_dawn)).confirmed
    await house.database.fetch("UPDATE bookings SET vip = true WHERE id = %(id)s", {"id": small})
    again = await house.book(4)
    assert (await auto_assign_inline(house.desk, again, now=at_dawn)).confirmed
    assert await seats_of(house, small) == [["T1"]]
