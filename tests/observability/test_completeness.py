"""A report knows whether events are missing, whose and how many, and which runs did not leave what they should have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maitred.model.booking import BookingStatus
from maitred.model.reason import ReasonCode
from maitred.observability import events
from maitred.observability.completeness import Completeness, completeness, summary_id
from maitred.observability.event import Event
from maitred.observability.recorder import Recorder, state_event_statement
from maitred.observability.repair import derive_summaries
from maitred.storage.database import Database
from tests.house import House, build_house
from tests.observability.told import PATIENCE_S, measurement

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

_EVENT: LiteralString = """
INSERT INTO observability_events (created_at, source, event_type, context, producer, seq)
SELECT %(at)s, source, event_type, context, %(producer)s, %(seq)s FROM observability_events LIMIT 1
"""
_PRODUCER: LiteralString = """
INSERT INTO event_producers (producer, kind, started_at, last_seen, last_seq, closed_at, removed_to)
VALUES (%(producer)s, 'worker', %(started)s, %(seen)s, %(last)s, %(closed)s, %(removed)s)
"""


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


async def all_of(database: Database) -> Completeness:
    return await completeness(database, since=LONG_AGO, until=tomorrow())


async def test_nothing_recorded_is_complete(database: Database) -> None:
    found = await all_of(database)
    assert found.complete
    assert found.sentence.startswith("Complete: 0 numbered events")


async def test_what_a_recorder_wrote_and_closed_is_complete(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10, kind="demo")
    await recorder.start()
    for _ in range(7):
        recorder.record_observability_event(measurement())
    await recorder.close(30)
    found = await all_of(database)
    assert found.complete
    (producer,) = found.producers
    assert (producer.kind, producer.state, producer.events, producer.missing) == ("demo", "closed", 7, 0)
    assert (
        found.sentence == "Complete: 7 numbered events of 1 process, none missing; 0 ended runs, each with its summary."
    )


async def test_an_open_recorder_with_everything_written_is_complete(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    assert await recorder.flush(PATIENCE_S)
    found = await all_of(database)
    assert (found.complete, found.producers[0].state) == (True, "open")
    assert "1 process still open, last heard of 0 s ago." in found.sentence
    await recorder.close()


async def test_dropped_events_are_told_with_their_reason(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=3, kind="worker")
    for _ in range(5):
        recorder.record_observability_event(measurement())
    await recorder.start()
    await recorder.close(30)
    found = await all_of(database)
    assert not found.complete
    assert (found.missing, dict(found.producers[0].dropped)) == (2, {"queue_full": 2})
    name = f"worker {recorder.producer.id.hex[:8]}"
    assert found.sentence == f"Incomplete: 2 events of {name} missing (queue_full 2)."


async def test_a_row_that_somebody_deleted_is_missed(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    for _ in range(5):
        recorder.record_observability_event(measurement())
    await recorder.close(30)
    await database.fetch("DELETE FROM observability_events WHERE seq IN (1, 4)")
    assert (await all_of(database)).missing == 2


async def test_events_on_their_way_are_told_from_those_that_are_lost(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    assert await recorder.flush(PATIENCE_S)
    for _ in range(3):
        recorder.record_observability_event(measurement())
    await recorder._writer.write((), recorder._progress)  # it has told of them, and not yet written them
    found = await all_of(database)
    (producer,) = found.producers
    assert (producer.state, producer.missing, producer.on_their_way) == ("open", 3, 3)
    assert "on the way" in found.sentence
    await recorder.close(30)
    assert (await all_of(database)).complete


async def produced(
    database: Database,
    numbers: Sequence[tuple[int, datetime]],
    *,
    last: int,
    started: datetime = LONG_AGO,
    seen: datetime | None = None,
    closed: datetime | None = None,
    removed: int = 0,
) -> UUID:
    """Rows as a producer of another time left them."""
    producer = uuid4()
    await database.transact([state_event_statement(measurement())])
    for number, at in numbers:
        await database.fetch(_EVENT, {"at": at, "producer": producer, "seq": number})
    await database.fetch("DELETE FROM observability_events WHERE producer IS NULL")
    row = {
        "producer": producer,
        "started": started,
        "seen": seen or datetime.now(UTC),
        "last": last,
        "closed": closed,
        "removed": removed,
    }
    await database.fetch(_PRODUCER, row)
    return producer


def day(number: int) -> datetime:
    return LONG_AGO + timedelta(days=number)


async def test_a_process_that_fell_silent_makes_its_time_incomplete_and_no_other(database: Database) -> None:
    await produced(database, [(1, day(1)), (2, day(2))], last=2, seen=day(2))
    found = await completeness(database, since=day(0), until=day(10))
    assert (found.complete, found.missing, found.producers[0].state) == (False, 0, "silent")
    assert "ended without closing after 2020-01-03 00:00:00 UTC" in found.sentence
    assert (await completeness(database, since=day(3), until=day(10))).complete
    assert (await completeness(database, since=day(-9), until=day(0))).complete


async def test_a_gap_counts_for_the_window_it_lies_in_and_for_its_neighbours_edges(database: Database) -> None:
    times = [(1, day(1)), (2, day(2)), (5, day(5)), (6, day(6)), (7, day(7)), (8, day(8))]
    await produced(database, times, last=8, closed=day(8))

    async def missing(since: int, until: int) -> int:
        return (await completeness(database, since=day(since), until=day(until))).missing

    assert await missing(0, 9) == 2
    assert await missing(2, 6) == 2
    assert await missing(3, 4) == 2  # no event of its own, and the gap lies around it
    assert await missing(1, 3) == 2  # before or after the edge: nobody can tell
    assert await missing(6, 9) == 0
    assert await missing(1, 2) == 0
    assert await missing(20, 30) == 0


async def test_what_retention_removed_is_not_missing(database: Database) -> None:
    await produced(database, [(5, day(5)), (6, day(6))], last=6, closed=day(6), removed=4)
    assert (await all_of(database)).complete


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_every_missing_number_is_counted(data: st.DataObject, database: Database) -> None:
    last = data.draw(st.integers(0, 12), "last")
    there = sorted(data.draw(st.sets(st.integers(1, max(last, 1))), "there")) if last else []
    removed = data.draw(st.integers(0, last), "removed")
    there = [number for number in there if number > removed]
    await database.fetch("TRUNCATE observability_events, event_producers")
    await produced(database, [(n, day(n)) for n in there], last=last, closed=day(last), removed=removed)
    found = await all_of(database)
    assert found.missing == last - removed - len(there)
    assert found.complete == (found.missing == 0)

    since = data.draw(st.integers(-1, 13), "since")
    until = data.draw(st.integers(since + 1, 14), "until")
    found = await completeness(database, since=day(since), until=day(until))
    inside = [n for n in range(max(since, removed + 1, 1), min(until, last + 1)) if n not in there]
    assert found.missing >= len(inside)  # those at the edges may be counted too, none left out
    if since <= 0 and until > last:
        assert found.missing == last - removed - len(there)


async def test_events_of_a_process_that_nobody_knows_are_not_called_complete(
    database_url: str, database: Database
) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    for _ in range(3):
        recorder.record_observability_event(measurement())
    await recorder.close(30)
    assert (await all_of(database)).complete
    await database.fetch("DELETE FROM event_producers")
    await database.fetch("UPDATE observability_events SET created_at = created_at - interval '1 hour'")
    found = await all_of(database)
    assert not found.complete
    (producer,) = found.producers
    assert (producer.events, producer.missing, producer.state) == (3, 0, "silent")
    assert "its last events unknown" in found.sentence


async def test_measurements_without_a_number_can_not_be_vouched_for(database: Database) -> None:
    await database.transact([state_event_statement(measurement())])
    found = await all_of(database)
    assert (found.complete, found.unnumbered) == (False, 1)
    assert "1 measurement without a number" in found.sentence


async def test_events_that_state_a_change_need_no_number(database: Database) -> None:
    booking = uuid4()
    await database.transact(
        [state_event_statement(event) for event in (_started(booking), _summary(booking, datetime.now(UTC)))]
    )
    assert (await all_of(database)).complete


# Runs


def _started(booking_id: UUID, at: datetime | None = None) -> Event:
    return events.started(
        restaurant_id=None, booking_id=booking_id, status=BookingStatus.PENDING, trigger="creation", at=at
    )


def _summary(booking_id: UUID, at: datetime) -> Event:
    return events.summary(
        restaurant_id=None,
        booking_id=booking_id,
        trigger="creation",
        result="succeeded",
        attempts_used=1,
        max_attempts=4,
        total_duration_ms=1.0,
        at=at,
    )


@pytest.fixture
async def house(database: Database) -> House:
    return await build_house(database)


_RUN: LiteralString = """
INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, expected_attempt, party_size, due_at,
                  created_at, started_at, ended_at, result, skipped_initial, inline_skip_reason, hard_stop_reason)
SELECT %(id)s, restaurant_id, id, 'creation', 2, 4, %(attempt)s, party_size, %(due)s, %(created)s, %(created)s,
       %(ended)s, %(result)s, %(skipped)s, %(skip_reason)s, %(hard)s
  FROM bookings WHERE id = %(booking)s
"""


async def a_run(house: House, *, ended: bool, ago_h: float = 2.0, **columns: Any) -> UUID:
    run_id, now = uuid4(), datetime.now(UTC)
    row = {
        "id": run_id,
        "booking": await house.book(2),
        "attempt": 1,
        "due": now - timedelta(hours=ago_h),
        "created": now - timedelta(hours=ago_h, seconds=10),
        "ended": now - timedelta(hours=ago_h) if ended else None,
        "result": "exhausted" if ended else None,
        "skipped": False,
        "skip_reason": None,
        "hard": None,
    }
    await house.database.fetch(_RUN, {**row, **columns})
    return run_id


async def test_an_ended_run_without_its_summary_is_missed_and_derived(house: House) -> None:
    run_id = await a_run(house, ended=True, hard="hard.no_capacity")
    found = await all_of(house.database)
    assert (found.complete, found.runs_ended, found.summaries_missing) == (False, 1, (run_id,))
    assert "1 of 1 ended run without a summary" in found.sentence

    assert await derive_summaries(house.database, found.summaries_missing) == 1
    assert await derive_summaries(house.database, found.summaries_missing) == 0
    assert (await all_of(house.database)).complete
    (row,) = await house.database.fetch("SELECT * FROM observability_events")
    (run,) = await house.database.fetch("SELECT * FROM runs")
    assert (row["id"], row["derived"], row["created_at"]) == (summary_id(run_id), True, run["ended_at"])
    assert row["context"] == {
        "attemptsUsed": 2,
        "maxAttempts": 4,
        "result": "exhausted",
        "totalDurationMs": 10_000,
        "trigger": "creation",
        "skippedInitialAttempt": False,
        "inlineSkipReason": None,
        "hardStopReason": "hard.no_capacity",
        "inline_attempt_id": None,
        "inline_reason": None,
        "inline_trigger": None,
    }


@pytest.mark.parametrize(
    ("columns", "used"),
    [
        ({"attempt": 0}, 1),
        ({"attempt": 1, "skipped": True, "skip_reason": ReasonCode.NO_CAPACITY.value}, 1),
        ({"attempt": 2, "hard": ReasonCode.SUPERSEDED.value}, 2),
    ],
)
async def test_a_derived_summary_counts_the_attempts_that_were_made(
    columns: dict[str, Any], used: int, house: House
) -> None:
    run_id = await a_run(house, ended=True, **columns)
    assert await derive_summaries(house.database, [run_id]) == 1
    (row,) = await house.stored_events("auto_assign.summary")
    assert isinstance(row["context"], dict)
    assert row["context"]["attemptsUsed"] == used


async def test_a_summary_is_recognised_wherever_in_time_it_stands(house: House) -> None:
    from dataclasses import replace

    run_id = await a_run(house, ended=True)
    (booking,) = await house.database.fetch("SELECT booking_id AS id FROM runs")
    event = replace(_summary(booking["id"], LONG_AGO), id=summary_id(run_id))
    await house.database.transact([state_event_statement(event)])
    assert (await all_of(house.database)).complete


async def test_anothers_summary_is_not_taken_for_a_runs_own(house: House) -> None:
    run_id = await a_run(house, ended=True)
    await house.database.transact([state_event_statement(_summary(uuid4(), datetime.now(UTC) - timedelta(hours=2)))])
    assert (await all_of(house.database)).summaries_missing == (run_id,)


async def test_a_run_that_should_have_gone_on_is_overdue(house: House) -> None:
    await a_run(house, ended=False, ago_h=1)
    await a_run(house, ended=False, ago_h=0.1)
    await a_run(house, ended=False, ago_h=-5)
    found = await all_of(house.database)
    assert (found.complete, found.runs_overdue) == (False, 1)
    assert "1 run overdue without an end" in found.sentence


def _quote(booking_id: UUID, at: datetime, **more: Any) -> Event:
    told: dict[str, Any] = {"trigger": "creation", "attempt_index": 0, "duration_ms": 1.0, "success": False, **more}
    return events.quote(restaurant_id=None, booking_id=booking_id, at=at, **told)


def _attempt(booking_id: UUID, at: datetime) -> Event:
    return events.attempt(
        restaurant_id=None, booking_id=booking_id, trigger="creation", attempt_index=0, reason=None, at=at
    )


async def courses(database: Database, *told: Event) -> Completeness:
    await database.transact([state_event_statement(event) for event in told])
    await database.fetch(
        "UPDATE observability_events e SET producer = gen_random_uuid(), seq = 1"
        " WHERE event_type NOT IN ('auto_assign.started', 'auto_assign.summary')"
    )
    await database.fetch(
        "INSERT INTO event_producers (producer, kind, started_at, last_seq, accepted, closed_at)"
        " SELECT producer, 'other', created_at, 1, 1, clock_timestamp() FROM observability_events"
        " WHERE producer IS NOT NULL"
    )
    return await all_of(database)


async def test_of_a_booking_the_last_that_was_heard_tells_what_is_missing(database: Database) -> None:
    at = datetime.now(UTC) - timedelta(hours=2)
    after = at + timedelta(seconds=1)
    unfollowed, unended, ended, looked, over, recent = (uuid4() for _ in range(6))
    found = await courses(
        database,
        _started(unfollowed, at),
        _quote(unfollowed, after),
        _quote(unended, at),
        _attempt(unended, after),
        _quote(ended, at),
        _attempt(ended, after),
        _summary(ended, after + timedelta(seconds=1)),
        _quote(looked, at, trigger="manual"),
        _quote(over, at, reason=ReasonCode.NOT_PENDING),
        _quote(recent, datetime.now(UTC)),
    )
    assert (found.quotes_unfollowed, found.runs_unended) == ((unfollowed,), (unended,))
    assert not found.complete
    assert "1 run broken off without an end; 1 quote without an attempt" in found.sentence


async def test_clocks_that_differ_a_little_break_off_nothing(database: Database) -> None:
    at, booking = datetime.now(UTC) - timedelta(hours=2), uuid4()
    found = await courses(database, _summary(booking, at), _quote(booking, at + timedelta(seconds=50)))
    assert found.complete


async def test_a_run_that_waits_in_its_row_is_not_broken_off(house: House) -> None:
    await a_run(house, ended=False, ago_h=-5)
    (booking,) = await house.database.fetch("SELECT booking_id AS id FROM runs")
    found = await courses(house.database, _started(booking["id"], datetime.now(UTC) - timedelta(hours=3)))
    assert found.complete


async def test_a_report_on_one_restaurant_leaves_out_the_runs_of_others(house: House) -> None:
    await a_run(house, ended=True)
    await a_run(house, ended=False)
    found = await completeness(house.database, since=LONG_AGO, until=tomorrow(), restaurant_id=uuid4())
    assert (found.complete, found.runs_ended) == (True, 0)
    found = await completeness(house.database, since=LONG_AGO, until=tomorrow(), restaurant_id=house.restaurant_id)
    assert (len(found.summaries_missing), found.runs_overdue) == (1, 1)


@pytest.mark.parametrize(
    ("since", "until"),
    [(day(1), day(1)), (day(2), day(1)), (day(1).replace(tzinfo=None), day(2)), (day(1), day(2).replace(tzinfo=None))],
)
async def test_a_window_needs_instants_and_a_length(since: datetime, until: datetime, database: Database) -> None:
    with pytest.raises(ValueError, match="window"):
        await completeness(database, since=since, until=until)


async def test_a_spilled_process_is_complete_once_its_file_is_loaded(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = Recorder(database_url, queue_size=10, spill_dir=tmp_path)
    recorder.record_observability_event(measurement())
    await recorder.close(0)
    assert recorder.spilled == 1
    next_start = Recorder(database_url, queue_size=10, spill_dir=tmp_path)
    await next_start.start()
    assert await next_start.wait_for_spills(PATIENCE_S)
    await next_start.close(30)
    found = await all_of(database)
    assert (found.complete, len(found.producers)) == (True, 2)
