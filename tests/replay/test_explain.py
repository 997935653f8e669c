"""Why a booking got its tables or none, told from the records, also after everything around it has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb
from rich.console import Console

from maitred.auto_assign.retry import SINGLE_ATTEMPT, RetryRules
from maitred.auto_assign.run import auto_assign_and_confirm_if_possible
from maitred.booking.change import cancel_statements
from maitred.booking.preview import preview_quote
from maitred.booking.question import Strategy
from maitred.booking.quote import quote_tables_for_booking
from maitred.cli.explain_report import render
from maitred.errors import NotFound
from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.planner.explain import ObstacleCode
from maitred.replay.explain import explain_booking
from maitred.replay.story import Quoted, Story
from maitred.replay.story_document import story_document
from maitred.storage.database import Database
from tests.house import NOON, House, at_dawn
from tests.replay.test_replay import recorded_house


def shown(story: Story) -> str:
    console = Console(width=160, file=StringIO())
    console.print(render(story))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def quotes_of(story: Story) -> list[Quoted]:
    return [step for step in story.steps if isinstance(step, Quoted)]


async def assign(house: House, booking_id: UUID, rules: RetryRules = SINGLE_ATTEMPT) -> None:
    async def no_pause(_: float) -> None:
        await asyncio.sleep(0)

    await auto_assign_and_confirm_if_possible(
        house.desk, booking_id, now=at_dawn, trigger="creation", rules=rules, sleep=no_pause
    )


async def reference(house: House, booking_id: UUID) -> str:
    rows = await house.database.fetch("SELECT reference FROM bookings WHERE id = %(id)s", {"id": booking_id})
    return str(rows[0]["reference"])


async def test_a_seated_booking_shows_its_plan_against_the_next_best(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await assign(house, booking_id)
    story = await explain_booking(database, booking_id)
    [quoted] = quotes_of(story)
    [planned] = quoted.plannings
    assert (quoted.held, quoted.looked, quoted.trigger, quoted.attempt_index) == (True, False, "creation", 0)
    assert (planned.taken, planned.waiting, planned.service, planned.agrees) == (0, 0, "all_day", True)
    best, second = planned.recorded.outcome.plans[:2]
    assert best.score is not None
    assert second.score is not None
    assert best.total <= second.total
    text = shown(story)
    order = ["A run began", "Attempt 1 (creation)", "best", "next best", "the difference", "pending to confirmed"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    assert "all_day: tables wanted 12:00-13:30; 0 of 5 taken in that time" in text
    assert text.rstrip().endswith("Now: confirmed, tables T1.")
    told = story_document(story)
    [step] = [step for step in told["steps"] if "plannings" in step]
    assert step["plannings"][0]["plans"][0]["terms"]["total"] == step["plannings"][0]["plans"][0]["score"]
    assert json.loads(json.dumps(told)) == told


async def test_a_booking_without_tables_shows_for_each_table_who_was_in_the_way(
    database: Database, database_url: str
) -> None:
    async with recorded_house(database, database_url, (2, 4)) as house:
        first, second = await house.book(2), await house.book(4)
        await assign(house, first)
        await assign(house, second)
        late = await house.book(2, NOON + timedelta(minutes=30))
        await assign(house, late)
    story = await explain_booking(database, late)
    [planned] = quotes_of(story)[0].plannings
    assert quotes_of(story)[0].reason is ReasonCode.NO_CAPACITY
    assert [(each.number, each.code, each.text) for each in planned.obstacles] == [
        ("T1", ObstacleCode.TAKEN, f"taken: {await reference(house, first)} 12:00-13:30"),
        ("T2", ObstacleCode.TAKEN, f"taken: {await reference(house, second)} 12:00-13:30"),
    ]
    text = shown(story)
    assert "No capacity" in text
    assert "The run ended: exhausted, attempts 1 of at most 1" in text
    assert text.rstrip().endswith("Now: pending, no tables.")


async def test_weeks_later_it_is_still_told_when_bookings_are_gone_and_the_venue_is_another(
    database: Database, database_url: str
) -> None:
    async with recorded_house(database, database_url, (2, 4)) as house:
        first, second, third = await house.book(2), await house.book(4), await house.book(2)
        for booking_id in (first, second, third):
            await assign(house, booking_id)
    before = await explain_booking(database, third)
    await database.transact(cancel_statements(first, "guest"))
    await database.fetch("UPDATE bookings SET status = 'completed' WHERE id = %(id)s", {"id": second})
    await database.fetch("UPDATE tables SET capacity = 12, number = 'X' || number, active = false")
    await database.fetch("UPDATE restaurants SET scoring = '{}', timezone = 'Asia/Kathmandu'")
    after = await explain_booking(database, third)
    assert quotes_of(after) == quotes_of(before)
    [planned] = quotes_of(after)[0].plannings
    assert [each.number for each in planned.obstacles] == ["T1", "T2"]
    assert planned.agrees is True


async def test_nobody_is_named_who_came_later_or_had_gone_before(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (2,)) as house:
        gone, holding, asking, later = await house.book_many([2] * 4)
        await assign(house, gone)
        await database.fetch("UPDATE bookings SET status = 'cancelled' WHERE id = %(id)s", {"id": gone})
        await database.fetch(
            "INSERT INTO booking_history (booking_id, from_status, to_status, cause)"
            " VALUES (%(id)s, 'confirmed', 'cancelled', 'guest')",
            {"id": gone},
        )
        held = await quote_tables_for_booking(house.desk, holding, now=at_dawn, ttl_s=180, trigger="manual")
        assert held.hold is not None
        await assign(house, asking)
        await house.let_holds_expire()
        await assign(house, later)
        assert await house.status(later) == "confirmed"
    [planned] = quotes_of(await explain_booking(database, asking))[0].plannings
    [obstacle] = planned.obstacles
    assert (obstacle.code, obstacle.text) == (ObstacleCode.TAKEN, "taken: at some time in 12:00-13:30")


async def test_retries_say_how_long_after_and_that_nothing_had_changed(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (2,)) as house:
        first, second = await house.book_many([2, 2])
        await assign(house, first)
        await assign(house, second, RetryRules(max_retries=2, version=1))
    story = await explain_booking(database, second)
    quoted = quotes_of(story)
    assert [each.attempt_index for each in quoted] == [0, 1, 2]
    assert quoted[0].since_last_s is None
    assert all(each.since_last_s is not None and each.since_last_s >= 0 for each in quoted[1:])
    text = shown(story)
    assert text.count("Everything stood as it did before.") == 2
    assert text.count("what was in the way") == 1
    assert "s after the one before" in text


async def test_a_lost_race_is_told_as_two_plannings(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (2,) * 8) as house:
        bookings = await house.book_many([2] * 8)
        await asyncio.gather(*(assign(house, booking_id) for booking_id in bookings))
    stories = [await explain_booking(database, booking_id) for booking_id in bookings]
    beaten = [story for story in stories if len(quotes_of(story)[0].plannings) > 1]
    assert beaten, "nobody was beaten to a table"
    first, *_, last = quotes_of(beaten[0])[0].plannings
    assert first.recorded.outcome.best != last.recorded.outcome.best
    assert "Somebody was faster: planned again on fresh rows." in shown(beaten[0])


async def test_a_look_is_no_attempt(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await preview_quote(house.desk, await reference(house, booking_id), now=at_dawn())
    story = await explain_booking(database, booking_id)
    [quoted] = quotes_of(story)
    assert quoted.looked
    assert len(quoted.plannings) == 1
    assert "A look" in shown(story)
    assert "tables to be had" in shown(story)
    assert story_document(story)["steps"][0]["held"] is False


def cached(house: House, booking_id: UUID) -> events.Event:
    return events.quote(
        restaurant_id=house.restaurant_id,
        booking_id=booking_id,
        trigger="creation",
        attempt_index=0,
        duration_ms=0.0,
        success=False,
        reason=ReasonCode.NO_CAPACITY,
        cache_hit=True,
    )


async def test_quotes_without_a_record_say_why(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await assign(house, booking_id)
        other = await house.book(2)
        house.desk.events.record_observability_event(cached(house, other))
        stuck = await house.book(2)
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await quote_tables_for_booking(house.desk, stuck, now=at_dawn, ttl_s=180, trigger="manual")
    assert "the same question had just been answered" in shown(await explain_booking(database, other))
    assert "broken off: CancelledError" in shown(await explain_booking(database, stuck))
    for value, words in ((None, "it has no flight record"), ("AAAA", "can't be read by this release")):
        await database.fetch(
            "UPDATE observability_events SET context = context || %(changed)s"
            " WHERE event_type = 'auto_assign.quote' AND booking_id = %(id)s",
            {"changed": Jsonb({"planner_record": value}), "id": booking_id},
        )
        assert words in shown(await explain_booking(database, booking_id))


async def test_without_its_venue_version_a_planning_is_told_by_ids(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await assign(house, booking_id)
    await database.fetch("DELETE FROM venue_versions")
    story = await explain_booking(database, booking_id)
    [planned] = quotes_of(story)[0].plannings
    assert (planned.floor, planned.agrees) == (None, None)
    text = shown(story)
    assert "What the floor was then is not kept" in text
    assert f"#{house.tables['T1']}" in text


async def test_a_refusal_before_planning_is_told_by_its_reason(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await assign(house, booking_id)
        await assign(house, booking_id)
    story = await explain_booking(database, booking_id)
    second = quotes_of(story)[1]
    assert second.reason is ReasonCode.NOT_PENDING
    assert second.plannings[0].obstacles == ()
    assert "Somebody else had confirmed the booking meanwhile." in shown(story)


async def test_every_event_there_is_can_be_told(database: Database, database_url: str) -> None:
    from maitred.observability.catalogue import FAMILIES
    from maitred.observability.registry import CONSTRUCTORS
    from maitred.observability.staff_events import StaffAction
    from maitred.observability.table_events import MoveCause
    from tests.observability.drawing import parameters

    assert FAMILIES
    by_type: dict[Any, Any] = {
        int: 2,
        int | None: 2,
        float: 1.5,
        float | None: 1.5,
        bool: True,
        bool | None: True,
        ReasonCode: ReasonCode.TIMEOUT,
        ReasonCode | None: ReasonCode.TIMEOUT,
        UUID: uuid4(),
        BookingStatus: BookingStatus.PENDING,
        BaseException: ValueError(),
        events.Trigger: "creation",
        events.RunResult: "exhausted",
        UUID | None: uuid4(),
        StaffAction: "held",
        MoveCause: "optimised",
        Iterable[int]: (1,),
    }
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        for constructor in CONSTRUCTORS.values():
            wanted = parameters(constructor)
            if "booking_id" not in wanted:
                continue  # it is about the venue or the system, and in no booking's story
            given = {key: by_type[hint] for key, hint in wanted.items() if hint in by_type}
            given |= {"restaurant_id": house.restaurant_id, "booking_id": booking_id}
            house.desk.events.record_observability_event(constructor(**given))
    story = await explain_booking(database, booking_id)
    assert len(story.steps) > 12
    text = shown(story)
    assert "None" not in text
    assert "unknown time" not in text


async def test_guests_data_is_not_in_the_story(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
        await database.fetch(
            "UPDATE bookings SET guest_name = 'Zwölfig', guest_email = 'Zwölfig@example.org', notes = 'Zwölfig'"
        )
        await assign(house, booking_id)
    story = await explain_booking(database, booking_id)
    assert "Zwölfig" not in shown(story) + json.dumps(story_document(story), ensure_ascii=False)


async def test_a_booking_that_does_not_exist_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await explain_booking(database, uuid4())


async def test_a_booking_nobody_looked_at_has_nothing_to_tell(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url) as house:
        booking_id = await house.book(2)
    assert "Nothing is recorded of it." in shown(await explain_booking(database, booking_id))


async def test_looser_strategies_and_relaxed_rules_are_told(database: Database, database_url: str) -> None:
    async with recorded_house(database, database_url, (2, 2, 2)) as house:
        await database.fetch("""UPDATE restaurants SET scoring = '{"relaxations": ["adjacency"], "max_tables": 3}'""")
        middle, pair = await house.book(2), await house.book(4)
        await quote_tables_for_booking(
            house.desk,
            middle,
            now=at_dawn,
            ttl_s=180,
            trigger="manual",
            strategy=Strategy(avoid=frozenset({house.tables["T1"], house.tables["T3"]})),
        )
        await assign(house, pair)
    story = await explain_booking(database, pair)
    [planned] = quotes_of(story)[0].plannings
    assert planned.recorded.outcome.relaxed
    assert "Only with these rules relaxed: adjacency" in shown(story)
