"""Tables assigned by hand: holds that are worth as much as a quote's, and nothing that gets past a conflict."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import LiteralString
from uuid import UUID, uuid4

import pytest

from maitred.auto_assign.retry import SINGLE_ATTEMPT
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.booking import by_hand as by_hand_module
from maitred.booking import hold as hold_module
from maitred.booking.by_hand import (
    HeldByHand,
    confirm_by_hand,
    extend_hold,
    hold_tables,
    release_by_hand,
    validate_tables,
)
from maitred.booking.checks import CheckCode, Outcome
from maitred.booking.quote import quote_tables_for_booking
from maitred.errors import (
    BookingNotPending,
    HoldAtItsLongest,
    HoldExpired,
    HoldForeign,
    HoldNotFound,
    InvalidInput,
    NotFound,
    TablesNotAssignable,
)
from maitred.storage.database import Database, count_round_trips
from tests.house import DAWN, NOON, House, at_dawn, build_house, double_bookings

KEY = uuid4()
NO_CONSTRAINT: LiteralString = "ALTER TABLE allocations DROP CONSTRAINT allocations_no_overlap"
NO_LOCK: LiteralString = "SELECT %(restaurant_id)s::text, %(day)s::int, %(lock_timeout_ms)s::text"
SLOW_HOLDS: LiteralString = """
CREATE FUNCTION think() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END';
CREATE TRIGGER holds_are_slow AFTER INSERT ON holds FOR EACH ROW EXECUTE FUNCTION think();
"""


async def hold(house: House, booking_id: UUID, *numbers: str, ttl_s: int = 180) -> HeldByHand:
    return await hold_tables(house.desk, booking_id, numbers, ttl_s=ttl_s, key_id=KEY, now=DAWN)


async def errors(house: House, booking_id: UUID, *numbers: str) -> set[CheckCode]:
    validation = await validate_tables(house.desk, booking_id, numbers, now=DAWN)
    return {each.code for each in validation.checks if each.outcome is Outcome.ERROR}


async def test_looking_takes_one_round_trip_and_holding_two(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(4)
    await validate_tables(house.desk, booking, ["T3"], now=DAWN)  # the venue's rules are read once
    with count_round_trips() as trips:
        await validate_tables(house.desk, booking, ["T3"], now=DAWN)
    assert trips.count == 1
    assert await house.count("holds") == 0
    with count_round_trips() as trips:
        held = await hold(house, booking, "T3")
    assert trips.count == 2
    with count_round_trips() as trips:
        await confirm_by_hand(house.desk, booking, held.hold.id, key_id=KEY, messages_suppressed=False)
    assert trips.count == 2


async def test_held_and_confirmed_the_tables_are_the_bookings_and_the_key_is_in_the_history(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(8)
    held = await hold(house, booking, "t4", "T3")
    assert held.validation.outcome is Outcome.OK
    assert held.hold.table_ids == (house.tables["T3"], house.tables["T4"])
    confirmed = await confirm_by_hand(house.desk, booking, held.hold.id, key_id=KEY, messages_suppressed=False)
    again = await confirm_by_hand(house.desk, booking, held.hold.id, key_id=KEY, messages_suppressed=False)
    assert (confirmed.id, confirmed.repeated, again.repeated) == (again.id, False, True)
    assert await house.seats(booking) == sorted(held.hold.table_ids)
    rows = await database.fetch("SELECT cause, key_id FROM booking_history")
    assert [(row["cause"], row["key_id"]) for row in rows] == [("by_hand", KEY)]
    actions = [each["context"] for each in await house.stored_events("staff.action")]
    assert actions == [{"action": done, "keyId": str(KEY)} for done in ("held", "confirmed")]


async def test_who_has_a_table_is_named_and_nothing_gets_past_it(database: Database) -> None:
    house = await build_house(database)
    seated, holding, booking = (
        await house.book(4),
        await house.book(4, NOON + timedelta(minutes=80)),
        await house.book(4),
    )
    first = await hold(house, seated, "T3")
    await confirm_by_hand(house.desk, seated, first.hold.id, key_id=KEY, messages_suppressed=False)
    second = await hold(house, holding, "T4")
    validation = await validate_tables(house.desk, booking, ["T3", "T4"], now=DAWN)
    found = {each.code: each for each in validation.checks if each.outcome is Outcome.ERROR}
    assert set(found) == {CheckCode.CONFLICTS, CheckCode.HOLDS}
    [conflict], [held] = found[CheckCode.CONFLICTS].in_the_way, found[CheckCode.HOLDS].in_the_way
    assert (conflict.booking_id, conflict.table_id, conflict.hold_id) == (seated, house.tables["T3"], None)
    assert (held.booking_id, held.table_id, held.hold_id) == (holding, house.tables["T4"], second.hold.id)
    for number in ("T3", "T4"):
        with pytest.raises(TablesNotAssignable):
            await hold(house, booking, number)
    assert await errors(house, booking, "T5") == set()


async def test_a_hold_that_has_expired_is_in_nobodys_way(database: Database) -> None:
    house = await build_house(database)
    first, second = await house.book(4), await house.book(4)
    old = await hold(house, first, "T3")
    await house.let_holds_expire()
    assert await errors(house, second, "T3") == set()
    await hold(house, second, "T3")
    with pytest.raises(HoldNotFound):
        await confirm_by_hand(house.desk, first, old.hold.id, key_id=KEY, messages_suppressed=False)


async def test_a_later_hold_of_the_same_booking_takes_the_place_of_the_earlier(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    await hold(house, booking, "T1")
    held = await hold(house, booking, "T2")
    assert await errors(house, await house.book(2), "T1") == set()
    assert (await database.fetch("SELECT id FROM holds"))[0]["id"] == held.hold.id


async def test_warnings_are_for_staff_to_weigh(database: Database) -> None:
    house = await build_house(database, [2, 2, 4, 10])
    booking = await house.book(2)
    far_apart = await house.book(4)
    held = await hold(house, booking, "T4")
    assert {each.code for each in held.validation.checks if each.outcome is Outcome.WARNING} == {CheckCode.SLACK}
    held = await hold(house, far_apart, "T1", "T3")
    assert {each.code for each in held.validation.checks if each.outcome is Outcome.WARNING} == {CheckCode.ADJACENCY}
    assert not held.hold.require_adjacency


@pytest.mark.parametrize("numbers", [[], ["T1", "t1"], ["T99"], ["T1"] * 30, [f"X{n}" for n in range(30)]])
async def test_a_choice_without_sense_is_named(database: Database, numbers: list[str]) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    with pytest.raises(InvalidInput) as wrong:
        await validate_tables(house.desk, booking, numbers, now=DAWN)
    assert wrong.value.field == "tables"


async def test_an_unknown_booking_or_hold_is_not_found(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    with pytest.raises(NotFound):
        await validate_tables(house.desk, uuid4(), ["T1"], now=DAWN)
    with pytest.raises(NotFound):
        await confirm_by_hand(house.desk, uuid4(), uuid4(), key_id=KEY, messages_suppressed=True)
    with pytest.raises(HoldNotFound):
        await extend_hold(house.desk, booking, uuid4(), ttl_s=60, key_id=KEY)
    with pytest.raises(HoldNotFound):
        await release_by_hand(house.desk, booking, uuid4(), key_id=KEY)


async def test_a_hold_is_extended_but_not_for_ever(database: Database) -> None:
    house = await build_house(database)
    booking, other = await house.book(2), await house.book(2)
    held = (await hold(house, booking, "T1", ttl_s=60)).hold
    with count_round_trips() as trips:
        longer = await extend_hold(house.desk, booking, held.id, ttl_s=300, key_id=KEY)
    assert trips.count == 1
    assert longer.expires_at > held.expires_at + timedelta(seconds=200)
    assert (longer.table_ids, longer.period) == (held.table_ids, held.period)
    unchanged = await extend_hold(house.desk, booking, held.id, ttl_s=10, key_id=KEY)
    assert unchanged.expires_at == longer.expires_at
    last = await extend_hold(house.desk, booking, held.id, ttl_s=100_000, key_id=KEY)
    rows = await database.fetch("SELECT created_at FROM holds")
    assert last.expires_at == rows[0]["created_at"] + timedelta(seconds=by_hand_module.LONGEST_HOLD_S)
    with pytest.raises(HoldAtItsLongest):
        await extend_hold(house.desk, booking, held.id, ttl_s=100_000, key_id=KEY)
    with pytest.raises(HoldForeign):
        await extend_hold(house.desk, other, held.id, ttl_s=60, key_id=KEY)
    await house.let_holds_expire()
    with pytest.raises(HoldExpired):
        await extend_hold(house.desk, booking, held.id, ttl_s=60, key_id=KEY)
    extended = [each for each in await house.stored_events("staff.action") if "extended" in str(each["context"])]
    assert len(extended) == 2


async def test_released_the_tables_are_free_and_a_foreign_hold_stays(database: Database) -> None:
    house = await build_house(database, [2])
    booking, other = await house.book(2), await house.book(2)
    held = (await hold(house, booking, "T1")).hold
    with pytest.raises(HoldForeign):
        await release_by_hand(house.desk, other, held.id, key_id=KEY)
    before = (await database.fetch("SELECT seq FROM release_marks"))[0]["seq"]
    await release_by_hand(house.desk, booking, held.id, key_id=KEY)
    assert (await database.fetch("SELECT seq FROM release_marks"))[0]["seq"] == before + 1
    await hold(house, other, "T1")


async def test_a_run_that_was_faster_wins_and_staff_are_told(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    held = (await hold(house, booking, "T5")).hold
    await auto_assign_and_confirm_if_possible(house.desk, booking, now=at_dawn, trigger="manual", rules=SINGLE_ATTEMPT)
    with pytest.raises(BookingNotPending):
        await confirm_by_hand(house.desk, booking, held.id, key_id=KEY, messages_suppressed=False)


async def test_seats_kept_since_before_a_move_are_not_chosen_again(database: Database) -> None:
    house = await build_house(database)
    booking = await house.book(2)
    held = (await hold(house, booking, "T1")).hold
    await confirm_by_hand(house.desk, booking, held.id, key_id=KEY, messages_suppressed=False)
    await database.fetch("UPDATE bookings SET status = 'pending' WHERE id = %(id)s", {"id": booking})
    assert await errors(house, booking, "T1") == {CheckCode.KEPT_SEATS}
    new = (await hold(house, booking, "T2")).hold
    await confirm_by_hand(house.desk, booking, new.id, key_id=KEY, messages_suppressed=False)
    assert await house.seats(booking) == [house.tables["T2"]]


async def two_at_once(database: Database) -> list[object]:
    """Two people and a quote want the only table in one moment."""
    await database.fetch(SLOW_HOLDS)
    house = await build_house(database, [2])
    one, two, three = await house.book(2), await house.book(2), await house.book(2)
    await validate_tables(house.desk, one, ["T1"], now=DAWN)
    held = await asyncio.gather(hold(house, one, "T1"), hold(house, two, "T1"), return_exceptions=True)
    quoted = await quote_tables_for_booking(house.desk, three, now=at_dawn, ttl_s=60, trigger="manual")
    return [each for each in (*held, quoted.hold) if isinstance(each, HeldByHand) or hasattr(each, "table_ids")]


async def test_without_constraint_and_lock_two_hold_one_table(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.fetch(NO_CONSTRAINT)
    monkeypatch.setattr(hold_module, "LOCK_DAY", NO_LOCK)
    assert len(await two_at_once(database)) == 2
    assert await double_bookings(database) == 1


@pytest.mark.parametrize("taken_away", ["nothing", "lock", "constraint"])
async def test_of_two_who_hold_one_table_at_once_exactly_one_gets_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, taken_away: str
) -> None:
    if taken_away == "constraint":
        await database.fetch(NO_CONSTRAINT)
    if taken_away == "lock":
        monkeypatch.setattr(hold_module, "LOCK_DAY", NO_LOCK)
    assert len(await two_at_once(database)) == 1
    assert await double_bookings(database) == 0
