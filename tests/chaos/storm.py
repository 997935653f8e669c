"""A storm: workers are killed with kill -9, the database too, until every run has ended; then the books are checked.

    python -m tests.chaos.storm [--bookings 500] [--venues 5] [--workers 4] [--restarts 0] [--seed N]

Prints one JSON object. Everything is real: a durable PostgreSQL of its own, workers as processes, a mail server on
loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.retry import RetryRules
from maitred.errors import DatabaseUnavailable
from maitred.storage import schema
from maitred.storage.database import Database
from maitred.storage.embedded import EmbeddedServer
from tests.auto_assign.durable import loose_ends
from tests.house import House, build_house

PARTIES = (2, 4, 2, 3, 4, 6, 2, 4, 5, 8)


class Postbox:
    """Takes every mail and counts how often each Message-ID came."""

    def __init__(self) -> None:
        self.message_ids: Counter[str] = Counter()

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        self.message_ids[str(message_from_bytes(raw)["Message-ID"])] += 1
        return "250 OK"


@dataclass
class Report:
    """What the storm left. `mails_twice` are Message-IDs delivered more than once: the documented window."""

    bookings: int
    seated: int = 0
    runs_ended: int = 0
    summaries: int = 0
    workers_killed: int = 0
    database_killed: int = 0
    seconds: float = 0.0
    confirmation_mails: int = 0
    mails_delivered: int = 0
    mails_twice: int = 0
    mails_missing: int = 0
    results: dict[str, int] = field(default_factory=dict)
    loose_ends: dict[str, int] = field(default_factory=dict)
    finished: bool = False


class Workers:
    """Worker processes, killed and replaced."""

    def __init__(self, count: int, environment: dict[str, str], rng: random.Random) -> None:
        self._environment = environment
        self._rng = rng
        self._processes = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "maitred", "worker", "--concurrency", "4"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill_one(self) -> None:
        place = self._rng.randrange(len(self._processes))
        self._processes[place].kill()
        self._processes[place].wait()
        self._processes[place] = self._start()

    def keep_alive(self) -> None:
        """Replaces those that gave up by themselves, as a supervisor would."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                self._processes[place] = self._start()

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=4)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def prepare(url: str, bookings: int, venues: int) -> None:
    """Venues of sixteen tables and their bookings, each with a run that waits for a worker."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    async with opened(url) as database:
        houses: list[House] = [await build_house(database, [2] * 5 + [4] * 11) for _ in range(venues)]
        for place in range(bookings):
            house = houses[place % venues]
            turn = place // venues
            start = tomorrow + timedelta(minutes=9 * turn % 600)
            booking = await house.book(PARTIES[turn % len(PARTIES)], start)
            await begin_run(house.desk, booking, trigger="creation", rules=RetryRules(), now=datetime.now(UTC))
        await database.fetch("UPDATE bookings SET guest_email = 'guest-' || reference || '@example.org'")


async def unfinished(url: str) -> tuple[int, int] | None:
    """How many runs have not ended and how many messages wait; None while the database is away."""
    try:
        async with asyncio.timeout(5), opened(url) as database:
            rows = await database.fetch(
                "SELECT (SELECT count(*) FROM runs WHERE ended_at IS NULL) AS runs,"
                " (SELECT count(*) FROM messages WHERE state = 'waiting') AS messages"
            )
            return int(rows[0]["runs"]), int(rows[0]["messages"])
    except (DatabaseUnavailable, psycopg.Error, TimeoutError):
        return None


async def audit(url: str, report: Report, postbox: Postbox) -> None:
    """Fills the report from the books."""
    async with opened(url) as database:
        rows = await database.fetch(
            "SELECT (SELECT count(*) FROM bookings WHERE status = 'confirmed') AS seated,"
            " (SELECT count(*) FROM runs WHERE ended_at IS NOT NULL) AS ended,"
            " (SELECT count(*) FROM observability_events WHERE event_type = 'auto_assign.summary') AS summaries,"
            " (SELECT count(*) FROM messages WHERE kind = 'confirmation') AS mails"
        )
        results = await database.fetch("SELECT result, count(*) AS n FROM runs WHERE result IS NOT NULL GROUP BY 1")
        report.seated, report.runs_ended = rows[0]["seated"], rows[0]["ended"]
        report.summaries, report.confirmation_mails = rows[0]["summaries"], rows[0]["mails"]
        report.results = {row["result"]: row["n"] for row in results}
        report.loose_ends = await loose_ends(database)
    report.mails_delivered = len(postbox.message_ids)
    report.mails_twice = sum(1 for count in postbox.message_ids.values() if count > 1)
    report.mails_missing = report.confirmation_mails - report.mails_delivered


async def storm(*, bookings: int, venues: int, workers: int, restarts: int, seed: int, limit_s: float) -> Report:
    """Raises it and waits until it is over, or `limit_s` seconds have passed."""
    rng = random.Random(seed)
    report = Report(bookings)
    base = _new_folder()
    server = EmbeddedServer(base / "server")
    postbox = Postbox()
    mail = Controller(postbox, hostname="127.0.0.1", port=_free_port())
    mail.start()
    crew: Workers | None = None
    try:
        url = await asyncio.to_thread(server.start)
        await asyncio.to_thread(schema.upgrade, url)
        await prepare(url, bookings, venues)
        crew = Workers(workers, _environment(url, mail), rng)
        began = time.monotonic()
        next_kill, next_restart, next_look = 1.0, 3.0, 2.0
        raging = True
        while (spent := time.monotonic() - began) < limit_s:
            await asyncio.sleep(0.1)
            crew.keep_alive()
            if raging and spent >= next_kill:
                crew.kill_one()
                report.workers_killed += 1
                next_kill = spent + rng.uniform(0.3, 2.0)
            if report.database_killed < restarts and spent >= next_restart:
                await asyncio.to_thread(_kill_database, server)
                report.database_killed += 1
                next_restart = time.monotonic() - began + rng.uniform(2.0, 4.0)
            if spent < next_look:
                continue
            next_look = spent + 1.0
            left = await unfinished(url)
            if left is None or left[0] or report.database_killed < restarts:
                continue
            raging = False  # all runs have ended; what is still to be told may be told in peace
            if left[1] == 0:
                report.finished = True
                break
        report.seconds = round(time.monotonic() - began, 1)
        crew.stop()
        crew = None
        await audit(url, report, postbox)
    finally:
        if crew is not None:
            crew.stop()
        mail.stop()
        server.release()
        await asyncio.to_thread(_remove, server)
        shutil.rmtree(base, ignore_errors=True)
    return report


def _new_folder() -> Path:
    base = Path(tempfile.mkdtemp(prefix="maitred-storm-"))
    base.chmod(0o711)  # the server of a root user runs under another uid
    return base


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(url: str, mail: Controller) -> dict[str, str]:
    return {
        **os.environ,
        "MAITRED_DATABASE_URL": url,
        "MAITRED_SMTP_HOST": "127.0.0.1",
        "MAITRED_SMTP_PORT": str(mail.port),
        "MAITRED_SMTP_TLS": "none",
        "MAITRED_MAIL_FROM": "tables@example.org",
        "MAITRED_MAIL_PAUSE_S": "1",
        "MAITRED_MAIL_TIMEOUT_S": "2",
        "MAITRED_MESSAGES_POLL_S": "0.2",
        "MAITRED_WORKER_HEARTBEAT_S": "0.5",
        "MAITRED_RECONCILE_EVERY_S": "1",
        "MAITRED_RETRY_DELAYS_S": "1,2,3",
    }


def _kill_database(server: EmbeddedServer) -> None:
    pid = server.status().pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    server.start()


def _remove(server: EmbeddedServer) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            server.remove()
        except Exception:
            # workers that were just stopped may still be letting go of the server
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description="kill -9 of workers and of the database until every run has ended.")
    parser.add_argument("--bookings", type=int, default=500)
    parser.add_argument("--venues", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=20251106)
    parser.add_argument("--limit-s", type=float, default=600)
    options = parser.parse_args()
    report = asyncio.run(storm(**vars(options)))
    result: dict[str, Any] = {"storm": {**vars(options)}, **asdict(report)}
    json.dump(result, sys.stdout, indent=1)
    print()
    sys.exit(0 if report.finished and not any(report.loose_ends.values()) and not report.mails_missing else 1)


if __name__ == "__main__":
    main()
