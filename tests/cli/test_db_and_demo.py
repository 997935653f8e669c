"""`maitred db` and `maitred demo`: what belongs to us may be changed, what was given only when it is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from maitred.storage.embedded import EmbeddedServer
from maitred.storage.schema import NEEDED
from tests.cli.command import environment, maitred, one_line


@pytest.fixture
def folder() -> Iterator[Path]:
    # not pytest's own, which other users can't enter: root's server runs as another one
    base = Path(tempfile.mkdtemp(prefix="maitred-cli-"))
    base.chmod(0o711)
    yield base / "server"
    maitred("db", "remove", "--yes", MAITRED_DATA_DIR=str(base / "server"))
    shutil.rmtree(base, ignore_errors=True)


def test_a_given_database_is_upgraded_only_when_told(empty_database_url: str) -> None:
    given = {"MAITRED_DATABASE_URL": empty_database_url}
    before = maitred("db", "check", **given)
    assert before.code == 1
    assert "reachable, PostgreSQL" in before.out
    assert f"schema:   none, needed: {NEEDED}" in before.out
    assert "run: maitred db upgrade" in before.err
    assert maitred("db", "upgrade", **given).out == f"schema none -> {NEEDED}\n"
    assert maitred("db", "upgrade", **given).out == f"schema {NEEDED}: nothing to do\n"
    after = maitred("db", "check", **given)
    assert (after.code, after.err) == (0, "")


def test_a_schema_of_a_newer_release_is_refused_by_every_command(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE maitred_schema_version SET version_num = '9999'")
    for command in (["db", "upgrade"], ["baseline"], ["demo", "--on-given-database"]):
        ended = maitred(*command, MAITRED_DATABASE_URL=database_url)
        assert ended.code == 1
        assert f"has schema version 9999, this release of maitred needs {NEEDED}" in one_line(ended)


def test_a_given_address_is_printed_without_its_password() -> None:
    ended = maitred("db", "url", MAITRED_DATABASE_URL="postgresql://me:s3cret@127.0.0.1:1/db")
    assert (ended.code, ended.out) == (0, "postgresql://me:***@127.0.0.1:1/db\n")
    assert "s3cret" not in ended.err


def test_the_commands_for_our_own_server_refuse_a_given_one(database_url: str) -> None:
    for command in (["db", "folder"], ["db", "remove", "--yes"]):
        ended = maitred(*command, MAITRED_DATABASE_URL=database_url)
        assert ended.code == 2
        assert "MAITRED_DATABASE_URL: is set" in one_line(ended)


def test_the_demo_writes_to_a_given_database_only_when_told_and_never_cleans_it(
    database_url: str, tmp_path: Path
) -> None:
    given = {"MAITRED_DATABASE_URL": database_url}
    refused = maitred("demo", **given)
    assert refused.code == 2
    assert "only with --on-given-database" in one_line(refused)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM restaurants").fetchone() == (0,)

    ran = maitred("demo", "--on-given-database", "--json", tmp_path / "demo.json", **given)
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert json.loads((tmp_path / "demo.json").read_text())["double_bookings"] == 0

    again = maitred("demo", "--on-given-database", **given)
    assert again.code == 2
    assert "already in the database" in one_line(again)


def test_the_embedded_server_runs_the_demo_again_and_again_and_can_be_removed(folder: Path, tmp_path: Path) -> None:
    own = {"MAITRED_DATA_DIR": str(folder)}
    assert "not set up yet" in maitred("db", "check", **own).out
    assert maitred("db", "url", **own).code == 2
    assert not folder.exists()  # looking sets nothing up

    for _ in range(2):
        ran = maitred("demo", "--json", tmp_path / "demo.json", **own)
        assert (ran.code, ran.err) == (0, "")
        found = json.loads((tmp_path / "demo.json").read_text())
        assert (found["bookings"], found["events"]["auto_assign.summary"]) == (117, 117)
        assert found["seated"] >= 69

    assert maitred("db", "url", **own).out.startswith("postgresql://")
    assert f"schema:   {NEEDED}, needed: {NEEDED}" in maitred("db", "check", **own).out
    assert "auto_assign" in maitred("baseline", **own).out
    assert f"folder:  {folder}" in maitred("db", "folder", **own).out
    asked = maitred("db", "remove", **own)
    assert (asked.code, folder.exists()) == (1, True)  # nobody there to say yes
    assert maitred("db", "remove", "--yes", **own).out == f"removed {folder}\n"
    assert not folder.exists()


def test_the_embedded_server_is_not_removed_while_somebody_uses_it(folder: Path) -> None:
    own = {"MAITRED_DATA_DIR": str(folder)}
    with EmbeddedServer(folder):
        ended = maitred("db", "remove", "--yes", **own)
        assert ended.code == 1
        assert "used by another process" in one_line(ended)
        assert "running" in maitred("db", "folder", **own).out
    assert folder.exists()


def test_a_server_that_goes_away_is_said_and_what_was_confirmed_stays(server_url: str, database_url: str) -> None:
    """The database lets nobody in any more and ends who is in, in the middle of the demo."""
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    confirmed = "SELECT count(*) FROM bookings WHERE status = 'confirmed'"
    command = subprocess.Popen(
        [sys.executable, "-m", "maitred", "demo", "--on-given-database"],
        env=environment(MAITRED_DATABASE_URL=database_url, MAITRED_POOL_TIMEOUT_S="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with command, psycopg.connect(server_url, autocommit=True) as server:
        with psycopg.connect(database_url, autocommit=True) as looking:
            while not (row := looking.execute(confirmed).fetchone()) or row[0] < 5:
                assert command.poll() is None
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(str(name))))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        out, err = command.communicate(timeout=60)
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(str(name))))
    assert (command.returncode, out) == (1, "")
    # the recorder's log lines are there too, and may come last
    [told] = [line for line in err.splitlines() if line.startswith("maitred: ")]
    assert not told.startswith(("maitred: unexpected", "maitred: database error"))
    assert "Traceback" not in err
    with psycopg.connect(database_url) as connection:
        assert (connection.execute(confirmed).fetchone() or (0,))[0] >= 5
        unseated = (
            "SELECT count(*) FROM bookings b WHERE status = 'confirmed' AND NOT EXISTS "
            "(SELECT FROM allocations a WHERE a.booking_id = b.id AND a.hold_id IS NULL)"
        )
        assert connection.execute(unseated).fetchone() == (0,)
