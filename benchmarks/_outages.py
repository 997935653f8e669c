"""What becomes of events and bookings when the way to the table of events is disturbed, or the process ends.

Each case seats the same bookings in the same order, and says what came of the measurements, of the events that state a
change, and whether every booking got the tables that it gets undisturbed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import sql
from tests.observability.wire import Wire

from benchmarks._assigning import MIDNIGHT, PENDING
from benchmarks.day import DAY, SLUG
from maitred.auto_assign.day import assign_in_order
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.observability.completeness import completeness
from maitred.observability.recorder import Recorder
from maitred.storage.database import Database
from maitred.venue.document import parse_day
from maitred.venue.store import import_day, remove_restaurant

ROOT = Path(__file__).parents[1]

_SEATS: LiteralString = """
SELECT b.reference, b.status, array_agg(t.number ORDER BY t.number) FILTER (WHERE a.hold_id IS NULL) AS tables
  FROM bookings b LEFT JOIN allocations a ON a.booking_id = b.id LEFT JOIN tables t ON t.id = a.table_id
 GROUP BY b.reference, b.status
"""
_ROWS: LiteralString = """
SELECT count(*) FILTER (WHERE producer IS NOT NULL) AS numbered,
       count(DISTINCT (producer, seq)) FILTER (WHERE producer IS NOT NULL) AS different,
       count(*) FILTER (WHERE event_type IN ('auto_assign.succeeded', 'auto_assign.failed', 'auto_assign.summary'))
           AS changes
  FROM observability_events
"""
# A run leaves its result on the booking in the transaction in which it leaves its two events.
_LOST_CHANGES: LiteralString = """
SELECT coalesce(sum(2 - least(ends, 1) - least(summaries, 1)), 0)::int AS lost
  FROM (SELECT (SELECT count(*) FROM observability_events e WHERE e.booking_id = b.id
                   AND e.event_type = CASE b.status WHEN 'confirmed' THEN 'auto_assign.succeeded'
                                                    ELSE 'auto_assign.failed' END) AS ends,
               (SELECT count(*) FROM observability_events e WHERE e.booking_id = b.id
                   AND e.event_type = 'auto_assign.summary') AS summaries
          FROM bookings b WHERE b.auto_assign_last_result IS NOT NULL) AS told
"""

# A full disk as the server would report it, for machines where nobody may mount a small one.
_PRETEND_FULL: LiteralString = """
CREATE FUNCTION pretend_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER pretend_full BEFORE INSERT ON observability_events FOR EACH ROW WHEN (NEW.producer IS NOT NULL)
    EXECUTE FUNCTION pretend_full()
"""


@dataclass
class Row:
    """One line of the table. `written_later` are those that the next start wrote from a file.

    `state_changes_lost` are events of changes that were made and have no row.
    """

    case: str
    accepted: int
    written: int
    spilled: int
    lost: int
    dropped: dict[str, int]
    written_later: int
    duplicates: int
    state_changes: int
    state_changes_lost: int
    outcomes_as_undisturbed: bool | None
    completeness: str
    note: str = ""


class Outages:
    """The cases on one empty database of our schema. `most` bookings of the day; a sink that comes back does so after
    `away_s` seconds."""

    def __init__(self, url: str, *, most: int, away_s: float) -> None:
        self._url = url
        self._most = most
        self._away_s = away_s
        self._undisturbed: dict[str, Any] | None = None

    async def table(self) -> list[dict[str, Any]]:
        """All cases."""
        rows = [
            await self.undisturbed(),
            await self.wire("the server hangs", "hanging"),
            await self.wire("the server refuses connections", "refusing"),
            await self.wire(f"the server refuses and is back after {self._away_s:g} s", "refusing", back=True),
            await self.wire("the server hangs, and the disk for files is full", "hanging", no_files=True),
            await self.full_disk(),
            await self.forked(),
            await self.sigterm(),
            await self.sigterm(hanging=True),
            await self.killed(),
        ]
        return [asdict(row) for row in rows]

    async def undisturbed(self) -> Row:
        """What the others are compared with."""

        async def nothing(_: int) -> None:
            return

        async with self._day() as (database, spill_dir):
            recorder = Recorder(self._url, queue_size=10_000, spill_dir=spill_dir)
            await self._assign(database, recorder, nothing)
            self._undisturbed = await _seats(database)
            return await self._row("undisturbed", database, [_said(recorder)])

    async def wire(self, case: str, mode: str, *, back: bool = False, no_files: bool = False) -> Row:
        """The recorder's connection goes through a wire that is disturbed; the bookings' connections don't."""
        async with self._day() as (database, spill_dir), Wire(self._url).listening() as wire:
            folder = Path("/dev/null/nowhere") if no_files else spill_dir
            recorder = Recorder(wire.url, queue_size=10_000, spill_dir=folder)

            async def disturb(done: int) -> None:
                if done == self._most // 3:
                    wire.mode = mode
                    if mode == "refusing":
                        wire.cut()

            await self._assign(database, recorder, disturb, close=False)
            if back:
                await asyncio.sleep(self._away_s)
                wire.mode = "open"
                await recorder.flush(30)
            await recorder.close()
            wire.mode = "open"
            later = await _load(wire.url, folder, database)
            return await self._row(case, database, [_said(recorder)], later)

    async def full_disk(self, *, pretend: bool = False) -> Row:
        """The server's disk takes no further measurement; the next start finds room again."""
        async with self._day() as (database, spill_dir):
            with _pretended_disk(self._url) if pretend else _full_disk(self._url) as disk:
                recorder = Recorder(self._url, queue_size=10_000, spill_dir=spill_dir)

                async def disturb(done: int) -> None:
                    if done == self._most // 3:
                        disk.fill()

                await self._assign(database, recorder, disturb)
                disk.free()
                later = await _load(self._url, spill_dir, database)
                row = await self._row("the server's disk is full", database, [_said(recorder)], later)
                row.note = disk.note
                return row

    async def forked(self) -> Row:
        """A child that records through the recorder that it inherited."""
        async with self._day() as (database, spill_dir):
            said = await _process(self._url, self._url, spill_dir, self._most, fork_at=self._most // 2)
            ends = [each for each in said if "producer" in each]
            row = await self._row("fork: the parent and a child", database, ends)
            row.note = f"{len(ends)} producers"
            return row

    async def sigterm(self, *, hanging: bool = False) -> Row:
        """Told to end in the middle; a second process goes on."""
        async with self._day() as (database, spill_dir), Wire(self._url).listening() as wire:
            ending = _Ending(self._most // 2, signal.SIGTERM, wire, "hanging" if hanging else "open")
            first = await _process(self._url, wire.url, spill_dir, self._most, ending=ending)
            wire.mode = "open"
            before = await _numbered(database)
            second = await _process(self._url, wire.url, spill_dir, self._most)
            later = await _numbered(database) - before - second[-1]["written"]
            case = "SIGTERM while the server hangs, then a new start" if hanging else "SIGTERM, then a new start"
            return await self._row(case, database, [first[-1], second[-1]], later)

    async def killed(self) -> Row:
        """kill -9 in the middle; a second process goes on."""
        async with self._day() as (database, spill_dir):
            ending = _Ending(self._most // 2, signal.SIGKILL)
            first = await _process(self._url, self._url, spill_dir, self._most, ending=ending)
            last = {**first[-1], "written": await _numbered(database), "spilled": 0, "dropped": {}}
            second = await _process(self._url, self._url, spill_dir, self._most)
            row = await self._row("kill -9, then a new start", database, [last, second[-1]])
            row.note = "accepted as the killed process last said; lost is what it had recorded and not yet written"
            return row

    @asynccontextmanager
    async def _day(self) -> AsyncIterator[tuple[Database, Path]]:
        database = Database(self._url)
        await database.open()
        try:
            with tempfile.TemporaryDirectory(prefix="maitred-spill-") as spill_dir:
                await remove_restaurant(database, SLUG)
                await database.fetch("TRUNCATE observability_events, event_producers")
                await import_day(database, parse_day(DAY.read_bytes()))
                yield database, Path(spill_dir)
        finally:
            await database.close()

    async def _assign(
        self, database: Database, recorder: Recorder, disturb: Callable[[int], Awaitable[None]], *, close: bool = True
    ) -> None:
        """Seats the bookings one after the other."""
        await recorder.start()
        desk = Desk(database, Venues(database), recorder)
        for done, booking in enumerate(await database.fetch(PENDING, {"most": self._most})):
            await disturb(done)
            await assign_in_order(desk, [booking["id"]], now=lambda: MIDNIGHT, trigger="ultra_fast")
        if close:
            await recorder.close()

    async def _row(self, case: str, database: Database, ends: list[dict[str, Any]], later: int = 0) -> Row:
        """The line for what these recorders said in the end."""
        accepted, written, spilled = (sum(end[name] for end in ends) for name in ("accepted", "written", "spilled"))
        dropped: dict[str, int] = {}
        for end in ends:
            for reason, count in end["dropped"].items():
                dropped[reason] = dropped.get(reason, 0) + count
        (rows,) = await database.fetch(_ROWS)
        (changes,) = await database.fetch(_LOST_CHANGES)
        # as a report says it a minute later, when whoever has gone is known to have gone
        await database.fetch("UPDATE event_producers SET last_seen = last_seen - interval '1 minute'")
        now = datetime.now(UTC)
        found = await completeness(database, since=now - timedelta(days=1), until=now + timedelta(days=1))
        seats = await _seats(database)
        return Row(
            case=case,
            accepted=accepted,
            written=written,
            spilled=spilled,
            lost=accepted - written - spilled,
            dropped=dropped,
            written_later=later,
            duplicates=rows["numbered"] - rows["different"],
            state_changes=rows["changes"],
            state_changes_lost=changes["lost"],
            outcomes_as_undisturbed=None if self._undisturbed is None else seats == self._undisturbed,
            completeness=found.sentence,
        )


def _said(recorder: Recorder) -> dict[str, Any]:
    return {
        "accepted": recorder.accepted,
        "written": recorder.written,
        "spilled": recorder.spilled,
        "dropped": dict(recorder.dropped),
    }


async def _seats(database: Database) -> dict[str, Any]:
    rows = await database.fetch(_SEATS)
    return {row["reference"]: (row["status"], row["tables"]) for row in rows}


async def _numbered(database: Database) -> int:
    (row,) = await database.fetch(_ROWS)
    numbered: int = row["numbered"]
    return numbered


async def _load(url: str, spill_dir: Path, database: Database) -> int:
    """A start that writes what is in files; how many events that were."""
    before = await _numbered(database)
    recorder = Recorder(url, queue_size=10, spill_dir=spill_dir)
    await recorder.start()
    if not await recorder.wait_for_spills(60):
        raise TimeoutError("the files could not be loaded")
    await recorder.close()
    return await _numbered(database) - before


@dataclass
class _Ending:
    """When to end a process and how, and what its connection does from then on."""

    after: int
    by: signal.Signals
    wire: Wire | None = None
    mode: str = "open"


async def _process(
    url: str, sink_url: str, spill_dir: Path, most: int, *, fork_at: int = -1, ending: _Ending | None = None
) -> list[dict[str, Any]]:
    """Everything that a process said until it ended."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks._assigning",
        url,
        sink_url,
        str(spill_dir),
        str(most),
        str(fork_at),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if running.stdout is None:
        raise RuntimeError("a pipe was asked for")
    said: list[dict[str, Any]] = []
    try:
        async for line in running.stdout:
            if not line.startswith(b"{"):
                continue  # a line of the log
            said.append(json.loads(line))
            if ending is not None and said[-1].get("done") == ending.after:
                if ending.wire is not None:
                    ending.wire.mode = ending.mode
                running.send_signal(ending.by)
    except BaseException:
        running.kill()
        raise
    finally:
        await running.wait()
    return said


class _Disk(Protocol):
    note: str

    def fill(self) -> None: ...

    def free(self) -> None: ...


class _SmallDisk:
    """A file system of a megabyte with the index on events' numbers on it: whoever writes one needs it, and nobody
    else does."""

    note = "a tablespace on a file system of 1 MB, filled to the last block: ENOSPC from the kernel"

    def __init__(self, url: str, place: Path) -> None:
        self._url = url
        self._place = place

    def fill(self) -> None:
        with suppress(OSError), (self._place / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"0" * 4_096)

    def free(self) -> None:
        (self._place / "filler").unlink()


class _PretendedDisk:
    """A trigger that says what the server says of a full disk."""

    note = "a trigger raises the server's error for a full disk: nobody may mount a small one here"

    def __init__(self, url: str) -> None:
        self._url = url

    def fill(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(_PRETEND_FULL)

    def free(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("DROP FUNCTION pretend_full CASCADE")


@contextmanager
def _pretended_disk(url: str) -> Iterator[_Disk]:
    yield _PretendedDisk(url)


@contextmanager
def _full_disk(url: str) -> Iterator[_Disk]:
    """A disk for numbered events alone, that can be filled."""
    with tempfile.TemporaryDirectory(prefix="maitred-disk-") as name:
        place = Path(name)
        if _command("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", name):
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    _move_index_to(connection, place)
                    try:
                        yield _SmallDisk(url, place)
                    finally:
                        connection.execute("ALTER INDEX observability_events_producer_seq SET TABLESPACE pg_default")
                        connection.execute("DROP TABLESPACE maitred_small")
            finally:
                _command("umount", "-l", name)
            return
        with _pretended_disk(url) as pretended:
            yield pretended


def _move_index_to(connection: psycopg.Connection[Any], place: Path) -> None:
    owner = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
    if owner is None:
        raise RuntimeError("the server tells nobody where its data is")
    data = Path(owner[0]).stat()
    folder = place / "space"
    folder.mkdir(mode=0o700)
    os.chown(folder, data.st_uid, data.st_gid)
    place.chmod(0o711)
    connection.execute(sql.SQL("CREATE TABLESPACE maitred_small LOCATION {}").format(sql.Literal(str(folder))))
    connection.execute("ALTER INDEX observability_events_producer_seq SET TABLESPACE maitred_small")


def _command(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=10).returncode == 0
    except OSError:
        return False
