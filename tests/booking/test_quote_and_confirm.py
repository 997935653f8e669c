"""Quote, hold, confirm, release: what each does, refuses and leaves behind."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import LiteralString
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from maitred.booking.confirm import confirm_hold
from maitred.booking.hold import Hold, release_hold
from maitred.booking.question import Strategy
from maitred.booking.quote import Quote, quote_tables_for_booking
from maitred.booking.sweeper import keep_sweeping, sweep_expired_holds
from maitred.errors import (
    BookingNotPending,
    HoldExpired,
    HoldForeign,
    HoldNotFound,
    IdempotencyConflict,
    NotFound,
    PolicyDrift,
)
from maitred.model.reason import ReasonCode
from maitred.observability.events import Event
from maitred.observability.recorder import state_event_if_confirmed
from maitred.storage.database import Database, count_round_trips
from tests.house import NOON, House, at_dawn, build_house, double_bookings


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


async def quote(house: House, booking_id: UUID, strategy: Strategy | None = None, ttl_s: int = 60) -> Quote:
    return await quote_tables_for_booking(
        house.desk, booking_id, now=at_dawn, ttl_s=ttl_s, trigger="manual", strategy=strategy
    )


async def held(house: House, booking_id: UUID) -> Hold:
    found = (await quote(house, booking_id)).hold
    assert found is not None
    return found


async def test_a_quote_holds_the_best_plan_and_a_confirmation_makes_it_seats(house: House) -> None:
    booking = await house.book(4)
    found = await quote(house, booking)
    assert found.plan is not None
    assert found.plan.numbers == ("T3",)
    assert found.zone == "Hall"
    assert found.alternates
    hold = await held(house, booking)
    confirmation = await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    assert confirmation.table_ids == hold.table_ids
    assert confirmation.period == hold.period
    assert not confirmation.repeated
    assert await house.status(booking) == "confirmed"
    assert await house.seats(booking) == list(hold.table_ids)
    assert await house.count("holds") == 0
    assert await house.count("booking_history") == 1


async def test_a_party_that_needs_several_tables_gets_all_of_them(house: House) -> None:
    booking = await house.book(9)
    hold = await held(house, booking)
    assert len(hold.table_ids) > 1
    await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    assert await house.seats(booking) == sorted(hold.table_ids)


async def test_quote_and_confirm_take_three_round_trips_and_the_first_one_of_a_venue_four(house: House) -> None:
    for expected in (4, 3):
        booking = await house.book(2)
        with count_round_trips() as trips:
            hold = await held(house, booking)
            await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
        assert trips.count == expected


async def test_a_held_table_is_taken_for_others_and_a_released_one_is_free_again(database: Database) -> None:
    house = await build_house(database, [4])
    first, second = await house.book_many([4, 4])
    hold = await held(house, first)
    assert (await quote(house, second)).reason is ReasonCode.NO_CAPACITY
    await release_hold(database, hold.id, booking_id=first)
    assert (await quote(house, second)).hold is not None


async def test_an_expired_hold_gives_way_at_once_without_any_sweep(database: Database) -> None:
    house = await build_house(database, [4])
    first, second = await house.book_many([4, 4])
    await held(house, first)
    await house.let_holds_expire()
    taken = await held(house, second)
    await confirm_hold(house.desk, taken.id, booking_id=second, idempotency_key="k", cause="test")
    assert await house.count("allocations") == 1


async def test_quoting_again_replaces_the_bookings_own_hold(house: House) -> None:
    booking = await house.book(4)
    old = await held(house, booking)
    new = await held(house, booking)
    assert old.table_ids == new.table_ids
    assert await house.count("holds") == 1
    with pytest.raises(HoldNotFound):
        await confirm_hold(house.desk, old.id, booking_id=booking, idempotency_key="k", cause="test")


async def test_bookings_that_only_touch_in_time_share_a_table(database: Database) -> None:
    house = await build_house(database, [4], turn_minutes=60)
    first = await house.book(4, NOON)
    second = await house.book(4, NOON + timedelta(minutes=60))
    assert (await held(house, first)).table_ids == (await held(house, second)).table_ids
    assert await double_bookings(database) == 0


async def test_the_same_key_gives_the_first_result_again_and_writes_nothing(house: House) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    first = await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    again = await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    assert again.repeated
    assert (again.id, again.table_ids, again.period, again.confirmed_at) == (
        first.id,
        first.table_ids,
        first.period,
        first.confirmed_at,
    )
    assert await house.count("booking_history") == 1
    assert await house.seats(booking) == list(first.table_ids)


async def test_the_same_key_with_other_tables_is_refused(house: House) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    # back to pending with other tables held, as a moved booking would be
    await house.database.fetch("UPDATE bookings SET status = 'pending' WHERE id = %(id)s", {"id": booking})
    await house.database.fetch("DELETE FROM allocations WHERE booking_id = %(id)s", {"id": booking})
    other = (await quote(house, booking, Strategy(avoid=frozenset(hold.table_ids)))).hold
    assert other is not None
    with pytest.raises(IdempotencyConflict):
        await confirm_hold(house.desk, other.id, booking_id=booking, idempotency_key="k", cause="test")
    assert await house.status(booking) == "pending"


async def test_an_expired_hold_is_not_confirmed(house: House) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    await house.let_holds_expire()
    with pytest.raises(HoldExpired):
        await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    assert await house.status(booking) == "pending"


async def test_a_foreign_hold_is_neither_confirmed_nor_released(house: House) -> None:
    mine, theirs = await house.book_many([4, 4])
    hold = await held(house, theirs)
    with pytest.raises(HoldForeign):
        await confirm_hold(house.desk, hold.id, booking_id=mine, idempotency_key="k", cause="test")
    with pytest.raises(HoldForeign):
        await release_hold(house.database, hold.id, booking_id=mine)
    assert await house.count("holds") == 1


async def test_an_unknown_hold_and_an_unknown_booking_are_named(house: House) -> None:
    booking = await house.book(4)
    with pytest.raises(HoldNotFound):
        await confirm_hold(house.desk, uuid4(), booking_id=booking, idempotency_key="k", cause="test")
    with pytest.raises(HoldNotFound):
        await release_hold(house.database, uuid4(), booking_id=booking)
    with pytest.raises(NotFound):
        await confirm_hold(house.desk, uuid4(), booking_id=uuid4(), idempotency_key="k", cause="test")
    with pytest.raises(NotFound):
        await quote(house, uuid4())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE restaurants SET scoring = '{\"max_overage\": 1}'",
        "UPDATE tables SET capacity = capacity + 1 WHERE number = 'T1'",
        "UPDATE tables SET status = 'out_of_service' WHERE number = 'T3'",
        "DELETE FROM table_adjacency",
        "UPDATE turn_bands SET minutes = 30",
        "UPDATE services SET buffer_after_min = 7",
        "INSERT INTO zones (restaurant_id, name) SELECT id, 'Patio' FROM restaurants",
    ],
)
async def test_a_hold_made_under_other_rules_is_policy_drift_whoever_changed_them(
    house: House, change: LiteralString
) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    await house.database.fetch(change)
    with pytest.raises(PolicyDrift):
        await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    assert await house.status(booking) == "pending"
    # and planning again works under the new rules
    fresh = await held(house, booking)
    await confirm_hold(house.desk, fresh.id, booking_id=booking, idempotency_key="k", cause="test")


async def test_what_staff_say_of_a_table_during_the_evening_is_no_drift(house: House) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    await house.database.fetch("UPDATE tables SET status = 'occupied'")
    await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")


@pytest.mark.parametrize("status", ["cancelled", "no_show", "completed"])
async def test_a_booking_that_is_over_frees_its_tables_at_once_and_can_not_be_confirmed(
    house: House, status: str
) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    await house.database.fetch(
        "UPDATE bookings SET status = %(status)s WHERE id = %(id)s", {"status": status, "id": booking}
    )
    assert await house.count("allocations") == 0
    with pytest.raises(BookingNotPending):
        await confirm_hold(house.desk, hold.id, booking_id=booking, idempotency_key="k", cause="test")
    assert (await quote(house, booking)).reason is ReasonCode.NOT_PENDING


async def test_a_booking_in_the_past_and_one_too_large_get_a_coded_reason(house: House) -> None:
    past = await house.book(4, at_dawn() - timedelta(minutes=1))
    assert (await quote(house, past)).reason is ReasonCode.START_PASSED
    large = await house.book(40)
    assert (await quote(house, large)).reason is ReasonCode.GLOBAL_CAPACITY


async def test_a_day_with_no_tables_gets_a_coded_reason(database: Database) -> None:
    house = await build_house(database, [])
    assert (await quote(house, await house.book(2))).reason is ReasonCode.NO_TABLES


async def test_the_sweeper_takes_only_what_has_expired(house: House) -> None:
    first, second = await house.book(2), await house.book(2, NOON + timedelta(hours=5))
    await held(house, first)
    await house.let_holds_expire()
    await held(house, second)
    assert await sweep_expired_holds(house.database) == 1
    assert await sweep_expired_holds(house.database) == 0
    assert await house.count("allocations") == 1


async def test_sweeping_goes_on_until_it_is_cancelled(house: House) -> None:
    for booking in [await house.book(2, NOON + timedelta(hours=2 * place)) for place in range(5)]:
        await held(house, booking)
    await house.let_holds_expire()
    task = asyncio.create_task(keep_sweeping(house.database, every_s=0.01, most=2))
    async with asyncio.timeout(10):
        while await house.count("holds"):  # noqa: ASYNC110  # the sweeper tells nobody, and shouldn't have to
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_events_that_ride_a_refused_confirmation_are_not_written(house: House) -> None:
    booking = await house.book(4)
    hold = await held(house, booking)
    await house.let_holds_expire()
    confirmation_id = uuid4()
    event = Event("auto_assign", "auto_assign.succeeded", "info", {})  # type: ignore[arg-type]  # a bare word will do
    with pytest.raises(HoldExpired):
        await confirm_hold(
            house.desk,
            hold.id,
            booking_id=booking,
            idempotency_key="k",
            cause="test",
            confirmation_id=confirmation_id,
            also=[state_event_if_confirmed(event, confirmation_id)],
        )
    assert await house.count("observability_events") == 0


async def test_each_quote_leaves_one_measurement_with_its_knobs(house: House) -> None:
    booking = await house.book(4)
    await quote(house, booking, Strategy(require_adjacency=False, max_tables=2))
    await quote(house, await house.book(40))
    with pytest.raises(NotFound):
        await quote(house, uuid4())
    fine, refused, raised = (dict(event.context) for event in house.events.of_type("auto_assign.quote"))
    assert fine["planner_success"] is True
    assert fine["planner_reason"] is None
    assert fine["planner_strategy"] == {"requireAdjacency": False, "maxTables": 2}
    assert refused["planner_success"] is False
    assert refused["planner_reason_code"] == "hard.global_capacity"
    assert refused["planner_strategy"] == {"requireAdjacency": None, "maxTables": None}
    assert raised["planner_error"] == "not_found"
    for context in (fine, refused, raised):
        assert isinstance(context["planner_duration_ms"], float)


async def test_look_ahead_leaves_the_table_that_a_waiting_party_needs(database: Database) -> None:
    # 2 fits 4 (T1) and 4 (T2) alike; the pair T2+T3 is the only way to seat the 8 that comes later
    house = await build_house(database, [4, 4, 4], edges=[(1, 2)])
    await house.database.fetch(
        "UPDATE tables SET number = 'A' WHERE id = %(id)s", {"id": house.tables["T2"]}
    )  # ties go by number: without look-ahead A would be taken
    early = await house.book(4, NOON)
    await house.book(8, NOON + timedelta(minutes=30))
    found = await quote(house, early)
    assert found.plan is not None
    assert found.plan.numbers == ("T1",)
    assert found.plan.score.future_conflict == 0
