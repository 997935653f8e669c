"""What the database says of a refused row names the row's values: none of that gets into what a process says."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.cli.command import Ended, maitred
from tests.venue.files import small_file

GUEST = "Ada Lovelace"
# As a constraint would: the error's DETAIL holds the row that it refused.
_REFUSE = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'new row for relation "bookings" violates check constraint "made_up"' USING
        ERRCODE = 'check_violation', DETAIL = 'Failing row contains (7, {GUEST}, ada@example.org).';
END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse_events BEFORE INSERT ON observability_events FOR EACH ROW WHEN (NEW.producer IS NULL)
    EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def refusing(database_url: str, tmp_path: Path) -> str:
    """A venue with pending bookings that no change gets through to."""
    path = tmp_path / "day.json"
    path.write_text(json.dumps(small_file()), encoding="utf-8")
    assert maitred("import", path, MAITRED_DATABASE_URL=database_url).code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE bookings SET created_at = now() - interval '1 hour',"
            " starts_at = date_trunc('day', now()) + interval '3 days 19 hours'"
        )
        connection.execute(_REFUSE)
    return database_url


def silent_on_guests(ended: Ended) -> None:
    for said in (ended.out, ended.err):
        assert GUEST not in said
        assert "example.org" not in said
        assert "Failing row" not in said
        assert "Traceback" not in said


def test_a_worker_whose_attempts_are_refused_names_no_guest(refusing: str) -> None:
    ended = maitred("worker", "--once", MAITRED_DATABASE_URL=refusing)
    silent_on_guests(ended)
    assert "worker.attempt_failed" in ended.err or "CheckViolation" in ended.err, ended.err


def test_a_command_whose_changes_are_refused_names_no_guest(refusing: str) -> None:
    ended = maitred(
        "assign",
        "--restaurant",
        "chez-test",
        "--date",
        "2025-11-06",
        "--as-of",
        "2025-11-06T06:00Z",
        MAITRED_DATABASE_URL=refusing,
    )
    silent_on_guests(ended)


def test_what_a_process_records_of_a_refused_row_names_no_guest(refusing: str) -> None:
    maitred("worker", "--once", MAITRED_DATABASE_URL=refusing)
    with psycopg.connect(refusing) as connection:
        rows = connection.execute("SELECT e::text FROM observability_events e").fetchall()
    assert not [row for row in rows if GUEST in row[0] or "example.org" in row[0]]
