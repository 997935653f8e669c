"""When the database is away, slow or gone for good: nothing accepted is lost without being counted, nobody waits."""

from __future__ import annotations

import asyncio

import pytest

from maitred.observability import event_writer
from maitred.observability.recorder import Recorder
from maitred.storage.database import Database
from tests.observability.told import PATIENCE_S, ids_in, measurement, until, writers
from tests.observability.wire import Wire

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def test_a_database_that_is_never_there_costs_the_callers_nothing() -> None:
    recorder = Recorder(NOWHERE, queue_size=5)
    await recorder.start()
    for _ in range(8):
        recorder.record_observability_event(measurement())
    assert not await recorder.flush(0.1)
    await recorder.close(0.1)
    assert (recorder.accepted, recorder.written) == (5, 0)
    assert recorder.dropped == {"queue_full": 3, "unwritten": 5}


@pytest.mark.parametrize("url", ["not a url at all", "postgresql://nobody@host.invalid/x", f"host={'x' * 300}"])
async def test_an_address_that_leads_nowhere_is_no_error_either(url: str) -> None:
    recorder = Recorder(url, queue_size=5)
    await recorder.start()
    recorder.record_observability_event(measurement())
    await recorder.close(0.3)
    assert recorder.dropped == {"unwritten": 1}


async def test_what_was_recorded_while_the_database_was_away_is_written_when_it_is_back(
    database_url: str, database: Database
) -> None:
    async with Wire(database_url).listening() as wire:
        wire.mode = "refusing"
        recorder = Recorder(wire.url, queue_size=700)
        await recorder.start()
        made = [measurement() for _ in range(707)]
        for event in made:
            recorder.record_observability_event(event)
        assert not await recorder.flush(0.3)
        assert wire.accepted >= 1
        wire.mode = "open"
        assert await recorder.flush(PATIENCE_S)
        await recorder.close()

    assert await ids_in(database) == {event.id for event in made[:700]}
    assert recorder.dropped == {"queue_full": 7}


async def test_a_connection_killed_midway_loses_nothing(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=1_000)
    await recorder.start()
    made = []
    for _ in range(5):
        for _ in range(20):
            made.append(measurement())
            recorder.record_observability_event(made[-1])
        assert await recorder.flush(PATIENCE_S)
        killed = await database.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'maitred-events' AND datname = current_database()"
        )
        assert killed  # there was a connection to kill
    await recorder.close()

    assert await ids_in(database) == {event.id for event in made}
    assert (recorder.written, recorder.dropped) == (100, {})


async def test_a_lost_answer_does_not_write_twice(database_url: str, database: Database) -> None:
    async with Wire(database_url).listening() as wire:
        recorder = Recorder(wire.url, queue_size=100)
        await recorder.start()
        recorder.record_observability_event(first := measurement())
        assert await recorder.flush(PATIENCE_S)

        wire.mode = "deaf"
        recorder.record_observability_event(second := measurement())
        waiting = asyncio.create_task(recorder.flush(PATIENCE_S))

        async def written() -> bool:
            return await ids_in(database) == {first.id, second.id}

        await until(written)  # and the writer doesn't know it
        assert recorder.written == 1
        wire.mode = "open"
        wire.cut()
        assert await waiting
        await recorder.close()

    (row,) = await database.fetch("SELECT count(*) AS n FROM observability_events")
    assert (row["n"], recorder.written, recorder.dropped) == (2, 2, {})


async def test_a_statement_without_an_answer_is_given_up_and_sent_again(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_writer, "_STATEMENT_LIMIT_S", 0.2)
    async with Wire(database_url).listening() as wire:
        recorder = Recorder(wire.url, queue_size=100)
        await recorder.start()
        recorder.record_observability_event(measurement())
        assert await recorder.flush(PATIENCE_S)
        wire.mode = "hanging"
        recorder.record_observability_event(measurement())
        waiting = asyncio.create_task(recorder.flush(PATIENCE_S))
        async with asyncio.timeout(PATIENCE_S):
            await wire.sent.wait()
        connections = wire.accepted

        async def came_again() -> bool:
            return wire.accepted > connections

        await until(came_again)
        wire.mode = "open"
        wire.cut()
        assert await waiting
        await recorder.close()
    assert len(await ids_in(database)) == 2


async def test_closing_is_bounded_when_the_server_never_answers_a_connection(database_url: str) -> None:
    async with Wire(database_url).listening() as wire:
        wire.mode = "hanging"
        recorder = Recorder(wire.url, queue_size=10)
        await recorder.start()
        recorder.record_observability_event(measurement())
        async with asyncio.timeout(PATIENCE_S):
            assert not await recorder.flush(0.2)
            assert wire.accepted == 1
            await recorder.close(0.1)
    assert recorder.dropped == {"unwritten": 1}


async def test_closing_is_bounded_when_the_server_hangs_in_a_statement(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_writer, "_STATEMENT_LIMIT_S", 10_000)
    async with Wire(database_url).listening() as wire:
        recorder = Recorder(wire.url, queue_size=10)
        await recorder.start()
        recorder.record_observability_event(measurement())
        assert await recorder.flush(PATIENCE_S)
        wire.mode = "hanging"
        recorder.record_observability_event(measurement())
        async with asyncio.timeout(PATIENCE_S):
            await recorder.close(0.2)
            assert wire.sent.is_set()
    assert (recorder.written, recorder.dropped) == (1, {"unwritten": 1})
    assert not writers()


async def test_cancelling_a_flush_passes_through_and_leaves_the_writer_at_work(
    database_url: str, database: Database
) -> None:
    async with Wire(database_url).listening() as wire:
        wire.mode = "refusing"
        recorder = Recorder(wire.url, queue_size=10)
        await recorder.start()
        recorder.record_observability_event(measurement())
        waiting = asyncio.create_task(recorder.flush(PATIENCE_S))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        wire.mode = "open"
        assert await recorder.flush(PATIENCE_S)
        await recorder.close()
    assert len(await ids_in(database)) == 1


async def test_cancelling_a_close_passes_through_and_still_ends_the_writer() -> None:
    recorder = Recorder(NOWHERE, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    closing = asyncio.create_task(recorder.close(PATIENCE_S))
    await asyncio.sleep(0.05)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not writers()
    assert recorder.dropped == {"unwritten": 1}


async def test_a_missing_table_is_the_databases_fault_and_not_the_events(database_url: str, database: Database) -> None:
    await database.fetch("ALTER TABLE observability_events RENAME TO elsewhere")
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    assert not await recorder.flush(0.3)
    await database.fetch("ALTER TABLE elsewhere RENAME TO observability_events")
    assert await recorder.flush(PATIENCE_S)
    await recorder.close()
    assert (recorder.written, recorder.dropped) == (1, {})
