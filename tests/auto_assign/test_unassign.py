"""Taking tables away by hand: free at once for others, a run goes on or none does, locked ones stay."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.reconciler import reconcile
from maitred.auto_assign.retry import SINGLE_ATTEMPT, RetryRules
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.auto_assign.unassign import unassign_booking
from maitred.booking.change import Move, move_statements
from maitred.booking.lock import set_lock
from maitred.booking.service import take_step
from maitred.booking.transitions import Transition
from maitred.errors import BookingLocked, NotFound, TransitionRefused
from maitred.storage.database import Database, count_round_trips
from tests.auto_assign.durable import NOTHING, loose_ends, run_row, waiting_jobs, work
from tests.house import NOON, House, at_dawn, build_house

KEY = uuid4()
PATIENT = RetryRules(version=1)  # no capacity is a reason to wait for some


async def seated(house: House, party: int = 2, starts_at: datetime = NOON) -> UUID:
    booking = await house.book(party, starts_at)
    done = await auto_assign_and_confirm_if_possible(
        house.desk, booking, now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT
    )
    assert done.result == "succeeded"
    return booking


async def test_the_tables_are_free_at_once_and_a_run_goes_on(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    tables = await house.seats(booking)
    with count_round_trips() as trips:
        done = await unassign_booking(house.desk, booking, begin_run=True, key_id=KEY, now=at_dawn)
    assert trips.count == 2
    assert await house.status(booking) == "pending"
    assert await house.seats(booking) == []
    row = await run_row(database, booking)
    assert (row["id"], row["trigger"], row["ended_at"]) == (done.run_id, "manual", None)
    noted = await database.fetch("SELECT * FROM booking_history WHERE cause = 'unassigned'")
    assert [(each["from_status"], each["to_status"], each["key_id"], each["table_ids"]) for each in noted] == [
        ("confirmed", "pending", KEY, tables)
    ]
    assert len(await house.stored_events("staff.action")) == 1
    await work(house)
    assert await house.status(booking) == "confirmed"
    # the attempt that seated it first was no run of the queue, and left a summary all the same
    assert await loose_ends(database) == {**NOTHING, "summaries_off": 1}


async def test_a_run_that_waits_for_the_table_is_due_in_that_moment(database: Database) -> None:
    house = await build_house(database, [2])
    first, waiting = await seated(house), await house.book(2)
    await begin_run(house.desk, waiting, trigger="creation", rules=PATIENT, now=at_dawn())
    await work(house, most=1)
    assert (await run_row(database, waiting))["ended_at"] is None
    await unassign_booking(house.desk, first, begin_run=False, key_id=KEY, now=at_dawn)
    await work(house, even_if_not_due=False)
    assert await house.status(waiting) == "confirmed"


async def test_told_not_to_no_run_begins_now_or_later(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    await database.fetch("UPDATE bookings SET created_at = created_at - interval '1 hour'")
    assert (await reconcile(house.desk, rules=RetryRules(), now=at_dawn)).bookings_without_run == 1
    await work(house)
    other = await seated(house)
    await database.fetch("UPDATE bookings SET created_at = created_at - interval '1 hour'")
    await unassign_booking(house.desk, other, begin_run=False, key_id=KEY, now=at_dawn)
    assert (await reconcile(house.desk, rules=RetryRules(), now=at_dawn)).bookings_without_run == 0
    assert await house.status(other) == "pending"
    del booking


async def test_told_not_to_a_run_under_way_ends_as_superseded(database: Database) -> None:
    house = await build_house(database, [2])
    blocker, booking = await seated(house), await house.book(2)
    await begin_run(house.desk, booking, trigger="creation", rules=PATIENT, now=at_dawn())
    await work(house, most=1)
    later = await seated(house, 2, NOON + timedelta(hours=3))
    await unassign_booking(house.desk, later, begin_run=False, key_id=KEY, now=at_dawn)
    # as when staff confirmed it by hand while its run waited: the run has not noticed yet
    await database.fetch("UPDATE bookings SET status = 'confirmed' WHERE id = %(id)s", {"id": booking})
    await unassign_booking(house.desk, booking, begin_run=False, key_id=KEY, now=at_dawn)
    row = await run_row(database, booking)
    assert (row["result"], row["hard_stop_reason"]) == ("exhausted", "hard.superseded")
    await work(house)
    assert await house.status(booking) == "pending"
    del blocker


async def test_two_who_unassign_at_once_do_it_once(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    done = await asyncio.gather(
        *(unassign_booking(house.desk, booking, begin_run=True, key_id=KEY, now=at_dawn) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(not isinstance(each, BaseException) for each in done) == 1
    assert all(isinstance(each, TransitionRefused) for each in done if isinstance(each, BaseException))
    assert len(await house.stored_events("staff.action")) == 1


async def test_a_locked_booking_keeps_its_tables_until_it_is_unlocked(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    await set_lock(house.desk, booking, locked=True, key_id=KEY)
    with pytest.raises(BookingLocked):
        await unassign_booking(house.desk, booking, begin_run=True, key_id=KEY, now=at_dawn)
    assert await house.seats(booking) != []
    await set_lock(house.desk, booking, locked=False, key_id=KEY)
    await unassign_booking(house.desk, booking, begin_run=True, key_id=KEY, now=at_dawn)


async def test_what_has_no_tables_or_is_at_them_is_refused(database: Database) -> None:
    house = await build_house(database)
    pending, sitting = await house.book(2), await seated(house)
    await take_step(house.desk, sitting, Transition.CHECK_IN, key_id=KEY, now=NOON)
    for booking in (pending, sitting):
        with pytest.raises(TransitionRefused):
            await unassign_booking(house.desk, booking, begin_run=True, key_id=KEY, now=at_dawn)
    with pytest.raises(NotFound):
        await unassign_booking(house.desk, uuid4(), begin_run=True, key_id=KEY, now=at_dawn)


async def test_a_moved_booking_loses_the_old_seats_it_has_kept(database: Database) -> None:
    house = await build_house(database)
    await database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")
    booking = await seated(house)
    await database.fetch("UPDATE bookings SET status = 'pending' WHERE id = %(id)s", {"id": booking})
    assert await house.seats(booking) != []
    await unassign_booking(house.desk, booking, begin_run=False, key_id=KEY, now=at_dawn)
    assert await house.seats(booking) == []


async def test_a_refusal_begins_no_run_for_what_staff_have_in_hand(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    await unassign_booking(house.desk, booking, begin_run=False, key_id=KEY, now=at_dawn)
    with pytest.raises(TransitionRefused):
        await unassign_booking(house.desk, booking, begin_run=True, key_id=KEY, now=at_dawn)
    assert await waiting_jobs(database) == []
    await work(house)
    assert await house.status(booking) == "pending"


@pytest.mark.parametrize(
    "another",
    ["UPDATE bookings SET revision = revision + 1, notes = 'x'", "UPDATE bookings SET revision = revision + 2"],
)
async def test_a_move_of_what_was_changed_meanwhile_leaves_its_tables(
    database: Database, another: LiteralString
) -> None:
    house = await build_house(database)
    booking = await seated(house)
    tables = await house.seats(booking)
    await database.fetch(another)
    with pytest.raises(psycopg.DatabaseError, match="changed meanwhile"):
        await database.transact(move_statements(booking, 1, Move(NOON + timedelta(hours=1), 2), "moved"))
    assert await house.seats(booking) == tables
    assert await house.status(booking) == "confirmed"
