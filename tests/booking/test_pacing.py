"""Pacing limits: enforced in the database whoever writes, also when many write at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from maitred.errors import PacingExceeded
from maitred.model.policy import Service, TurnBand, VenuePolicy
from maitred.storage.database import Database
from tests.house import NOON, House, build_house

BANDS = (TurnBand(20, 90),)


async def limit(
    house: House,
    *,
    minutes: int | None = 15,
    covers: int | None = None,
    parties: int | None = None,
    service: str | None = None,
) -> None:
    await house.database.fetch(
        "INSERT INTO pacing_limits (restaurant_id, service, slot_minutes, most_covers, most_parties)"
        " VALUES (%(venue)s, %(service)s, %(minutes)s, %(covers)s, %(parties)s)",
        {
            "venue": house.restaurant_id,
            "service": service,
            "minutes": minutes,
            "covers": covers,
            "parties": parties,
        },
    )


async def change(house: House, booking_id: UUID, **to: object) -> None:
    await house.database.fetch(
        "UPDATE bookings SET status = coalesce(%(status)s, status), starts_at = coalesce(%(starts)s, starts_at),"
        " party_size = coalesce(%(party)s, party_size) WHERE id = %(id)s",
        {"id": booking_id, "status": to.get("status"), "starts": to.get("starts"), "party": to.get("party")},
    )


async def test_covers_of_a_slot_stop_at_the_limit_and_the_refusal_says_which(database: Database) -> None:
    house = await build_house(database)
    await limit(house, covers=6)
    await house.book_many([4, 2])
    with pytest.raises(PacingExceeded) as refused:
        await house.book(1, NOON + timedelta(minutes=14))
    assert (refused.value.of, refused.value.limit, refused.value.slot_minutes) == ("covers", 6, 15)
    assert refused.value.slot == "2030-06-05T12:00:00+00:00"
    assert "no more than 6 covers" in str(refused.value)
    await house.book(6, NOON + timedelta(minutes=15))
    await house.book(6, NOON - timedelta(microseconds=1))


async def test_parties_of_a_service_day_stop_at_the_limit(database: Database) -> None:
    house = await build_house(database)
    await limit(house, minutes=None, parties=2)
    await house.book(20, NOON)
    await house.book(1, NOON + timedelta(hours=5))
    with pytest.raises(PacingExceeded) as refused:
        await house.book(1, NOON + timedelta(hours=8))
    assert (refused.value.of, refused.value.day) == ("parties", "2030-06-05")
    await house.book(1, NOON + timedelta(days=1))


@pytest.mark.parametrize("status", ["cancelled", "no_show"])
async def test_a_booking_that_is_off_frees_its_place_and_needs_one_to_come_back(
    database: Database, status: str
) -> None:
    house = await build_house(database)
    await limit(house, covers=4)
    first = await house.book(4)
    await change(house, first, status=status)
    await house.book(3)
    with pytest.raises(PacingExceeded):
        await change(house, first, status="pending")
    assert await house.status(first) == status


async def test_a_move_needs_room_where_it_goes_and_none_where_it_stays(database: Database) -> None:
    house = await build_house(database)
    later = NOON + timedelta(minutes=15)
    first, second = await house.book(4), await house.book(4, later)
    await house.book(4)
    await limit(house, covers=4, parties=1)  # lowered below what there is: what there is stays
    await change(house, first, starts=NOON + timedelta(minutes=5))  # within its slot, which is too full
    await change(house, first, party=2)
    await change(house, first, status="confirmed")
    with pytest.raises(PacingExceeded):
        await change(house, second, starts=NOON)
    with pytest.raises(PacingExceeded):
        await change(house, second, party=5)
    await change(house, second, starts=later + timedelta(minutes=15))


async def test_one_statement_that_adds_too_many_adds_none(database: Database) -> None:
    house = await build_house(database)
    await limit(house, parties=2)
    with pytest.raises(PacingExceeded):
        await database.fetch(
            "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
            " SELECT %(venue)s, n::text, 2, %(starts)s FROM generate_series(1, 3) AS n",
            {"venue": house.restaurant_id, "starts": NOON},
        )
    rows = await database.fetch("SELECT count(*) AS n FROM bookings")
    assert rows[0]["n"] == 0


async def test_another_venue_and_another_service_have_limits_of_their_own(database: Database) -> None:
    house, other = await build_house(database), await build_house(database)
    await limit(house, covers=2)
    await other.book_many([5, 5])
    await limit(other, covers=3, service="all_day")
    await house.book(2)
    with pytest.raises(PacingExceeded) as refused:
        await other.book(1)
    assert refused.value.service == "all_day"


@pytest.mark.parametrize("guarded", [False, True])
async def test_twenty_at_once_never_exceed_the_limit_and_would_without_the_turnstile(
    database: Database, database_url: str, guarded: bool
) -> None:
    house = await build_house(database)
    await limit(house, covers=10)
    await limit(house, minutes=None, parties=5)
    if not guarded:
        await database.fetch(
            "CREATE FUNCTION pass_by() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
        )
        await database.fetch(
            "CREATE TRIGGER open_gate BEFORE INSERT ON pacing_turnstiles FOR EACH ROW EXECUTE FUNCTION pass_by()"
        )
    together = asyncio.Barrier(20)

    async def book_in_a_slow_transaction() -> bool:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await together.wait()
            try:
                await connection.execute(
                    "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at) VALUES (%s, %s, 2, %s)",
                    (house.restaurant_id, uuid4().hex, NOON),
                )
                if not guarded:
                    await together.wait()  # all have counted before anybody commits
                await connection.commit()
            except psycopg.Error as error:
                if error.sqlstate != "MD007":
                    raise
                await connection.rollback()
                return False
            return True

    async with asyncio.timeout(60):
        booked = await asyncio.gather(*(book_in_a_slow_transaction() for _ in range(20)))
    assert sum(booked) == (5 if guarded else 20)


async def test_two_that_want_the_same_slots_the_other_way_round_dont_block_each_other_for_ever(
    database: Database,
) -> None:
    house = await build_house(database)
    await limit(house, covers=1_000)
    slots = [NOON + timedelta(minutes=15 * place) for place in range(8)]

    async def add(starts: list[datetime], times: int) -> None:
        for _ in range(times):
            await database.fetch(
                "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
                " SELECT %(venue)s, gen_random_uuid()::text, 1, s FROM unnest(%(starts)s::timestamptz[]) AS s",
                {"venue": house.restaurant_id, "starts": starts},
            )

    await asyncio.gather(*(add(slots if place % 2 else slots[::-1], 10) for place in range(6)))
    rows = await database.fetch("SELECT count(*) AS n FROM bookings")
    assert rows[0]["n"] == 6 * 10 * 8


async def test_without_a_limit_nothing_is_locked(database: Database) -> None:
    house = await build_house(database)
    await house.book_many([2, 3])
    assert await database.fetch("SELECT * FROM pacing_turnstiles") == []


def services() -> st.SearchStrategy[tuple[Service, ...]]:
    clock = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
    hours = st.lists(st.tuples(clock, clock), min_size=1, max_size=4)
    return hours.map(lambda found: tuple(Service(f"s{place}", *span, BANDS) for place, span in enumerate(found)))


ZONES = ("Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "UTC")
CHANGES = (
    datetime(2030, 3, 31, 1, tzinfo=UTC),
    datetime(2030, 10, 27, 1, tzinfo=UTC),
    datetime(2030, 3, 10, 7, tzinfo=UTC),
    datetime(2030, 11, 3, 6, tzinfo=UTC),
    datetime(2030, 4, 6, 15, tzinfo=UTC),
    datetime(2030, 10, 5, 16, tzinfo=UTC),
)


@pytest.fixture
def plain(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


def write_venue(connection: psycopg.Connection[Any], zone: str, found: tuple[Service, ...]) -> UUID:
    venue = uuid4()
    connection.execute(
        "INSERT INTO restaurants (id, slug, name, timezone) VALUES (%s, %s, 'V', %s)", (venue, f"v-{venue}", zone)
    )
    for place, service in enumerate(found):
        connection.execute(
            "INSERT INTO services (restaurant_id, key, position, starts, ends) VALUES (%s, %s, %s, %s, %s)",
            (venue, service.key, place, service.starts, service.ends),
        )
    return venue


def test_the_database_finds_the_service_and_day_that_the_model_finds(plain: psycopg.Connection[Any]) -> None:
    @settings(max_examples=150)
    @given(
        zone=st.sampled_from(ZONES),
        found=services(),
        offsets=st.lists(st.integers(-60 * 40, 60 * 40), min_size=1, max_size=20),
        change=st.sampled_from(CHANGES),
    )
    def check(zone: str, found: tuple[Service, ...], offsets: list[int], change: datetime) -> None:
        venue = write_venue(plain, zone, found)
        policy = VenuePolicy(zone, found)
        instants = [change + timedelta(minutes=offset) for offset in offsets]
        rows = plain.execute("SELECT * FROM service_days(%s, %s)", (venue, instants)).fetchall()
        told = {row["at"]: (row["service"], row["day"]) for row in rows}
        for instant in instants:
            at = policy._service_at(instant)
            expected = (found[0].key, instant.astimezone(ZoneInfo(zone)).date()) if at is None else (at[0].key, at[1])
            assert told[instant] == expected, (instant, zone)

    check()


class Model:
    """What a limited venue holds, counted by hand over all bookings."""

    def __init__(self, policy: VenuePolicy, limits: list[tuple[str | None, int | None, int | None, int | None]]):
        self.policy = policy
        self.limits = limits
        self.live: dict[str, tuple[datetime, int, bool]] = {}

    def key(self, starts: datetime, service: str | None, minutes: int | None) -> object:
        at = self.policy._service_at(starts)
        local = starts.astimezone(self.policy.zone)
        found, day = (self.policy.services[0].key, local.date()) if at is None else (at[0].key, at[1])
        if service is not None and found != service:
            return None
        if minutes is None:
            return ("day", day)
        midnight = datetime.combine(local.date(), time(), self.policy.zone).astimezone(UTC)
        return (day if service else None, (starts - midnight) // timedelta(minutes=minutes), midnight)

    def allows(self, reference: str, starts: datetime, party: int, on: bool) -> bool:
        was = self.live.get(reference)
        if not on:
            return True
        for service, minutes, covers, parties in self.limits:
            key = self.key(starts, service, minutes)
            if key is None:
                continue
            came = was is None or not was[2] or self.key(was[0], service, minutes) != key
            grew = was is None or party > was[1]
            if not came and not grew:
                continue
            others = [
                held
                for name, (at, held, alive) in self.live.items()
                if alive and name != reference and self.key(at, service, minutes) == key
            ]
            if covers is not None and sum(others) + party > covers:
                return False
            if came and parties is not None and len(others) + 1 > parties:
                return False
        return True


def test_any_course_of_bookings_ends_like_the_model_says(plain: psycopg.Connection[Any]) -> None:
    found = (
        Service("dinner", time(18), time(1, 30), BANDS),
        Service("late", time(23), time(3), BANDS),
    )
    limits = st.lists(
        st.tuples(
            st.sampled_from([None, "dinner", "late"]),
            st.sampled_from([None, 15, 30, 60]),
            st.one_of(st.none(), st.integers(0, 12)),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda each: each[:2],
    )
    steps = st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.integers(-12, 36),
            st.integers(1, 6),
            st.sampled_from(["pending", "pending", "confirmed", "cancelled"]),
        ),
        max_size=14,
    )

    @settings(max_examples=80)
    @given(zone=st.sampled_from(ZONES[:4]), change=st.sampled_from(CHANGES), limits=limits, steps=steps)
    def check(
        zone: str,
        change: datetime,
        limits: list[tuple[str | None, int | None, int | None, int | None]],
        steps: list[tuple[str, int, int, str]],
    ) -> None:
        venue = write_venue(plain, zone, found)
        for each in limits:
            plain.execute(
                "INSERT INTO pacing_limits (restaurant_id, service, slot_minutes, most_covers, most_parties)"
                " VALUES (%s, %s, %s, %s, %s)",
                (venue, *each),
            )
        model = Model(VenuePolicy(zone, found), limits)
        for reference, quarter, party, status in steps:
            starts, on = change + timedelta(minutes=15 * quarter), status != "cancelled"
            expected = model.allows(reference, starts, party, on)
            refused = False
            if reference not in model.live:
                would = plain.execute("SELECT * FROM pacing_refusals(%s, %s, %s)", (venue, [starts], party)).fetchall()
                assert bool(would) == (not model.allows(reference, starts, party, True))
            try:
                plain.execute(
                    "INSERT INTO bookings (restaurant_id, reference, starts_at, party_size, status)"
                    " VALUES (%(venue)s, %(reference)s, %(starts)s, %(party)s, %(status)s)"
                    if reference not in model.live
                    else "UPDATE bookings SET starts_at = %(starts)s, party_size = %(party)s, status = %(status)s"
                    " WHERE restaurant_id = %(venue)s AND reference = %(reference)s",
                    {"venue": venue, "reference": reference, "starts": starts, "party": party, "status": status},
                )
            except psycopg.Error as error:
                if error.sqlstate != "MD007":
                    raise
                refused = True
            assert refused == (not expected)
            if not refused:
                model.live[reference] = (starts, party, on)

    check()


def test_limits_that_are_no_limits_are_refused(plain: psycopg.Connection[Any]) -> None:
    venue = write_venue(plain, "UTC", (Service("lunch", time(12), time(15), BANDS),))
    for values in ((None, 15, None, None), (None, 7, 1, None), (None, 15, -1, None), ("brunch", 15, 1, None)):
        with pytest.raises(psycopg.errors.IntegrityError):
            plain.execute(
                "INSERT INTO pacing_limits (restaurant_id, service, slot_minutes, most_covers, most_parties)"
                " VALUES (%s, %s, %s, %s, %s)",
                (venue, *values),
            )


def test_service_day_of_the_model_is_the_date_the_service_began() -> None:
    policy = VenuePolicy("Europe/London", (Service("late", time(20), time(2, 30), BANDS),))
    assert policy.service_day(datetime(2030, 6, 6, 0, 30, tzinfo=UTC)) == date(2030, 6, 5)
    assert policy.service_day(datetime(2030, 6, 6, 3, 30, tzinfo=UTC)) == date(2030, 6, 6)
