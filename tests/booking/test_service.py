"""What staff do during service: steps, locks. Every step from every status, and what is left of tables and history."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.auto_assign.changes import move_booking
from maitred.auto_assign.retry import SINGLE_ATTEMPT
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.booking.change import Move
from maitred.booking.lock import set_lock
from maitred.booking.service import take_step
from maitred.booking.transitions import Transition, verdict
from maitred.errors import NotFound, TransitionRefused
from maitred.model.booking import BookingStatus
from maitred.storage.database import Database, count_round_trips
from tests.house import NOON, House, at_dawn, build_house

KEY = uuid4()
LATER = NOON + timedelta(minutes=20)

# Written down once more, on purpose not in the program's terms.
ALLOWED = {("confirmed", "checked_in"), ("confirmed", "no_show"), ("checked_in", "completed")}
LEADS_TO = {"check_in": "checked_in", "no_show": "no_show", "complete": "completed"}


async def seated(house: House, party: int = 2) -> UUID:
    booking = await house.book(party)
    done = await auto_assign_and_confirm_if_possible(
        house.desk, booking, now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT
    )
    assert done.result == "succeeded"
    return booking


async def history(house: House, booking_id: UUID) -> list[dict[str, object]]:
    rows = await house.database.fetch(
        "SELECT from_status, to_status, cause, table_ids, key_id FROM booking_history WHERE booking_id = %(id)s"
        " ORDER BY id",
        {"id": booking_id},
    )
    return [dict(row) for row in rows]


@given(
    st.sampled_from(Transition),
    st.sampled_from(BookingStatus),
    st.integers(min_value=-300, max_value=300),
)
def test_a_step_goes_exactly_where_the_table_says(
    transition: Transition, status: BookingStatus, minutes_after_start: int
) -> None:
    after = LEADS_TO[transition.value]
    said = verdict(transition, status, NOON, NOON + timedelta(minutes=minutes_after_start))
    if status.value == after:
        assert said == "done"
    elif (status.value, after) not in ALLOWED:
        assert said == "wrong_status"
    elif after == "no_show" and minutes_after_start < 0:
        assert said == "too_early"
    else:
        assert said == "go"


@pytest.mark.parametrize("transition", Transition)
@pytest.mark.parametrize("status", BookingStatus)
async def test_the_database_agrees_with_the_table(
    database: Database, transition: Transition, status: BookingStatus
) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    await database.fetch("UPDATE bookings SET status = %(s)s WHERE id = %(id)s", {"s": status.value, "id": booking})
    after = LEADS_TO[transition.value]
    if status.value == after:
        assert not (await take_step(house.desk, booking, transition, key_id=KEY, now=LATER)).changed
        assert await history(house, booking) == []
    elif (status.value, after) in ALLOWED:
        assert (await take_step(house.desk, booking, transition, key_id=KEY, now=LATER)).changed
        assert await house.status(booking) == after
    else:
        with pytest.raises(TransitionRefused) as refused:
            await take_step(house.desk, booking, transition, key_id=KEY, now=LATER)
        assert (refused.value.before, refused.value.after) == (status.value, after)
        assert await house.status(booking) == status.value


async def test_a_party_that_leaves_frees_its_table_in_that_moment_and_the_key_is_in_the_history(
    database: Database,
) -> None:
    house = await build_house(database, [2])
    first = await seated(house)
    tables = await house.seats(first)
    with count_round_trips() as trips:
        await take_step(house.desk, first, Transition.CHECK_IN, key_id=KEY, now=LATER)
    assert trips.count == 1
    assert await house.seats(first) == tables
    before = await database.fetch("SELECT seq FROM release_marks")
    await take_step(house.desk, first, Transition.COMPLETE, key_id=KEY, now=LATER)
    assert await house.count("allocations") == 0
    assert (await database.fetch("SELECT seq FROM release_marks"))[0]["seq"] > before[0]["seq"]
    await seated(house)
    noted = (await history(house, first))[1:]
    assert [(each["from_status"], each["to_status"], each["key_id"]) for each in noted] == [
        ("confirmed", "checked_in", KEY),
        ("checked_in", "completed", KEY),
    ]
    assert noted[-1]["table_ids"] == tables
    assert [each["context"] for each in await house.stored_events("staff.action")] == [
        {"action": "checked_in", "keyId": str(KEY)},
        {"action": "completed", "keyId": str(KEY)},
    ]


async def test_nobody_fails_to_show_before_the_start(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    with pytest.raises(TransitionRefused, match="yet to come"):
        await take_step(house.desk, booking, Transition.NO_SHOW, key_id=None, now=NOON - timedelta(seconds=1))
    await take_step(house.desk, booking, Transition.NO_SHOW, key_id=None, now=NOON)
    assert await house.seats(booking) == []


async def test_a_step_that_two_take_at_once_is_noted_once(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    done = await asyncio.gather(
        *(take_step(house.desk, booking, Transition.CHECK_IN, key_id=uuid4(), now=LATER) for _ in range(6))
    )
    assert sorted(each.changed for each in done) == [False] * 5 + [True]
    assert len(await house.stored_events("staff.action")) == 1


async def test_an_unknown_booking_is_not_found(database: Database) -> None:
    house = await build_house(database)
    with pytest.raises(NotFound):
        await take_step(house.desk, uuid4(), Transition.CHECK_IN, key_id=None, now=LATER)
    with pytest.raises(NotFound):
        await set_lock(house.desk, uuid4(), locked=True, key_id=None)


async def locked(house: House, booking_id: UUID) -> bool:
    rows = await house.database.fetch("SELECT locked FROM bookings WHERE id = %(id)s", {"id": booking_id})
    return bool(rows[0]["locked"])


async def test_a_lock_is_noted_once_and_ends_with_the_tables_it_is_for(database: Database) -> None:
    house = await build_house(database)
    booking = await seated(house)
    assert await set_lock(house.desk, booking, locked=True, key_id=KEY)
    assert not await set_lock(house.desk, booking, locked=True, key_id=KEY)
    assert [each["cause"] for each in await history(house, booking)][1:] == ["locked"]
    await move_booking(house.desk, booking, Move(NOON + timedelta(hours=1), 2), now=at_dawn)
    assert not await locked(house, booking)


async def test_only_a_booking_with_tables_is_locked_whoever_writes(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    with pytest.raises(TransitionRefused):
        await set_lock(house.desk, booking, locked=True, key_id=KEY)
    with pytest.raises(psycopg.errors.CheckViolation):
        await database.fetch("UPDATE bookings SET locked = true WHERE id = %(id)s", {"id": booking})
