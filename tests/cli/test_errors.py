"""One line for every failure, an exit code that means something, and nobody's password."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from maitred.cli.errors import told, without_passwords
from maitred.errors import DatabaseUnavailable, InvalidInput, NotFound
from maitred.storage.schema import NEEDED
from tests.cli.command import environment, maitred, one_line

NOBODY_THERE = "postgresql://someone:s3cret@127.0.0.1:1/nowhere"


def test_help_and_version_load_nothing_heavy() -> None:
    script = (
        "import sys; from maitred.cli import main; sys.argv = ['maitred', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'psycopg', 'psycopg_pool', 'pydantic', 'rich', 'structlog', 'sqlalchemy', 'alembic'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    for option in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", script, option], env=environment(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("MAITRED_POOL_SIZE", "0", "maitred: MAITRED_POOL_SIZE: must be 1 or more"),
        ("MAITRED_RETRY_DELAYS_S", "soon", "maitred: MAITRED_RETRY_DELAYS_S[0]: must be a number"),
        ("MAITRED_DATABASE_URL", "s3cret", "maitred: MAITRED_DATABASE_URL: must be an address like postgresql://"),
    ],
)
def test_a_bad_setting_is_named_without_its_value(setting: str, value: str, message: str) -> None:
    ended = maitred("db", "check", **{setting: value})
    assert ended.code == 2
    last = ended.err.splitlines()[-1]
    assert last.startswith(message)
    assert "s3cret" not in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [["db", "check"], ["db", "upgrade"], ["baseline"], ["quote", "R1"]])
def test_a_database_that_is_away_is_one_line_and_exit_code_1(command: list[str]) -> None:
    ended = maitred(*command, MAITRED_DATABASE_URL=NOBODY_THERE)
    assert ended.code == 1
    assert ended.err.startswith("maitred: the database can't be reached")
    assert ended.err.count("\n") == 1
    assert "s3cret" not in ended.err + ended.out


def test_a_database_without_our_schema_is_not_touched_but_told_the_remedy(empty_database_url: str) -> None:
    ended = maitred("baseline", MAITRED_DATABASE_URL=empty_database_url)
    assert ended.code == 1
    assert "schema version none" in one_line(ended)
    assert f"needs {NEEDED}; run: maitred db upgrade" in one_line(ended)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = subprocess.Popen(
        [sys.executable, "-m", "maitred", "import", str(pipe)], env=environment(), stderr=subprocess.PIPE, text=True
    )
    with command, pipe.open("wb"):  # opens once the command reads from the other end
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=30)
    assert (command.returncode, err) == (130, "")


def test_the_kinds_of_errors_have_their_exit_codes() -> None:
    assert told(InvalidInput("table T1", "zone", "unknown")) == ("table T1: zone: unknown", 2)
    assert told(NotFound("booking", "R1")) == ("no booking R1", 1)
    assert told(ExceptionGroup("two", [DatabaseUnavailable("gone"), ValueError()])) == ("gone", 1)
    assert told(OSError(28, "No space left on device", "demo.json")) == (
        "No space left on device: demo.json (MAITRED_DEBUG=1 shows where)",
        1,
    )


def test_an_unexpected_error_is_one_line_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAITRED_DEBUG", raising=False)
    with pytest.raises(KeyError) as caught:
        dict[str, str]()["A. Guest\n555 0100"]
    text, code = told(caught.value)
    monkeypatch.setenv("MAITRED_DEBUG", "1")
    traced, _ = told(caught.value)
    assert code == 1
    assert text.startswith("unexpected KeyError in test_errors.py, line ")
    assert "Guest" not in text
    assert traced.startswith("Traceback")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:s3cret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("at postgresql://me:s3@cret@host/db?x=1 it", "at postgresql://me:***@host/db?x=1 it"),
        (
            "postgresql://me@host/db?password=s3cret&sslmode=require",
            "postgresql://me@host/db?password=***&sslmode=require",
        ),
        ("host=h password=s3cret dbname=d", "host=h password=*** dbname=d"),
        (r"host=h password = 's3 \' cret' dbname=d", "host=h password = *** dbname=d"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("password authentication failed", "password authentication failed"),
    ],
)
def test_passwords_of_connection_strings_are_masked(text: str, masked: str) -> None:
    assert without_passwords(text) == masked


def test_pieces_of_a_password_that_was_not_escaped_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAITRED_DATABASE_URL", "postgresql://me:s3cr3t/w0rd@host/db")
    text, _ = told(DatabaseUnavailable('invalid port number: "s3cr3t", or w0rd'))
    assert text == 'invalid port number: "***", or ***'
