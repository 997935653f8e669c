"""The recorder takes events without ever troubling its caller, and writes or counts every one of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from maitred.observability import events
from maitred.observability.encoding import encode
from maitred.observability.events import Event, Severity
from maitred.observability.recorder import EventSink, NullRecorder, Recorder
from maitred.storage.database import Database
from tests.observability.told import ids_in, measurement, until, writers

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"

anything: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.builds(object),
    st.builds(
        Event,
        source=st.text() | st.none(),
        event_type=st.text(),
        severity=st.sampled_from(Severity) | st.text(),
        context=st.none() | st.dictionaries(st.text(), st.floats() | st.text() | st.binary() | st.builds(object)),
    ),
)


@given(handed_in=st.lists(anything), size=st.integers(1, 8), closed=st.booleans())
def test_recording_never_raises_and_counts_what_it_drops(handed_in: list[Any], size: int, closed: bool) -> None:
    recorder = Recorder(NOWHERE, queue_size=size)
    if closed:
        asyncio.run(recorder.close(0))

    for each in handed_in:
        recorder.record_observability_event(each)

    taken = 0 if closed else min(size, len(handed_in))
    assert recorder.accepted == taken
    assert recorder.dropped.get("closed" if closed else "queue_full", 0) == len(handed_in) - taken
    assert sum(recorder.dropped.values()) == len(handed_in) - taken


async def test_events_arrive_as_they_were_recorded(database_url: str, database: Database) -> None:
    event = events.attempt_error(
        restaurant_id=uuid4(),
        booking_id=uuid4(),
        trigger="loop",
        attempt_index=3,
        error=TimeoutError("of Ada Guest"),
        at=datetime(2025, 11, 6, 18, 30, 0, 123_456, tzinfo=UTC),
    )
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(event)
    assert await recorder.flush(30)
    await recorder.close()

    (row,) = await database.fetch("SELECT * FROM observability_events")
    assert row == {
        "id": event.id,
        "source": "auto_assign",
        "event_type": "auto_assign.attempt_error",
        "severity": "warning",
        "context": {"attempt_index": 3, "error": "TimeoutError", "reasonCode": None, "trigger": "loop"},
        "restaurant_id": event.restaurant_id,
        "booking_id": event.booking_id,
        "created_at": event.created_at,
        "producer": recorder.producer.id,
        "seq": 1,
        "version": 1,
        "derived": False,
    }


async def test_without_a_moment_of_its_own_an_event_gets_that_of_its_recording(
    database_url: str, database: Database
) -> None:
    recorder = Recorder(database_url, queue_size=10)
    before = datetime.now(UTC)
    recorder.record_observability_event(measurement())
    after = datetime.now(UTC)
    await asyncio.sleep(0.05)
    await recorder.start()
    assert await recorder.flush(30)
    await recorder.close()

    (row,) = await database.fetch("SELECT created_at FROM observability_events")
    assert before <= row["created_at"] <= after


async def test_unasked_the_writer_comes_by_in_a_moment(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())

    async def written() -> bool:
        return len(await ids_in(database)) == 1

    await until(written)
    await recorder.close()


async def test_when_full_the_newest_is_dropped_and_counted(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    made = [measurement() for _ in range(15)]
    for event in made:
        recorder.record_observability_event(event)
    await recorder.start()
    assert await recorder.flush(30)
    recorder.record_observability_event(last := measurement())
    assert await recorder.flush(30)
    await recorder.close()

    assert await ids_in(database) == {event.id for event in [*made[:10], last]}
    assert recorder.dropped == {"queue_full": 5}
    assert (recorder.accepted, recorder.written) == (11, 11)


async def test_many_events_go_in_several_batches(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=5_000)
    for _ in range(1_234):
        recorder.record_observability_event(measurement())
    await recorder.start()
    await recorder.close(30)
    assert len(await ids_in(database)) == recorder.written == 1_234
    assert recorder.dropped == {}


async def test_closing_writes_what_is_left_and_takes_nothing_more(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(kept := measurement())
    await recorder.close(30)
    recorder.record_observability_event(measurement())
    await recorder.close(30)

    assert await ids_in(database) == {kept.id}
    assert recorder.dropped == {"closed": 1}
    with pytest.raises(RuntimeError):
        await recorder.start()


def _poison() -> dict[str, tuple[Any, str]]:
    """What can't be written, and the reason under which it is counted."""
    return {
        "an unknown type": (Event("auto_assign", "auto_assign.gossip", Severity.INFO, {}), "unregistered"),
        "a NUL in the type": (Event("s", "a\0b", Severity.INFO, {}), "unregistered"),
        "no context": (Event("s", "auto_assign.quote", Severity.INFO, None), "invalid"),  # type: ignore[arg-type]  # that is the point
        "an id that is none": (replace(measurement(), id="no id"), "refused"),  # type: ignore[arg-type]  # that is the point
        "no event": ("auto_assign.quote", "invalid"),
        "nothing": (None, "invalid"),
    }


@pytest.mark.parametrize("name", _poison())
async def test_a_poisoned_event_does_not_hold_up_the_others(name: str, database_url: str, database: Database) -> None:
    poisoned, reason = _poison()[name]
    good = [measurement() for _ in range(13)]
    recorder = Recorder(database_url, queue_size=100)
    for event in [*good[:6], poisoned, *good[6:], poisoned]:
        recorder.record_observability_event(event)
    await recorder.start()
    assert await recorder.flush(30)
    await recorder.close()

    assert await ids_in(database) == {event.id for event in good}
    assert (recorder.accepted, recorder.written, recorder.dropped) == (15, 13, {reason: 2})


async def test_an_event_recorded_twice_is_one_row(database_url: str, database: Database) -> None:
    event = measurement()
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    for _ in range(2):
        recorder.record_observability_event(event)
        assert await recorder.flush(30)
    await recorder.close()
    assert await ids_in(database) == {event.id}


async def test_a_recorder_leaves_no_task_and_no_connection(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    await recorder.close(30)

    assert not writers()

    async def gone() -> bool:  # the server takes note of a closed connection in its own time
        return await _writers_connections(database) == 0

    await until(gone)


async def _writers_connections(database: Database) -> int:
    (row,) = await database.fetch(
        "SELECT count(*) AS n FROM pg_stat_activity"
        " WHERE application_name = 'maitred-events' AND datname = current_database()"
    )
    found: int = row["n"]
    return found


async def test_a_null_recorder_is_a_recorder_that_keeps_nothing() -> None:
    recorder = NullRecorder()
    sink: EventSink = recorder
    await recorder.start()
    sink.record_observability_event(measurement())
    assert await recorder.flush()
    await recorder.close()
    assert (recorder.accepted, recorder.written, recorder.dropped) == (0, 0, {})


def test_the_writers_json_is_one_line_of_ascii() -> None:
    text = encode(measurement(), 1_000_000_000_250_000_999, "p", 7)
    assert text.isascii()
    assert "\n" not in text
    row = json.loads(text)
    assert (row["created_at"], row["producer"], row["seq"]) == ("2001-09-09T01:46:40.250000+00:00", "p", 7)


def test_what_was_put_together_by_hand_is_looked_through() -> None:
    event = Event("elsewhere", "auto_assign.started", "loud", {"status": "Ada", "trigger": "loop", "note": "Ada"})  # type: ignore[arg-type]  # that is the point
    row = json.loads(encode(event, 0, "p", 1))
    assert (row["source"], row["severity"]) == ("auto_assign", "info")
    assert row["context"] == {"status": None, "trigger": "loop"}


async def test_a_log_that_can_not_be_written_does_not_end_the_writer(database_url: str) -> None:
    class Broken:
        def msg(self, message: str) -> None:
            raise ValueError(message)

        warning = info = msg

    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    structlog.configure(logger_factory=lambda *_: Broken())
    try:
        recorder.record_observability_event(None)  # type: ignore[arg-type]  # that is the point
        recorder.record_observability_event(measurement())
        await recorder.close(30)
    finally:
        structlog.reset_defaults()
    assert (recorder.written, recorder.dropped) == (1, {"invalid": 1})
