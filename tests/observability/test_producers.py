"""Every event has a number, and the database knows how far each process got: also one that was forked, told to end,
or killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from maitred.observability import recorder as recorder_module
from maitred.observability.ending import ended_by_sigterm
from maitred.observability.recorder import Recorder, state_event_statement
from maitred.storage.database import Database
from tests.observability.told import PATIENCE_S, ids_in, measurement, producer_row, until
from tests.observability.wire import Wire

ROOT = Path(__file__).parents[2]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def numbers(database: Database, producer: UUID) -> list[int]:
    rows = await database.fetch(
        "SELECT seq FROM observability_events WHERE producer = %(id)s ORDER BY seq", {"id": producer}
    )
    return [row["seq"] for row in rows]


async def test_a_producer_is_known_before_it_has_recorded_anything(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10, kind="worker")
    await recorder.start()

    async def known() -> bool:
        return bool(await database.fetch("SELECT 1 FROM event_producers"))

    await until(known)
    row = await producer_row(database, recorder.producer.id)
    assert (row["kind"], row["last_seq"], row["accepted"], row["closed_at"]) == ("worker", 0, 0, None)
    assert row["started_at"] <= datetime.now(UTC)
    await recorder.close(30)
    assert (await producer_row(database, recorder.producer.id))["closed_at"] is not None


async def test_dropped_events_have_numbers_too_so_that_a_gap_is_seen(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=3)
    for _ in range(5):
        recorder.record_observability_event(measurement())
    await recorder.start()
    assert await recorder.flush(PATIENCE_S)
    recorder.record_observability_event(measurement())
    await recorder.close(30)

    assert await numbers(database, recorder.producer.id) == [1, 2, 3, 6]
    row = await producer_row(database, recorder.producer.id)
    assert (row["last_seq"], row["accepted"], row["dropped"]) == (6, 4, {"queue_full": 2})


async def test_the_database_knows_why_a_number_is_missing(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    recorder.record_observability_event(None)  # type: ignore[arg-type]  # that is the point
    recorder.record_observability_event(measurement())
    await recorder.close(30)
    assert await numbers(database, recorder.producer.id) == [1, 3]
    assert (await producer_row(database, recorder.producer.id))["dropped"] == {"invalid": 1}


async def test_progress_and_events_are_written_together_or_not_at_all(database_url: str, database: Database) -> None:
    await database.fetch("ALTER TABLE event_producers RENAME TO elsewhere")
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(measurement())
    assert not await recorder.flush(0.3)
    assert await ids_in(database) == set()
    await database.fetch("ALTER TABLE elsewhere RENAME TO event_producers")
    assert await recorder.flush(PATIENCE_S)
    assert (await producer_row(database, recorder.producer.id))["last_seq"] == 1
    await recorder.close()


async def test_an_idle_recorder_is_heard_of(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "HEARTBEAT_S", 0.05)
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()

    async def heard_again() -> bool:
        rows = await database.fetch("SELECT 1 FROM event_producers WHERE last_seen > started_at + interval '0.8 s'")
        return bool(rows)

    await until(heard_again)
    await recorder.close()


async def test_an_event_that_its_transaction_has_written_already_gives_its_row_the_number(
    database_url: str, database: Database
) -> None:
    event = measurement()
    await database.transact([state_event_statement(event)])
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    recorder.record_observability_event(replace(measurement(), id=event.id))
    recorder.record_observability_event(measurement())
    await recorder.close(30)
    assert (recorder.written, recorder.dropped) == (2, {})
    assert await numbers(database, recorder.producer.id) == [1, 2]
    (row,) = await database.fetch("SELECT * FROM observability_events WHERE seq = 1")
    assert (row["id"], row["booking_id"], row["context"]) == (event.id, event.booking_id, event.context)


async def test_one_event_twice_in_a_batch_is_one_row_and_holds_up_nothing(
    database_url: str, database: Database
) -> None:
    recorder = Recorder(database_url, queue_size=10)
    recorder.record_observability_event(event := measurement())
    recorder.record_observability_event(event)
    recorder.record_observability_event(measurement())
    await recorder.start()
    await recorder.close(PATIENCE_S)
    assert await numbers(database, recorder.producer.id) == [1, 3]


async def test_what_an_older_message_says_does_not_undo_a_newer_one(database_url: str, database: Database) -> None:
    recorder = Recorder(database_url, queue_size=10)
    await recorder.start()
    old = recorder._progress()
    for _ in range(3):
        recorder.record_observability_event(measurement())
    assert await recorder.flush(PATIENCE_S)
    await recorder._writer.write((), lambda: old)
    assert (await producer_row(database, recorder.producer.id))["last_seq"] == 3
    await recorder.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # that threads don't come along is no harm here
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
async def test_a_forked_child_is_another_producer_and_takes_nothing_along(
    database_url: str, database: Database
) -> None:
    recorder = Recorder(database_url, queue_size=100)
    await recorder.start()
    recorder.record_observability_event(measurement())
    assert await recorder.flush(PATIENCE_S)
    for _ in range(3):
        recorder.record_observability_event(measurement())  # waiting in memory while the process forks
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # the child must leave by os._exit, whatever happens
        try:
            told: list[object] = [recorder.accepted, recorder.written, len(recorder._queue), recorder._task is None]
            recorder.record_observability_event(measurement())
            told += [recorder.accepted, recorder._last_seq]
            asyncio.set_event_loop(None)
            asyncio.run(_start_and_close(recorder))
            told += [recorder.written, str(recorder.producer.id)]
            os.write(writing, repr(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = await asyncio.to_thread(os.read, reading, 1_000)
    os.close(reading)
    await asyncio.to_thread(os.waitpid, child, 0)
    *counts, child_producer = said.decode().strip("[]").split(", ")

    assert counts == ["0", "0", "0", "True", "1", "1", "1"]
    assert UUID(child_producer.strip("'")) != recorder.producer.id
    recorder.record_observability_event(measurement())
    await recorder.close(30)
    assert (recorder.written, recorder.dropped) == (5, {})
    assert await numbers(database, recorder.producer.id) == [1, 2, 3, 4, 5]
    assert await numbers(database, UUID(child_producer.strip("'"))) == [1]


async def _start_and_close(recorder: Recorder) -> None:
    await recorder.start()
    await recorder.close(30)


@asynccontextmanager
async def process(url: str, folder: Path, events: int) -> AsyncIterator[tuple[Process, UUID]]:
    """A process that has recorded so many events, and its producer."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.observability.recording_process",
        url,
        str(folder),
        str(events),
        cwd=ROOT,
        stdout=PIPE,
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            word, producer = (await running.stdout.readline()).split()
        assert word == b"recorded"
        yield running, UUID(producer.decode())
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def last_words(running: Process) -> list[int]:
    assert running.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        said = (await running.stdout.read()).decode()
        await running.wait()
    word, *counts = said.splitlines()[-1].split()  # log lines come before
    assert word == "closed"
    return [int(each) for each in counts]


async def test_sigterm_ends_a_process_that_has_written_everything(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with process(database_url, tmp_path, 40) as (running, producer):
        running.send_signal(signal.SIGTERM)
        assert await last_words(running) == [40, 0, 0]
        assert running.returncode == 143
    assert await numbers(database, producer) == list(range(1, 41))
    assert (await producer_row(database, producer))["closed_at"] is not None


async def test_sigterm_while_the_server_hangs_spills_and_the_next_start_writes(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with Wire(database_url).listening() as wire:
        wire.mode = "hanging"
        async with process(wire.url, tmp_path, 40) as (running, producer):
            running.send_signal(signal.SIGTERM)
            assert await last_words(running) == [0, 40, 0]
            assert running.returncode == 143
        wire.mode = "open"
        async with process(wire.url, tmp_path, 0) as (running, _):
            await last_words(running)
            assert running.returncode == 0
    assert await numbers(database, producer) == list(range(1, 41))


async def test_kill_9_loses_what_was_not_written_and_the_producer_stays_open(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with process(database_url, tmp_path, 40) as (running, producer):

        async def written() -> bool:
            return len(await numbers(database, producer)) == 40

        await until(written)
        running.kill()
        await running.wait()
    row = await producer_row(database, producer)
    assert (row["last_seq"], row["closed_at"]) == (40, None)
    assert is_empty(tmp_path)


async def test_sigterm_is_left_to_whoever_handles_it_already() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with ended_by_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_sigterm_is_a_cancellation_and_then_an_exit() -> None:
    cleaned_up: list[str] = []

    async def work() -> None:
        with ended_by_sigterm():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(PATIENCE_S)
            finally:
                await asyncio.sleep(0)
                cleaned_up.append("all")

    told: list[int] = []

    async def run() -> None:
        try:
            await work()
        except SystemExit as ending:
            told.append(ending.code if isinstance(ending.code, int) else -1)

    await asyncio.create_task(run())
    assert (cleaned_up, told) == (["all"], [143])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_another_cancellation_stays_one() -> None:
    async def work() -> None:
        with ended_by_sigterm():
            await asyncio.sleep(PATIENCE_S)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
