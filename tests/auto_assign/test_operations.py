"""Operations runs: the right bookings, the same ends as other runs, whoever else works on them, and honest reports."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.changes import move_booking
from maitred.auto_assign.durations import durations
from maitred.auto_assign.operations import Line, OperationsRun, Orders, Round
from maitred.auto_assign.retry import RetryRules
from maitred.auto_assign.service_day import bookings_of_day, find_venue
from maitred.auto_assign.strategies import ladder
from maitred.booking.change import Move
from maitred.booking.question import Strategy
from maitred.errors import NotFound
from maitred.model.scoring import ScoringPolicy
from maitred.storage.database import Database
from tests.auto_assign.durable import NOTHING, loose_ends, waiting_jobs, work
from tests.house import DAWN, NOON, House, at_dawn, build_house

DAY = NOON.date()


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


class Watching:
    """Keeps what it is told, and may do something at each line."""

    def __init__(self) -> None:
        self.rounds: list[int] = []
        self.lines: list[Line] = []

    def round_begins(self, begun: Round, /) -> None:
        self.rounds.append(begun.bookings)

    def line_ends(self, line: Line, /) -> None:
        self.lines.append(line)


async def slug_of(house: House) -> str:
    rows = await house.database.fetch("SELECT slug FROM restaurants WHERE id = %(id)s", {"id": house.restaurant_id})
    return str(rows[0]["slug"])


async def operate(house: House, day: date = DAY, **orders: Any) -> OperationsRun:
    run = OperationsRun(house.desk, Orders(await slug_of(house), day, **orders), now=at_dawn, watcher=Watching())
    await run.go()
    return run


async def operate_while(house: House, change: Callable[[], None]) -> OperationsRun:
    """One worker; the change happens between the first booking and the second."""

    class Changing(Watching):
        def line_ends(self, line: Line, /) -> None:
            super().line_ends(line)
            if len(self.lines) == 1:
                change()

    orders = Orders(await slug_of(house), DAY, concurrency=1)
    run = OperationsRun(house.desk, orders, now=at_dawn, watcher=Changing())
    await run.go()
    return run


def at_once(url: str, change: LiteralString, booking: UUID) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(change, (booking,))


def results(run: OperationsRun) -> dict[UUID, str]:
    return {line.booking.id: line.result for line in run.lines}


async def summaries(house: House) -> list[tuple[str, str, UUID]]:
    rows = await house.stored_events("auto_assign.summary")
    contexts = [(row["context"], row["booking_id"]) for row in rows]
    return sorted((context["trigger"], context["result"], booking) for context, booking in contexts)  # type: ignore[index,misc]  # contexts are objects


async def rows_of(database: Database) -> dict[str, list[dict[str, object]]]:
    """Every row that an assignment could change."""
    tables: dict[str, LiteralString] = {
        "bookings": "SELECT * FROM bookings ORDER BY id",
        "holds": "SELECT * FROM holds ORDER BY id",
        "allocations": "SELECT * FROM allocations ORDER BY id",
        "confirmations": "SELECT * FROM confirmations ORDER BY id",
        "history": "SELECT * FROM booking_history ORDER BY id",
        "messages": "SELECT * FROM messages ORDER BY id",
        "runs": "SELECT * FROM runs ORDER BY id",
    }
    return {name: [dict(row) for row in await database.fetch(sql)] for name, sql in tables.items()}


async def test_all_pending_bookings_of_the_day_get_one_attempt_each(house: House) -> None:
    seated, hopeless = await house.book(4), await house.book(40)
    run = await operate(house)
    assert results(run) == {seated: "succeeded", hopeless: "exhausted"}
    assert await summaries(house) == [
        ("ultra_fast", "exhausted", hopeless),
        ("ultra_fast", "succeeded", seated),
    ]
    [line] = [line for line in run.lines if line.booking.id == seated]
    numbers = [number for number, table_id in house.tables.items() if table_id in await house.seats(seated)]
    assert list(line.tables) == numbers
    quotes = house.events.of_type("auto_assign.quote")
    assert [(quote.context["trigger"], quote.context["attempt_index"]) for quote in quotes] == [("ultra_fast", 0)] * 2
    assert await loose_ends(house.database) == NOTHING | {"summaries_off": 2}  # these runs have no row


async def test_bookings_are_taken_up_in_order_of_start(house: House) -> None:
    starts = [NOON + timedelta(minutes=15 * n) for n in (5, 0, 9, 3, 7)]
    booked = [await house.book(2, start) for start in starts]
    run = await operate(house, concurrency=1)
    quoted = [event.booking_id for event in house.events.of_type("auto_assign.quote")]
    assert quoted == [booking for _, booking in sorted(zip(starts, booked, strict=True))]
    assert [line.booking.id for line in run.lines] == quoted


async def test_other_days_other_restaurants_and_bookings_that_are_over_are_left_alone(house: House) -> None:
    other = await build_house(house.database)
    left = [
        await house.book(2, NOON + timedelta(days=1)),
        await house.book(2, NOON - timedelta(days=1)),
        await other.book(2),
    ]
    cancelled = await house.book(2)
    await house.database.fetch("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": cancelled})
    run = await operate(house)
    assert run.lines == []
    assert run.rounds == []
    assert [await house.status(booking) for booking in left] == ["pending"] * 3


@pytest.mark.parametrize(
    ("zone", "local", "day"),
    [
        ("America/New_York", "2030-06-05 23:30", "2030-06-05"),  # the sixth already in UTC
        ("America/New_York", "2030-06-06 01:30", "2030-06-05"),  # after midnight, in the evening's service
        ("America/New_York", "2030-06-06 02:30", "2030-06-06"),  # after that service: its own date
        ("Pacific/Auckland", "2030-06-06 00:30", "2030-06-05"),  # the fifth in UTC
        ("Europe/Berlin", "2030-10-27 01:59", "2030-10-26"),  # the night the clocks go back
        ("America/Santiago", "2030-09-08 01:30", "2030-09-07"),  # midnight itself is skipped
    ],
)
async def test_the_service_day_is_the_venues_and_goes_on_after_midnight(
    house: House, zone: str, local: str, day: str
) -> None:
    await house.database.fetch("UPDATE restaurants SET timezone = %(zone)s", {"zone": zone})
    await house.database.fetch("UPDATE services SET starts = '18:00', ends = '02:00'")
    booking = await house.book(2, datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))
    venue = await find_venue(house.database, await slug_of(house))
    meant = date.fromisoformat(day)
    found = {
        each: [found.id for found in await bookings_of_day(house.database, venue, each)]
        for each in (meant - timedelta(days=1), meant, meant + timedelta(days=1))
    }
    assert found == {meant - timedelta(days=1): [], meant: [booking], meant + timedelta(days=1): []}


async def test_confirmed_bookings_are_reported_when_asked_for_and_stay_where_they_are(house: House) -> None:
    confirmed = await house.book(4)
    await operate(house)
    seats, before = await house.seats(confirmed), await summaries(house)
    pending = await house.book(2)
    assert results(await operate(house, dry_run=True)) == {pending: "planned"}
    run = await operate(house, include_confirmed=True)
    assert results(run) == {confirmed: "already_confirmed", pending: "succeeded"}
    [line] = [line for line in run.lines if line.booking.id == confirmed]
    assert [house.tables[number] for number in line.tables] == seats == await house.seats(confirmed)
    assert len(await summaries(house)) == len(before) + 1  # of a booking that has tables nothing was asked


async def test_an_unknown_restaurant_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="no restaurant nowhere"):
        await OperationsRun(house.desk, Orders("nowhere", DAY), now=at_dawn, watcher=Watching()).go()


async def test_a_booking_in_the_past_gets_its_coded_reason_by_the_clock_that_was_given(house: House) -> None:
    booking = await house.book(2)
    orders = Orders(await slug_of(house), DAY)
    late = OperationsRun(house.desk, orders, now=lambda: NOON, watcher=Watching())
    await late.go()
    assert [line.reason for line in late.lines] == ["hard.start_passed"]
    assert results(await operate(house)) == {booking: "succeeded"}


async def test_one_bookings_own_error_does_not_stop_the_others(house: House) -> None:
    await house.database.fetch(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT party_size FROM bookings WHERE id = NEW.booking_id) = 3 THEN RAISE 'no threes'; END IF;"
        " RETURN NEW; END $$"
    )
    await house.database.fetch(
        "CREATE TRIGGER no_threes BEFORE INSERT ON confirmations FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    three, two = await house.book(3), await house.book(2)
    run = await operate(house, concurrency=1)
    assert results(run) == {three: "error", two: "succeeded"}
    assert [line.reason for line in run.lines if line.booking.id == three] == ["transient.rpc_error"]


async def test_a_booking_removed_or_cancelled_before_its_turn_is_skipped(house: House, database_url: str) -> None:
    first = await house.book(2)
    for change in ("DELETE FROM bookings WHERE id = %s", "UPDATE bookings SET status = 'cancelled' WHERE id = %s"):
        gone = await house.book(2, NOON + timedelta(hours=1))
        run = await operate_while(house, partial(at_once, database_url, change, gone))
        assert results(run) == {first: "succeeded", gone: "skipped"}
        assert all(booking != gone for *_, booking in await summaries(house))
        first = await house.book(2)


# dry run


def random_day(seed: int) -> list[tuple[int, datetime]]:
    drawn = random.Random(seed)
    return [
        (drawn.choice((1, 2, 2, 3, 4, 4, 5, 6, 8)), NOON + timedelta(minutes=15 * drawn.randrange(24)))
        for _ in range(18)
    ]


async def book_day(house: House, seed: int) -> None:
    for number, (party, start) in enumerate(random_day(seed)):
        await house.database.fetch(
            "INSERT INTO bookings (restaurant_id, reference, party_size, starts_at)"
            " VALUES (%(restaurant)s, %(reference)s, %(party)s, %(start)s)",
            {"restaurant": house.restaurant_id, "reference": f"B{number:02}", "party": party, "start": start},
        )


def plans(run: OperationsRun) -> dict[str, tuple[str, ...]]:
    return {line.booking.reference: line.tables for line in run.lines}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("until_assigned", [False, True])
async def test_a_dry_run_foresees_what_one_worker_does_and_writes_nothing(
    house: House, seed: int, until_assigned: bool
) -> None:
    await book_day(house, seed)
    before = await rows_of(house.database)
    dry = await operate(house, dry_run=True, until_assigned=until_assigned)
    assert await rows_of(house.database) == before
    assert await house.count("observability_events") == 0
    real = await operate(house, concurrency=1, until_assigned=until_assigned)
    assert plans(dry) == plans(real)
    assert len(dry.rounds) == len(real.rounds)
    told = {"planned": "succeeded", "refused": "exhausted"}
    assert [(told[line.result], line.reason) for line in dry.lines] == [
        (line.result, line.reason) for line in real.lines
    ]
    assert {line.result for line in dry.lines} == {"planned", "refused"}


async def test_a_dry_run_measures_its_planner_calls_as_looks_and_not_as_runs(house: House) -> None:
    await house.book(4)
    await house.book(40, NOON + timedelta(minutes=15))
    await operate(house, dry_run=True)
    quotes = [event.context for event in house.events.kept]
    assert {event.event_type for event in house.events.kept} == {"auto_assign.quote"}
    assert [(quote["trigger"], quote["planner_success"]) for quote in quotes] == [("manual", True), ("manual", False)]
    assert all(quote["planner_internal"]["hold_ms"] is None for quote in quotes)  # type: ignore[call-overload,index]  # an object


async def test_a_dry_run_gives_up_the_old_seats_of_a_booking_that_was_moved(database: Database) -> None:
    house = await build_house(database, [4])
    await database.fetch("UPDATE restaurants SET keep_tables_until_moved = true")
    moved = await house.book(4)
    await operate(house)
    await move_booking(house.desk, moved, Move(NOON + timedelta(minutes=90), 4), now=at_dawn)
    # keeps its old seat until it has the new one; whoever comes between gets it then, and not before
    later = await house.book(4, NOON + timedelta(hours=4))
    dry = await operate(house, dry_run=True)
    assert results(dry) == {moved: "planned", later: "planned"}
    assert plans(dry) == plans(await operate(house, concurrency=1))


async def test_a_dry_run_stays_on_the_moment_at_which_it_began(database: Database, database_url: str) -> None:
    house = await build_house(database, [4])
    first, second = await house.book(4), await house.book(4, NOON + timedelta(hours=3))

    class Closing(Watching):
        def line_ends(self, line: Line, /) -> None:
            super().line_ends(line)
            at_once(database_url, "UPDATE bookings SET status = 'cancelled' WHERE id = %s", second)

    run = OperationsRun(house.desk, Orders(await slug_of(house), DAY, dry_run=True), now=at_dawn, watcher=Closing())
    await run.go()
    assert results(run) == {first: "planned", second: "planned"}


# the loop


async def test_the_loop_goes_round_with_looser_strategies_until_nothing_is_pending(database: Database) -> None:
    house = await build_house(database, [2, 2, 2, 2, 2, 2], edges=[(0, 1), (1, 2), (2, 3)])
    needs_four = await house.book(8)
    needs_no_adjacency = await house.book(4)  # the two tables apart from the others
    alone = await house.book(2, NOON + timedelta(hours=3))
    run = await operate(house, until_assigned=True, concurrency=1)
    assert results(run) == dict.fromkeys((needs_four, needs_no_adjacency, alone), "succeeded")
    assert run.rounds[-1].lines[-1].result == "succeeded"
    assert all(not each.strategy.max_tables for each in run.rounds[:2])
    triggers = {trigger for trigger, *_ in await summaries(house)}
    assert triggers == {"loop"}


async def test_each_round_of_the_loop_is_one_run_with_one_summary_for_each_booking(database: Database) -> None:
    house = await build_house(database, [2, 2, 2, 2])
    booking = await house.book(8)
    run = await operate(house, until_assigned=True)
    strategies = [(each.strategy.require_adjacency, each.strategy.max_tables) for each in run.rounds]
    assert strategies == [(None, None), (False, None), (None, 4)]
    assert await summaries(house) == [
        ("loop", "exhausted", booking),
        ("loop", "exhausted", booking),
        ("loop", "succeeded", booking),
    ]
    asked = [event.context["planner_strategy"] for event in house.events.of_type("auto_assign.quote")]
    assert asked == [
        {"requireAdjacency": None, "maxTables": None},
        {"requireAdjacency": False, "maxTables": None},
        {"requireAdjacency": None, "maxTables": 4},
    ]


async def test_the_loop_ends_when_its_iterations_are_used_up(database: Database) -> None:
    house = await build_house(database, [2, 2, 2, 2])
    booking = await house.book(8)
    run = await operate(house, until_assigned=True, rounds=2)
    assert (len(run.rounds), results(run)) == (2, {booking: "exhausted"})
    assert await house.status(booking) == "pending"


async def test_the_loop_goes_on_with_its_loosest_strategy(database: Database) -> None:
    house = await build_house(database, [4])
    await house.book_many([4, 4])
    run = await operate(house, until_assigned=True, rounds=7)
    assert [each.bookings for each in run.rounds] == [2, 1, 1, 1, 1, 1, 1]
    assert [each.strategy for each in run.rounds[4:]] == [Strategy(False, 5)] * 3


async def test_the_loop_asks_no_more_where_no_strategy_helps(house: House) -> None:
    larger_than_the_venue = await house.book(40)
    run = await operate(house, until_assigned=True)
    assert (len(run.rounds), results(run)) == (1, {larger_than_the_venue: "exhausted"})


async def test_bookings_that_come_during_the_loop_are_not_asked_with_loosened_rules(database: Database) -> None:
    house = await build_house(database, [2, 2, 2, 2])
    await house.book(8)
    late: list[asyncio.Task[UUID]] = []

    class Booking(Watching):
        def round_begins(self, begun: Round, /) -> None:
            super().round_begins(begun)
            if begun.number == 1:
                late.append(asyncio.create_task(house.book(2, NOON + timedelta(hours=3))))

    run = OperationsRun(
        house.desk, Orders(await slug_of(house), DAY, until_assigned=True), now=at_dawn, watcher=Booking()
    )
    await run.go()
    assert await house.status(await late[0]) == "pending"


POLICIES = st.builds(
    ScoringPolicy,
    max_tables=st.integers(1, 5),
    adjacency_from_party=st.none() | st.integers(1, 10),
)
STRATEGIES = st.builds(Strategy, require_adjacency=st.none() | st.booleans(), max_tables=st.none() | st.integers(1, 5))


@given(policy=POLICIES, asked=STRATEGIES, party=st.integers(1, 12))
def test_no_step_of_the_ladder_asks_for_more_than_the_first_and_the_last_asks_least(
    policy: ScoringPolicy, asked: Strategy, party: int
) -> None:
    def means(step: Strategy) -> tuple[bool, int]:
        required = step.require_adjacency
        if required is None:
            required = policy.adjacency_from_party is not None and party >= policy.adjacency_from_party
        return required, step.max_tables or policy.max_tables

    def at_least_as_loose(looser: Strategy, tighter: Strategy) -> bool:
        (required, most), (required_before, most_before) = means(looser), means(tighter)
        return required <= required_before and most >= most_before

    steps = ladder(policy, asked)
    assert steps[0] == asked
    assert len(set(steps)) == len(steps)
    assert all(at_least_as_loose(step, steps[0]) for step in steps)
    assert all(at_least_as_loose(steps[-1], step) for step in steps)
    for step in steps:
        assert asked.require_adjacency is None or step.require_adjacency == asked.require_adjacency
        assert asked.max_tables is None or step.max_tables == asked.max_tables


def test_the_ladder_of_the_defaults() -> None:
    assert ladder(ScoringPolicy(), Strategy()) == (
        Strategy(),
        Strategy(require_adjacency=False),
        Strategy(max_tables=4),
        Strategy(max_tables=5),
        Strategy(require_adjacency=False, max_tables=5),
    )
    assert ladder(ScoringPolicy(), Strategy(True, 2)) == (Strategy(True, 2),)


# beside durable runs


async def begin(house: House, bookings: Sequence[UUID]) -> None:
    for booking in bookings:
        await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=DAWN)


async def test_a_run_under_way_ends_as_already_confirmed_when_operations_were_first(house: House) -> None:
    booking = await house.book(4)
    await begin(house, [booking])
    assert results(await operate(house)) == {booking: "succeeded"}
    assert await work(house) == ["already_confirmed"]
    assert await summaries(house) == [
        ("creation", "already_confirmed", booking),
        ("ultra_fast", "succeeded", booking),
    ]


async def test_operations_see_what_others_have_confirmed_since_they_looked(house: House, database_url: str) -> None:
    first, second = await house.book(2), await house.book(2, NOON + timedelta(hours=2))
    run = await operate_while(
        house, lambda: at_once(database_url, "UPDATE bookings SET status = 'confirmed' WHERE id = %s", second)
    )
    assert results(run) == {first: "succeeded", second: "already_confirmed"}
    assert ("ultra_fast", "already_confirmed", second) in await summaries(house)


@pytest.mark.parametrize("seed", range(3))
async def test_operations_and_jobs_at_once_confirm_each_booking_once(house: House, seed: int) -> None:
    await house.database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    await book_day(house, seed)
    await house.database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    ids = [row["id"] for row in await house.database.fetch("SELECT id FROM bookings ORDER BY starts_at")]
    await begin(house, ids)

    async def jobs() -> None:
        while await waiting_jobs(house.database):
            await work(house, most=5)

    run, _ = await asyncio.gather(operate(house, until_assigned=seed == 2), jobs())
    confirmed = {id_ for id_ in ids if await house.status(id_) == "confirmed"}
    by = await house.stored_events("auto_assign.succeeded")
    assert sorted(str(row["booking_id"]) for row in by) == sorted(map(str, confirmed))
    told = {line.booking.id for line in run.lines if line.status == "confirmed"}
    assert told <= confirmed
    found = await summaries(house)
    operations = [booking for trigger, _, booking in found if trigger in ("ultra_fast", "loop")]
    assert len(operations) == sum(len(each.lines) for each in run.rounds)
    assert sorted(booking for trigger, _, booking in found if trigger == "creation") == sorted(ids)
    messages = await house.database.fetch("SELECT booking_id FROM messages WHERE kind = 'confirmation'")
    assert sorted(row["booking_id"] for row in messages) == sorted(confirmed)
    ends = await loose_ends(house.database)
    assert ends == NOTHING | {"summaries_off": len(operations), "holds": 0}


async def test_a_guest_is_told_of_what_operations_confirmed_once_and_in_the_right_words(house: House) -> None:
    booking = await house.book(4)
    await house.database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    await begin(house, [booking])
    await operate(house)
    await work(house)
    await move_booking(house.desk, booking, Move(NOON + timedelta(hours=3), 4), now=at_dawn)
    await operate(house)
    await work(house)
    rows = await house.database.fetch("SELECT variant FROM messages ORDER BY created_at")
    assert [row["variant"] for row in rows] == ["standard", "modified"]


async def test_suppressed_messages_are_dropped(house: House) -> None:
    await house.book(4)
    await house.database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    await operate(house, messages_suppressed=True)
    rows = await house.database.fetch("SELECT state FROM messages")
    assert [row["state"] for row in rows] == ["dropped"]


async def test_percentiles_are_those_of_percentile_cont(database: Database) -> None:
    drawn = random.Random(7)
    for n in (1, 2, 3, 17, 117):
        values = [drawn.expovariate(1 / 200) for _ in range(n)]
        rows = await database.fetch(
            "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY x) AS p, max(x) AS max"
            " FROM unnest(%(values)s::float8[]) AS x",
            {"values": values},
        )
        found = durations([*values, None])
        assert found.n == n
        assert [found.p50, found.p95, found.p99, found.max] == pytest.approx([*rows[0]["p"], rows[0]["max"]])
    assert durations([None]).p50 is None
