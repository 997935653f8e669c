from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from maitred.errors import NotFound, VersionConflict
from maitred.optimiser.apply import apply_result, moves_of, newly_seated
from maitred.optimiser.day import Day, read_day
from maitred.optimiser.optimise import optimise
from maitred.optimiser.problem import Mode
from maitred.optimiser.result import Params, Result, Status
from maitred.storage.database import Database
from tests.house import DAWN, NOON, House, build_house, double_bookings

PARAMS = Params(deadline_s=60, workers=1)


async def slug_of(house: House) -> str:
    rows = await house.database.fetch("SELECT slug FROM restaurants WHERE id = %(id)s", {"id": house.restaurant_id})
    return str(rows[0]["slug"])


async def read(house: House) -> Day:
    return await read_day(house.database, await slug_of(house), NOON.date(), mode=Mode.COVERS, now=DAWN)


async def seat(house: House, party: int, numbers: Sequence[str], *, locked: bool = False) -> UUID:
    """A confirmed booking at these tables."""
    booking_id = await house.book(party)
    await house.database.fetch(
        "INSERT INTO allocations (restaurant_id, table_id, booking_id, period)"
        " SELECT %(venue)s, unnest(%(tables)s::bigint[]), %(id)s,"
        "        tstzrange(%(start)s, %(start)s + interval '90 minutes')",
        {
            "venue": house.restaurant_id,
            "tables": [house.tables[number] for number in numbers],
            "id": booking_id,
            "start": NOON,
        },
    )
    await house.database.fetch(
        "UPDATE bookings SET status = 'confirmed', locked = %(locked)s WHERE id = %(id)s",
        {"id": booking_id, "locked": locked},
    )
    return booking_id


async def apply(house: House, day: Day, result: Result) -> None:
    await apply_result(house.database, day, result, lock_timeout_ms=3000, messages_suppressed=False)


async def test_one_moves_so_that_one_more_is_seated_all_in_one_transaction(database: Database) -> None:
    house = await build_house(database, (2, 4), edges=[])
    small = await seat(house, 2, ["T2"])
    large = await house.book(4)
    day = await read(house)
    result = optimise(day.problem, PARAMS)

    await apply(house, day, result)

    assert result.status is Status.OPTIMAL
    assert await house.seats(small) == [house.tables["T1"]]
    assert await house.seats(large) == [house.tables["T2"]]
    assert await house.status(large) == "confirmed"
    [moved] = await house.stored_events("booking.tables_moved")
    assert moved["booking_id"] == small
    [told] = await house.stored_events("optimiser.applied")
    assert told["context"] | {"duration_ms": 0} == {  # type: ignore[operator]  # an event's context is a mapping
        "mode": "covers",
        "status": "optimal",
        "seated": 2,
        "covers": 6,
        "newly_seated": 1,
        "moves": 1,
        "bound": 6,
        "duration_ms": 0,
    }
    history = await database.fetch("SELECT booking_id, cause FROM booking_history WHERE cause = 'optimised'")
    assert {row["booking_id"] for row in history} == {small, large}
    assert await double_bookings(database) == 0


async def test_the_preview_says_who_would_move_and_for_whom_and_changes_nothing(database: Database) -> None:
    house = await build_house(database, (2, 4), edges=[])
    small = await seat(house, 2, ["T2"])
    await house.book(4)
    day = await read(house)
    result = optimise(day.problem, PARAMS)

    [move] = moves_of(day, result)

    assert (move.from_tables, move.to_tables) == ((house.tables["T2"],), (house.tables["T1"],))
    assert move.makes_room_for == tuple(newly_seated(day, result))
    assert await house.seats(small) == [house.tables["T2"]]
    assert await house.count("observability_events") == 0


async def test_two_that_change_places_never_meet_the_constraint_halfway(database: Database) -> None:
    house = await build_house(database, (4, 2, 2), edges=[])
    first, second = await seat(house, 2, ["T2"]), await seat(house, 2, ["T3"])
    day = await read(house)
    keys = {booking.id: key for key, booking in day.bookings.items()}
    swapped = Result(
        Status.FEASIBLE,
        {keys[first]: (house.tables["T3"],), keys[second]: (house.tables["T2"],)},
        (),
        2,
        4,
        (keys[first], keys[second]),
        0.1,
    )

    await apply(house, day, swapped)

    assert await house.seats(first) == [house.tables["T3"]]
    assert await house.seats(second) == [house.tables["T2"]]


@pytest.mark.parametrize("change", ["cancelled", "another booking", "a hold", "a floor"])
async def test_nothing_is_done_when_the_day_has_changed_since(database: Database, change: str) -> None:
    house = await build_house(database, (2, 4, 4), edges=[])
    small = await seat(house, 2, ["T2"])
    other = await seat(house, 4, ["T3"])
    large = await house.book(4)
    day = await read(house)
    result = optimise(day.problem, PARAMS)
    if change == "cancelled":
        await database.fetch("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": other})
    elif change == "another booking":
        await house.book(2)
    elif change == "a hold":
        await hold(house, await house.book(2, NOON - timedelta(hours=24)), "T1")
    else:
        await database.fetch(
            "UPDATE tables SET status = 'out_of_service' WHERE id = %(id)s", {"id": house.tables["T1"]}
        )
    before = await house.count("allocations")

    with pytest.raises(VersionConflict):
        await apply(house, day, result)

    assert await house.seats(small) == [house.tables["T2"]]
    assert await house.status(large) == "pending"
    assert await house.count("allocations") == before
    assert await house.stored_events("optimiser.applied") == []


async def hold(house: House, booking_id: UUID, number: str) -> None:
    """A live hold at NOON, for a booking of whatever day: only the constraint can know."""
    hold_id = uuid4()
    await house.database.fetch(
        "INSERT INTO holds (id, restaurant_id, booking_id, expires_at, policy_version, floor_version,"
        "                   require_adjacency)"
        " VALUES (%(id)s, %(venue)s, %(booking)s, now() + interval '1 hour', 1, 1, false)",
        {"id": hold_id, "venue": house.restaurant_id, "booking": booking_id},
    )
    await house.database.fetch(
        "INSERT INTO allocations (restaurant_id, table_id, booking_id, hold_id, period)"
        " VALUES (%(venue)s, %(table)s, %(booking)s, %(hold)s,"
        "         tstzrange(%(start)s, %(start)s + interval '90 minutes'))",
        {
            "venue": house.restaurant_id,
            "table": house.tables[number],
            "booking": booking_id,
            "hold": hold_id,
            "start": NOON,
        },
    )


async def test_a_locked_booking_stays_and_what_is_held_is_taken(database: Database) -> None:
    house = await build_house(database, (2, 4), edges=[])
    locked = await seat(house, 2, ["T2"], locked=True)
    large = await house.book(4)
    day = await read(house)
    result = optimise(day.problem, PARAMS)

    await apply(house, day, result)

    assert await house.seats(locked) == [house.tables["T2"]]
    assert await house.status(large) == "pending"


async def test_a_live_hold_is_in_the_way(database: Database) -> None:
    house = await build_house(database, (2, 2), edges=[])
    await hold(house, await house.book(2), "T1")
    await house.book(2)
    day = await read(house)

    result = optimise(day.problem, PARAMS)

    assert list(result.seats.values()) == [(house.tables["T2"],)]


async def test_a_guest_is_told_of_the_seat_but_not_of_a_move(database: Database) -> None:
    house = await build_house(database, (2, 4), edges=[])
    await seat(house, 2, ["T2"])
    large = await house.book(4)
    await database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    day = await read(house)

    await apply(house, day, optimise(day.problem, PARAMS))

    messages = await database.fetch("SELECT booking_id, kind FROM messages")
    assert [(row["booking_id"], row["kind"]) for row in messages] == [(large, "confirmation")]


async def test_an_unknown_restaurant_is_named(database: Database) -> None:
    with pytest.raises(NotFound, match="restaurant nowhere"):
        await read_day(database, "nowhere", NOON.date(), mode=Mode.COVERS, now=DAWN)


async def test_who_needs_something_gets_no_tables_without_it_and_vips_have_theirs(database: Database) -> None:
    house = await build_house(database, (4, 4, 4, 4), edges=[])
    await database.fetch("UPDATE tables SET features = '{step_free}' WHERE number IN ('T1', 'T2')")
    await database.fetch("UPDATE tables SET features = '{vip}' WHERE number = 'T4'")
    await database.fetch("UPDATE restaurants SET scoring = %(scoring)s", {"scoring": Jsonb({"vip_only": True})})
    anybody = await seat(house, 4, ["T1"])
    needing = [await house.book(4) for _ in range(3)]
    guest = await house.book(4)
    await database.fetch(
        "UPDATE bookings SET preferences = %(needs)s WHERE id = ANY (%(ids)s)",
        {"needs": Jsonb({"step_free": True, "must": ["step_free"]}), "ids": needing},
    )
    await database.fetch("UPDATE bookings SET vip = true WHERE id = %(id)s", {"id": guest})
    day = await read(house)
    result = optimise(day.problem, PARAMS)
    seats = {booking.id: result.seats.get(key) for key, booking in day.bookings.items()}
    step_free = {(house.tables["T1"],), (house.tables["T2"],)}
    assert (result.covers, seats[anybody]) == (16, (house.tables["T3"],))
    assert {seats[booking] for booking in needing} == {*step_free, None}
    assert seats[guest] == (house.tables["T4"],)
