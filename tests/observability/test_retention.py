"""Old events go and leave roll-ups: each event is in the table or in a roll-up, whatever happens in between."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import fmean
from typing import Any
from uuid import UUID, uuid4

import pytest

from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.observability.completeness import completeness
from maitred.observability.event import Event
from maitred.observability.recorder import Recorder, state_event_statement
from maitred.observability.retention import Retained, Rollup, retain, rollups
from maitred.observability.sketch import RELATIVE_ERROR
from maitred.storage.database import Database, Statement
from tests.observability.told import PATIENCE_S, producer_row

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
VENUES = [UUID(int=1), UUID(int=2), None]


def quotes(number: int, since: datetime, days: int, seed: int = 0) -> list[Event]:
    drawn = random.Random(seed)
    made = []
    for _ in range(number):
        success = drawn.random() < 0.7
        made.append(
            events.quote(
                restaurant_id=drawn.choice(VENUES),
                booking_id=uuid4(),
                trigger=drawn.choice(["creation", "loop"]),
                attempt_index=0,
                duration_ms=drawn.lognormvariate(2, 1),
                success=success,
                reason=None if success else ReasonCode.NO_CAPACITY,
                at=since + timedelta(days=drawn.uniform(0, days)),
            )
        )
    return made


async def write(database: Database, told: Sequence[Event]) -> None:
    await database.transact([state_event_statement(event) for event in told])


async def days_left(database: Database) -> set[date]:
    rows = await database.fetch(
        "SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date AS day FROM observability_events"
    )
    return {row["day"] for row in rows}


async def everything(database: Database) -> list[Rollup]:
    return await rollups(database, since=date(2000, 1, 1), until=date(2100, 1, 1))


async def test_whole_days_beyond_the_limit_go_and_the_others_stay(database: Database) -> None:
    await write(database, quotes(300, NOW - timedelta(days=95), 95))
    done = await retain(database, days=90, now=NOW, pause_s=0)
    assert done.finished
    left = await days_left(database)
    assert min(left) == date(2025, 12, 10)  # 90 days before the 10th of March
    assert done.deleted == sum(each.events for each in await everything(database)) > 0
    (row,) = await database.fetch("SELECT count(*) AS n FROM observability_events")
    assert row["n"] + done.deleted == 300


async def test_a_rollup_says_what_the_events_said(database: Database) -> None:
    told = quotes(2_000, NOW - timedelta(days=93), 3)
    await write(database, told)
    await retain(database, days=30, now=NOW, batch=170, pause_s=0)
    found = await everything(database)
    by_group: dict[Any, list[float]] = {}
    for event in told:
        assert event.created_at is not None
        group = (
            event.created_at.date(),
            event.event_type,
            event.source,
            event.context["trigger"],
            event.restaurant_id,
            "true" if event.context["planner_success"] else "false",
        )
        duration = event.context["planner_duration_ms"]
        assert isinstance(duration, float)
        by_group.setdefault(group, []).append(duration)
    assert {tuple(each.group): each.events for each in found} == {group: len(x) for group, x in by_group.items()}
    for each in found:
        exact = sorted(by_group[tuple(each.group)])
        sketch = each.measures["planner_duration_ms"]
        assert (sketch.n, sketch.least, sketch.most) == (len(exact), exact[0], exact[-1])
        assert sketch.mean == pytest.approx(fmean(exact))
        for share in (0.5, 0.95, 0.99):
            rank = int(share * (len(exact) - 1))
            assert sketch.quantile(share) == pytest.approx(exact[rank], rel=RELATIVE_ERROR * 1.000_001)


async def test_every_type_is_counted_and_its_outcome_kept(database: Database) -> None:
    at = NOW - timedelta(days=50)
    named: dict[str, Any] = {"restaurant_id": None, "booking_id": uuid4()}
    await write(
        database,
        [
            events.summary(
                **named,
                trigger="loop",
                result="exhausted",
                attempts_used=3,
                max_attempts=4,
                total_duration_ms=1_500.0,
                at=at,
            ),
            events.attempt(**named, trigger="loop", attempt_index=0, reason=ReasonCode.TIMEOUT, at=at),
            events.exited_already_confirmed(**named, trigger="loop", attempt_index=0, at=at),
        ],
    )
    await retain(database, days=30, now=NOW)
    found = {each.group.event_type: each for each in await everything(database)}
    assert {name: each.group.outcome for name, each in found.items()} == {
        "auto_assign.summary": "exhausted",
        "auto_assign.attempt": "transient.timeout",
        "auto_assign.exited_already_confirmed": None,
    }
    summary = found["auto_assign.summary"].measures
    assert {name: sketch.most for name, sketch in summary.items()} == {"attemptsUsed": 3, "totalDurationMs": 1_500.0}
    assert found["auto_assign.attempt"].measures == {}


async def test_an_event_that_comes_late_is_added_to_its_day(database: Database) -> None:
    told = quotes(40, NOW - timedelta(days=93), 1)
    await write(database, told[:25])
    await retain(database, days=90, now=NOW)
    await write(database, told[25:])
    await retain(database, days=90, now=NOW)
    assert sum(each.events for each in await everything(database)) == 40
    assert sum(each.measures["planner_duration_ms"].n for each in await everything(database)) == 40


async def test_nothing_is_removed_for_ever_at_0_days(database: Database) -> None:
    await write(database, quotes(5, NOW - timedelta(days=2_000), 1))
    assert await retain(database, days=0, now=NOW) == Retained(0, finished=True)
    assert len(await days_left(database)) > 0


async def test_it_goes_in_batches_and_stops_where_it_is_told(database: Database) -> None:
    await write(database, quotes(50, NOW - timedelta(days=93), 2))
    assert await retain(database, days=90, now=NOW, batch=7, pause_s=0, most=20) == Retained(20, finished=False)
    assert await retain(database, days=90, now=NOW, batch=7, pause_s=0) == Retained(30, finished=True)
    assert await retain(database, days=90, now=NOW, batch=7, pause_s=0) == Retained(0, finished=True)


async def test_the_oldest_go_first(database: Database) -> None:
    await write(database, quotes(50, NOW - timedelta(days=99), 9))
    await retain(database, days=90, now=NOW, batch=10, pause_s=0, most=20)
    (left,) = await database.fetch("SELECT min(created_at) AS at FROM observability_events")
    assert max(each.group.day for each in await everything(database)) <= left["at"].astimezone(UTC).date()


async def test_whoever_finds_another_one_at_work_leaves_it_alone(database: Database) -> None:
    await write(database, quotes(5, NOW - timedelta(days=93), 1))
    async with database.session() as session:
        await session.send(
            [Statement("BEGIN", {}), Statement("SELECT pg_advisory_xact_lock(hashtext('maitred_retention'))", {})]
        )
        assert await retain(database, days=90, now=NOW) == Retained(0, finished=False)
        await session.send([Statement("ROLLBACK", {})])
    assert (await retain(database, days=90, now=NOW)).deleted == 5


async def test_several_at_once_count_every_event_once(database: Database) -> None:
    told = quotes(400, NOW - timedelta(days=93), 2)
    await write(database, told)
    await asyncio.gather(*(retain(database, days=90, now=NOW, batch=30, pause_s=0) for _ in range(4)))
    while not (await retain(database, days=90, now=NOW, batch=30, pause_s=0)).finished:
        pass
    assert sum(each.events for each in await everything(database)) == 400
    assert await days_left(database) == set()


async def test_a_broken_off_batch_leaves_everything_as_it_was(database: Database) -> None:
    await write(database, quotes(60, NOW - timedelta(days=93), 1))
    await database.fetch("ALTER TABLE event_rollups ADD CONSTRAINT never CHECK (events > 1000) NOT VALID")
    with pytest.raises(Exception, match="never"):
        await retain(database, days=90, now=NOW)
    (row,) = await database.fetch("SELECT count(*) AS n FROM observability_events")
    assert row["n"] == 60
    await database.fetch("ALTER TABLE event_rollups DROP CONSTRAINT never")
    assert (await retain(database, days=90, now=NOW)).deleted == 60


async def test_cancelled_in_the_middle_nothing_is_lost_or_counted_twice(database: Database) -> None:
    await write(database, quotes(300, NOW - timedelta(days=93), 1))
    for wait_s in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04):
        task = asyncio.create_task(retain(database, days=90, now=NOW, batch=5, pause_s=0))
        await asyncio.sleep(wait_s)
        task.cancel()
        await asyncio.wait({task})
        (row,) = await database.fetch("SELECT count(*) AS n FROM observability_events")
        assert row["n"] + sum(each.events for each in await everything(database)) == 300


@pytest.mark.foreign_events
async def test_a_foreign_rows_text_does_not_get_into_a_rollup(database: Database) -> None:
    at = NOW - timedelta(days=93)
    for event_type in ("auto_assign.quote", "auto_assign.attempt", "someone.elses"):
        for context in (
            '{"trigger": "Ada", "planner_success": "Ada", "reasonCode": "Ada", "planner_duration_ms": "Ada"}',
            "null",
            '"Ada"',
            '{"planner_duration_ms": true}',
        ):
            await database.fetch(
                "INSERT INTO observability_events (created_at, source, event_type, context)"
                " VALUES (%(at)s, 's', %(type)s, %(context)s)",
                {"at": at, "type": event_type, "context": context},
            )
    await retain(database, days=90, now=NOW)
    rows = await database.fetch("SELECT * FROM event_rollups")
    assert Counter(row["event_type"] for row in rows) == {
        "auto_assign.quote": 1,
        "auto_assign.attempt": 1,
        "someone.elses": 1,
    }
    assert {row["events"] for row in rows} == {4}
    assert "Ada" not in repr(rows)
    assert all(row["measures"] == {} for row in rows)


async def test_what_was_removed_is_not_missing_and_a_report_says_what_it_can_not_see(
    database_url: str, database: Database
) -> None:
    recorder = Recorder(database_url, queue_size=100)
    await recorder.start()
    for event in quotes(30, NOW - timedelta(days=93), 3):
        recorder.record_observability_event(event)
    for event in quotes(10, NOW - timedelta(days=1), 1):
        recorder.record_observability_event(event)
    await recorder.close(PATIENCE_S)
    await database.fetch("UPDATE event_producers SET started_at = '2025-01-01Z', last_seen = %(now)s", {"now": NOW})

    done = await retain(database, days=30, now=NOW)
    assert done.deleted == 30
    row = await producer_row(database, recorder.producer.id)
    assert (row["removed"], row["removed_to"]) == (30, 30)
    recent = await completeness(database, since=NOW - timedelta(days=20), until=NOW)
    assert (recent.missing, recent.rolled_up) == (0, 0)
    whole = await completeness(database, since=NOW - timedelta(days=100), until=NOW)
    assert (whole.missing, whole.rolled_up, whole.complete) == (0, 30, False)
    assert "30 events up to 2025-12-" in whole.sentence


async def test_a_process_of_which_nothing_is_left_is_forgotten(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=100)
    await recorder.start()
    for event in quotes(3, NOW - timedelta(days=93), 1):
        recorder.record_observability_event(event)
    await recorder.close(PATIENCE_S)
    await retain(database, days=90, now=NOW)
    assert len(await database.fetch("SELECT 1 FROM event_producers")) == 1  # it was heard of just now
    await database.fetch("UPDATE event_producers SET closed_at = %(then)s", {"then": NOW - timedelta(days=92)})
    await retain(database, days=90, now=NOW)
    assert await database.fetch("SELECT 1 FROM event_producers") == []
