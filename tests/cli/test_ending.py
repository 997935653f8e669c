"""How a command ends: what it recorded is written, or lies in a file that the next start writes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from maitred.demo.reference import demo_day
from tests.cli.command import environment, maitred

DEMO = ("assign", "--restaurant", "demo-restaurant", "--date", "2025-11-06", "--as-of", "2025-11-06T00:00Z")
SIGTERM_CODE = 143


@pytest.fixture(autouse=True)
def demo(database_url: str) -> None:
    folder = Path(sys.modules[demo_day.__module__].__file__ or "").parent / "data"
    assert maitred("import", folder / "demo-restaurant-2025-11-06.json", MAITRED_DATABASE_URL=database_url).code == 0


@contextmanager
def assigning(url: str, spill_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """The command at work, with at least five bookings confirmed and others still to come."""
    command = subprocess.Popen(
        [sys.executable, "-m", "maitred", *DEMO],
        env=environment(MAITRED_DATABASE_URL=url, MAITRED_POOL_TIMEOUT_S="1", MAITRED_SPILL_DIR=str(spill_dir)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with psycopg.connect(url, autocommit=True) as looking:
            confirmed = "SELECT count(*) >= 5 FROM bookings WHERE status = 'confirmed'"
            while looking.execute(confirmed).fetchone() != (True,):
                assert command.poll() is None
        yield command
    finally:
        command.kill()
        command.communicate()


def producers(url: str, kind: str) -> list[tuple[int, int, bool]]:
    """Of each process of this kind the last number it gave out, its rows, and whether it said goodbye."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT last_seq, (SELECT count(*) FROM observability_events e WHERE e.producer = p.producer),"
            " closed_at IS NOT NULL FROM event_producers p WHERE kind = %s AND last_seq > 0",
            (kind,),
        ).fetchall()


def test_a_command_that_is_told_to_end_writes_what_it_recorded(database_url: str, tmp_path: Path) -> None:
    with assigning(database_url, tmp_path) as command:
        command.send_signal(signal.SIGTERM)
        _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (SIGTERM_CODE, "")
    [(last, rows, closed)] = producers(database_url, "cli")
    assert (rows, closed) == (last, True)
    assert last >= 5
    assert list(tmp_path.iterdir()) == []


def test_what_a_command_cant_write_in_the_end_the_next_one_writes(
    server_url: str, database_url: str, tmp_path: Path
) -> None:
    dbname = str(conninfo_to_dict(database_url)["dbname"])
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with assigning(database_url, tmp_path) as command, psycopg.connect(server_url, autocommit=True) as server:
        server.execute(allow.format(sql.Identifier(dbname), sql.Literal(False)))
        try:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (dbname,))
            command.communicate(timeout=60)
        finally:
            server.execute(allow.format(sql.Identifier(dbname), sql.Literal(True)))
    assert command.returncode == 1
    assert len(list(tmp_path.glob("*/*.spill"))) == 1
    checked = maitred("events", "check", MAITRED_DATABASE_URL=database_url, MAITRED_SPILL_DIR=str(tmp_path))
    assert "missing" not in checked.out.replace("none missing", ""), checked.out
    [(last, rows, _)] = producers(database_url, "cli")
    assert rows == last
    assert list(tmp_path.glob("*/*.spill")) == []


@pytest.mark.parametrize("command", [("baseline",), ("compare", "path=inline", "path=job"), ("db", "size")])
def test_a_command_that_reads_leaves_nothing_behind(
    database_url: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE event_producers")
        assert maitred(*command, MAITRED_DATABASE_URL=database_url, MAITRED_SPILL_DIR=str(tmp_path)).code == 0
        assert connection.execute("SELECT count(*) FROM event_producers").fetchone() == (0,)
    assert list(tmp_path.iterdir()) == []
