"""What could not be written is kept in a file, and the next start writes it: once, whatever happened in between."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from uuid import UUID

import pytest

from maitred.observability.recorder import Recorder
from maitred.observability.spill import default_spill_dir, spill, spill_folder, spilled_files
from maitred.storage.database import Database
from tests.observability.told import PATIENCE_S, ids_in, measurement, producer_row, until
from tests.observability.wire import Wire

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def left_behind(url: str, folder: Path, events: int = 3, queue_size: int = 100) -> Recorder:
    """A recorder that was closed while its database was away."""
    recorder = Recorder(url, queue_size=queue_size, spill_dir=folder)
    async with Wire(url).listening() as wire:
        wire.mode = "refusing"
        recorder._writer._url = wire.url  # the same database to the spill file, another way to it
        await recorder.start()
        for _ in range(events):
            recorder.record_observability_event(measurement())
        await recorder.close(0.1)
    return recorder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def load(url: str, folder: Path) -> None:
    """A start that loads what is there."""
    recorder = Recorder(url, queue_size=100, spill_dir=folder)
    await recorder.start()

    async def loaded() -> bool:
        return not any(path.suffix == ".spill" for path in files(folder))

    await until(loaded)
    await recorder.close(30)


async def test_what_could_not_be_written_is_spilled_and_the_next_start_writes_it(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = await left_behind(database_url, tmp_path)
    assert (recorder.accepted, recorder.written, recorder.spilled, recorder.dropped) == (3, 0, 3, {})
    assert await ids_in(database) == set()

    await load(database_url, tmp_path)
    assert len(await ids_in(database)) == 3
    row = await producer_row(database, recorder.producer.id)
    assert (row["last_seq"], row["accepted"], row["spilled"], row["dropped"]) == (3, 3, 3, {})
    assert row["closed_at"] is not None


async def test_only_the_owner_can_read_the_file(database_url: str, tmp_path: Path) -> None:
    await left_behind(database_url, tmp_path / "inner")
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_batch_in_flight_when_the_server_hangs_is_spilled_too(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with Wire(database_url).listening() as wire:
        recorder = Recorder(wire.url, queue_size=100, spill_dir=tmp_path)
        await recorder.start()
        recorder.record_observability_event(measurement())
        assert await recorder.flush(PATIENCE_S)
        wire.mode = "hanging"
        for _ in range(5):
            recorder.record_observability_event(measurement())
        async with asyncio.timeout(PATIENCE_S):
            await wire.sent.wait()
        for _ in range(2):
            recorder.record_observability_event(measurement())
        await recorder.close(0.2)
        assert (recorder.written, recorder.spilled, recorder.dropped) == (1, 7, {})
        wire.mode = "open"
        await load(wire.url, tmp_path)
    assert len(await ids_in(database)) == 8


async def test_events_whose_answer_was_lost_are_spilled_and_not_written_twice(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with Wire(database_url).listening() as wire:
        recorder = Recorder(wire.url, queue_size=100, spill_dir=tmp_path)
        await recorder.start()
        recorder.record_observability_event(measurement())
        assert await recorder.flush(PATIENCE_S)
        wire.mode = "deaf"
        recorder.record_observability_event(measurement())

        async def written() -> bool:
            return len(await ids_in(database)) == 2

        await until(written)
        await recorder.close(0.1)
        assert (recorder.written, recorder.spilled) == (1, 1)
        wire.mode = "open"
        await load(wire.url, tmp_path)
    assert len(await ids_in(database)) == 2
    row = await producer_row(database, recorder.producer.id)
    assert (row["last_seq"], row["spilled"]) == (2, 1)


async def test_what_a_recorder_dropped_before_it_spilled_is_known_after_loading(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = await left_behind(database_url, tmp_path, events=8, queue_size=5)
    assert (recorder.spilled, recorder.dropped) == (5, {"queue_full": 3})
    await load(database_url, tmp_path)
    row = await producer_row(database, recorder.producer.id)
    assert (row["last_seq"], row["accepted"], row["dropped"]) == (8, 5, {"queue_full": 3})


async def test_a_recorder_that_wrote_all_but_could_not_say_goodbye_leaves_its_goodbye(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with Wire(database_url).listening() as wire:
        recorder = Recorder(wire.url, queue_size=100, spill_dir=tmp_path)
        await recorder.start()
        recorder.record_observability_event(measurement())
        assert await recorder.flush(PATIENCE_S)
        wire.mode = "hanging"
        await recorder.close(0.1)
        assert (await producer_row(database, recorder.producer.id))["closed_at"] is None
        wire.mode = "open"
        await load(wire.url, tmp_path)
    assert (await producer_row(database, recorder.producer.id))["closed_at"] is not None


async def test_without_a_folder_what_is_left_is_counted_as_unwritten() -> None:
    recorder = Recorder(NOWHERE, queue_size=5)
    await recorder.start()
    recorder.record_observability_event(measurement())
    await recorder.close(0.1)
    assert (recorder.spilled, recorder.dropped) == (0, {"unwritten": 1})


async def test_a_recorder_that_was_never_started_spills_when_it_is_closed(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = Recorder(database_url, queue_size=5, spill_dir=tmp_path)
    recorder.record_observability_event(measurement())
    await recorder.close(0.1)
    assert recorder.spilled == 1
    await load(database_url, tmp_path)
    assert len(await ids_in(database)) == 1


async def test_a_recorder_that_recorded_nothing_leaves_no_file(database_url: str, tmp_path: Path) -> None:
    recorder = Recorder(database_url, queue_size=5, spill_dir=tmp_path)
    await recorder.close(0.1)
    started = Recorder(database_url, queue_size=5, spill_dir=tmp_path)
    await started.start()
    await started.close(30)
    assert files(tmp_path) == []


async def test_damaged_lines_are_counted_and_the_others_written(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = await left_behind(database_url, tmp_path, events=6)
    (path,) = files(tmp_path)
    head, *lines = path.read_text().splitlines()
    lines[1] = lines[1][:-9]
    lines[2] = json.dumps({**json.loads(lines[2]), "producer": "somebody else"})
    lines[3] = "[" * 60_000
    lines[4] = json.dumps({**json.loads(lines[4]), "event_type": "auto_assign.gossip"})
    path.write_text("\n".join([head, "", *lines])[:-20])  # and the last line was never finished

    await load(database_url, tmp_path)
    assert len(await ids_in(database)) == 1
    row = await producer_row(database, recorder.producer.id)
    assert (row["accepted"], row["spilled"], row["dropped"]) == (6, 1, {"corrupt": 4, "unregistered": 1})


@pytest.mark.parametrize("head", ["", "{}", "not even JSON", '{"spill": 2}', "[" * 60_000, '{"spill": 1, "events": 1}'])
async def test_a_file_with_a_damaged_head_is_put_aside_and_stops_nobody(
    head: str, database_url: str, database: Database, tmp_path: Path
) -> None:
    await left_behind(database_url, tmp_path)
    (path,) = files(tmp_path)
    path.with_name("0.spill").write_text(f"{head}\n{{}}\n")
    await load(database_url, tmp_path)
    assert len(await ids_in(database)) == 3
    assert [path.name for path in files(tmp_path)] == ["0.damaged"]


async def test_an_event_that_the_database_refuses_does_not_hold_up_the_file(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = await left_behind(database_url, tmp_path)
    (path,) = files(tmp_path)
    head, *lines = path.read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "created_at": "0001-01-01T00:00:00+23:59"})
    await database.fetch(
        "ALTER TABLE observability_events ADD CHECK (created_at > '2000-01-01Z')"  # a refusal of any kind
    )
    path.write_text("".join(f"{line}\n" for line in [head, *lines]))
    await load(database_url, tmp_path)
    assert len(await ids_in(database)) == 2
    row = await producer_row(database, recorder.producer.id)
    assert (row["spilled"], row["dropped"]) == (2, {"refused": 1})


async def test_of_two_starts_at_once_one_loads_a_file(database_url: str, database: Database, tmp_path: Path) -> None:
    await left_behind(database_url, tmp_path)
    folder = spill_folder(tmp_path, database_url)
    first, second = list(spilled_files(folder)), list(spilled_files(folder))
    assert (len(first), len(second)) == (1, 0)
    for file in first:
        file.close()
    (third,) = spilled_files(folder)  # left, and so there for the next
    third.remove()
    assert list(spilled_files(folder)) == []
    third.close()


async def test_many_starts_at_once_write_every_event_once(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    for _ in range(3):
        await left_behind(database_url, tmp_path, events=20)
    await asyncio.gather(*(load(database_url, tmp_path) for _ in range(5)))
    rows = await database.fetch(
        "SELECT count(*) AS n, count(DISTINCT (producer, seq)) AS different FROM observability_events"
    )
    assert rows == [{"n": 60, "different": 60}]


async def test_a_file_that_was_loaded_and_not_removed_changes_nothing(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    recorder = await left_behind(database_url, tmp_path)
    (path,) = files(tmp_path)
    copy = path.read_bytes()
    await load(database_url, tmp_path)
    before = await producer_row(database, recorder.producer.id)
    path.write_bytes(copy)
    await load(database_url, tmp_path)
    after = await producer_row(database, recorder.producer.id)
    assert len(await ids_in(database)) == 3
    assert {**after, "last_seen": None} == {**before, "last_seen": None}


async def test_a_file_that_is_being_written_is_not_taken(tmp_path: Path, database_url: str) -> None:
    recorder = Recorder(database_url, queue_size=5, spill_dir=tmp_path)
    folder = spill_folder(tmp_path, database_url)
    seen: list[int] = []

    class Slow(list[str]):
        def __iter__(self):  # type: ignore[no-untyped-def]  # as a list does
            seen.append(len(list(spilled_files(folder))))
            return super().__iter__()

    assert spill(folder, recorder._progress(), Slow(["{}"])) == 1
    assert seen == [0]
    (file,) = spilled_files(folder)
    file.close()


async def test_events_of_one_database_are_not_loaded_into_another(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    elsewhere = Recorder(NOWHERE, queue_size=5, spill_dir=tmp_path)
    elsewhere.record_observability_event(measurement())
    await elsewhere.close(0)
    assert elsewhere.spilled == 1
    recorder = Recorder(database_url, queue_size=5, spill_dir=tmp_path)
    await recorder.start()
    recorder.record_observability_event(kept := measurement())
    assert await recorder.flush(PATIENCE_S)
    await recorder.close(30)
    assert await ids_in(database) == {kept.id}
    assert len(files(tmp_path)) == 1


async def test_a_password_does_not_get_into_the_file_or_its_name(tmp_path: Path) -> None:
    recorder = Recorder("postgresql://ada:secretword@127.0.0.1:1/x", queue_size=5, spill_dir=tmp_path)
    recorder.record_observability_event(measurement())
    await recorder.close(0)
    (path,) = files(tmp_path)
    assert "secretword" not in str(path) + path.read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
async def test_a_disk_that_takes_nothing_loses_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def open_full(path: Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if not str(path).startswith(str(tmp_path)):
            return real_open(path, flags, mode, **more)
        os.close(real_open(path, flags, mode, **more))
        return real_open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", open_full)
    recorder = Recorder(NOWHERE, queue_size=5, spill_dir=tmp_path)
    recorder.record_observability_event(measurement())
    await recorder.close(0)
    monkeypatch.undo()
    assert (recorder.spilled, recorder.dropped) == (0, {"unwritten": 1})
    assert files(tmp_path) == []


async def test_a_folder_that_cant_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recorder = Recorder(NOWHERE, queue_size=5, spill_dir=tmp_path / "file")
    await recorder.start()
    recorder.record_observability_event(measurement())
    await recorder.close(0)
    assert recorder.dropped == {"unwritten": 1}


def test_the_file_is_known_by_its_producer(tmp_path: Path) -> None:
    recorder = Recorder(NOWHERE, queue_size=5, spill_dir=tmp_path)
    recorder.record_observability_event(measurement())
    recorder._keep_the_rest()
    (path,) = files(tmp_path)
    assert UUID(path.stem) == recorder.producer.id


def test_files_stay_out_of_the_embedded_servers_folder(tmp_path: Path) -> None:
    assert default_spill_dir(tmp_path / "data") == tmp_path / "data-spill"
    assert default_spill_dir(None).name == "spill"
