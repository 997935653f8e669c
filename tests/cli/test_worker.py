"""`maitred worker` as a process of its own: told to stop, told twice, killed, and without a database for a while."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from maitred.auto_assign.begin import begin_run
from maitred.auto_assign.retry import RetryRules
from maitred.auto_assign.runs import MailVariant
from maitred.storage.database import Database
from tests.auto_assign.durable import NOTHING, loose_ends, results_of, waiting_jobs
from tests.cli.command import environment, maitred, one_line
from tests.house import NOON, House, build_house
from tests.messages.servers import mail_host

PATIENCE_S = 30.0

# As long as a test holds a lock, an attempt waits for it.
PATIENT = {"MAITRED_LOCK_TIMEOUT_MS": "60000", "MAITRED_STATEMENT_TIMEOUT_MS": "60000"}
QUICK = {
    "MAITRED_WORKER_HEARTBEAT_S": "0.5",
    "MAITRED_RECONCILE_EVERY_S": "0.2",
    "MAITRED_WORKER_POLL_S": "0.1",
}


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    return await build_house(database)


@asynccontextmanager
async def worker(database_url: str, *arguments: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running worker. What the test leaves of it is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "maitred", "worker", *arguments),
        env=environment(MAITRED_DATABASE_URL=database_url, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        started = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert started.startswith(b"worker started")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Its exit code and the last thing it said."""
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert b"Traceback" not in err, err.decode()
    code = process.returncode
    assert code is not None
    return code, out.decode()


async def until(holds: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(patience_s):
        while not await holds():  # noqa: ASYNC110 - another process can't set an event here
            await asyncio.sleep(0.05)


async def begin(house: House, booking: UUID, *, variant: MailVariant = "standard") -> UUID:
    run = await begin_run(
        house.desk,
        booking,
        trigger="creation",
        rules=RetryRules(),
        now=datetime.now(UTC) - timedelta(seconds=1),
        mail_variant=variant,
    )
    assert run is not None
    return run


@asynccontextmanager
async def locked(database_url: str, booking: UUID) -> AsyncIterator[psycopg.AsyncConnection]:
    """The booking's row, locked: an attempt at it is under way for as long as this lasts."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("SELECT FROM bookings WHERE id = %s FOR NO KEY UPDATE", (booking,))
        yield connection
        with contextlib.suppress(psycopg.OperationalError):  # a test may have ended it
            await connection.rollback()


async def is_waiting_for_lock(database: Database) -> bool:
    rows = await database.fetch(
        "SELECT count(*) AS n FROM pg_stat_activity"
        " WHERE application_name = 'maitred' AND wait_event_type = 'Lock' AND datname = current_database()"
    )
    return bool(rows[0]["n"])


async def is_confirmed(house: House, booking: UUID) -> bool:
    return await house.status(booking) == "confirmed"


async def statuses_of_jobs(database: Database) -> list[str]:
    rows = await database.fetch("SELECT status::text AS status FROM procrastinate_jobs ORDER BY id")
    return [row["status"] for row in rows]


async def test_told_to_stop_it_finishes_what_it_holds_and_takes_nothing_new(house: House, database_url: str) -> None:
    held = await house.book(2)
    await begin(house, held)
    async with (
        locked(database_url, held) as lock,
        worker(database_url, "--concurrency", "1", "--grace-s", "60", **PATIENT) as process,
    ):
        await until(lambda: is_waiting_for_lock(house.database))
        waiting = await house.book(2, NOON + timedelta(hours=2))
        await begin(house, waiting)
        process.terminate()
        await asyncio.sleep(1.5)  # longer than its pause between two looks for jobs
        assert process.returncode is None
        await lock.rollback()
        code, said = await ended(process)
    assert (code, said) == (0, "worker stopped: 1 attempt made (1 succeeded)\n")
    assert (await house.status(held), await house.status(waiting)) == ("confirmed", "pending")
    assert await statuses_of_jobs(house.database) == ["todo"]


@pytest.mark.parametrize(
    ("grace_s", "signals"),
    [("0.3", [signal.SIGTERM]), ("600", [signal.SIGTERM, signal.SIGTERM]), ("600", [signal.SIGINT, signal.SIGINT])],
    ids=["the grace is over", "told twice", "Ctrl-C twice"],
)
async def test_what_it_cannot_finish_it_hands_back_at_once(
    house: House, database_url: str, grace_s: str, signals: list[signal.Signals]
) -> None:
    booking = await house.book(2)
    await begin(house, booking)
    async with locked(database_url, booking):
        async with worker(database_url, "--grace-s", grace_s, **PATIENT) as process:
            await until(lambda: is_waiting_for_lock(house.database))
            for each in signals:
                process.send_signal(each)
                await asyncio.sleep(0.2)
            code, said = await ended(process)
        assert (code, said) == (0, "worker stopped: 0 attempts made, 1 handed back\n")
        # still locked: nobody can have done it in the meantime, and the job is there for whoever looks
        [job] = await waiting_jobs(house.database)
        assert job.due_in_s <= 0
    again = await asyncio.to_thread(maitred, "worker", "--once", MAITRED_DATABASE_URL=database_url)
    assert (again.code, again.out) == (0, "worker stopped: 1 attempt made (1 succeeded)\n")
    assert await results_of(house.database) == ["succeeded"]
    assert await loose_ends(house.database) == NOTHING


async def test_told_to_stop_when_idle_it_stops(house: House, database_url: str) -> None:
    async with worker(database_url) as process:
        process.terminate()
        assert await ended(process) == (0, "worker stopped: 0 attempts made\n")


async def killed_and_taken_over(house: House, database_url: str, settings: dict[str, str]) -> None:
    """One worker is killed in the middle of an attempt; the other, which was there before, is all that is left."""
    booking = await house.book(2)
    async with locked(database_url, booking) as lock, worker(database_url, **PATIENT, **settings) as doomed:
        await begin(house, booking)
        await until(lambda: is_waiting_for_lock(house.database))
        async with worker(database_url, **settings) as other:
            await asyncio.sleep(1.5)
            assert await statuses_of_jobs(house.database) == ["doing"]  # the other leaves it alone
            doomed.kill()
            assert await doomed.wait() == -signal.SIGKILL
            await lock.rollback()
            await until(lambda: is_confirmed(house, booking))
            await until(lambda: _no_jobs(house.database))
            other.terminate()
            code, said = await ended(other)
    assert code == 0
    assert said == "worker stopped: 1 attempt made (1 succeeded)\n"
    assert await results_of(house.database) == ["succeeded"]
    assert await loose_ends(house.database) == NOTHING


async def _no_jobs(database: Database) -> bool:
    return await statuses_of_jobs(database) == []


async def test_a_killed_workers_job_is_taken_over(house: House, database_url: str) -> None:
    await killed_and_taken_over(house, database_url, QUICK)


@pytest.mark.slow
async def test_a_killed_workers_job_runs_elsewhere_within_half_a_minute_with_the_settings_as_they_are(
    house: House, database_url: str
) -> None:
    await killed_and_taken_over(house, database_url, {})


async def test_once_does_what_is_due_tells_the_guest_and_ends(house: House, database_url: str) -> None:
    due, later = await house.book(2), await house.book(2, NOON + timedelta(hours=2))
    await house.database.fetch("UPDATE bookings SET guest_email = 'guest@example.org'")
    await begin(house, due)
    await begin_run(
        house.desk, later, trigger="creation", rules=RetryRules(), now=datetime.now(UTC) + timedelta(hours=1)
    )
    async with mail_host() as host:
        mail = {
            "MAITRED_SMTP_HOST": "127.0.0.1",
            "MAITRED_SMTP_PORT": str(host.port),
            "MAITRED_SMTP_TLS": "none",
            "MAITRED_MAIL_FROM": "tables@example.org",
        }
        done = await asyncio.to_thread(maitred, "worker", "--once", MAITRED_DATABASE_URL=database_url, **mail)
        assert (done.code, done.out) == (0, "worker stopped: 1 attempt made (1 succeeded)\n")
        assert host.recipients == ["guest@example.org"]
    assert (await house.status(due), await house.status(later)) == ("confirmed", "pending")


async def test_once_puts_right_what_a_crash_left(house: House, database_url: str) -> None:
    booking = await house.book(2)
    await begin(house, booking)
    await house.database.fetch("UPDATE procrastinate_jobs SET status = 'doing'")  # by a worker that is gone
    done = await asyncio.to_thread(maitred, "worker", "--once", MAITRED_DATABASE_URL=database_url)
    assert (done.code, done.out) == (0, "worker stopped: 1 attempt made (1 succeeded)\n")


async def test_a_database_that_goes_away_and_comes_back_is_waited_for(
    house: House, server_url: str, database_url: str
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"])
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    booking = await house.book(2)
    await begin(house, booking)
    async with locked(database_url, booking), worker(database_url, **PATIENT, **QUICK) as process:
        await until(lambda: is_waiting_for_lock(house.database))
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            await asyncio.sleep(2.0)
            server.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
        assert process.returncode is None
        await until(lambda: is_back(house))
        await until(lambda: is_confirmed(house, booking))
        later = await house.book(2, NOON + timedelta(hours=2))
        await begin(house, later)
        await until(lambda: is_confirmed(house, later))
        process.terminate()
        code, said = await ended(process)
    assert code == 0
    assert "2 succeeded" in said
    assert await loose_ends(house.database) == NOTHING


async def is_back(house: House) -> bool:
    try:
        await house.database.fetch("SELECT 1")
    except Exception:  # noqa: BLE001 - whatever a pool says whose connections are gone
        return False
    return True


async def test_once_without_a_database_says_so(house: House) -> None:
    began = time.monotonic()
    done = await asyncio.to_thread(
        maitred, "worker", "--once", MAITRED_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere"
    )
    assert (done.code, one_line(done).startswith("maitred: the database can't be reached")) == (1, True)
    assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("option", [("--concurrency", "0"), ("--grace-s", "-1"), ("--grace-s", "soon")])
def test_a_bad_option_is_refused(option: tuple[str, str]) -> None:
    assert maitred("worker", *option).code == 2
