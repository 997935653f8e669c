"""`maitred assign` on a given database: what it does, what it reports, and what it says when it can't."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from maitred.demo.reference import demo_day
from tests.cli.command import Ended, environment, maitred, one_line
from tests.venue.files import Raw, bent, put, small_file

DAY = ("assign", "--restaurant", "chez-test", "--date", "2025-11-06")
MORNING = ("--as-of", "2025-11-06T06:00Z")
DEMO = ("assign", "--restaurant", "demo-restaurant", "--date", "2025-11-06", "--as-of", "2025-11-06T00:00Z")


@pytest.fixture
def run(database_url: str) -> Callable[..., Ended]:
    return lambda *arguments: maitred(*arguments, MAITRED_DATABASE_URL=database_url)


@pytest.fixture
def imported(run: Callable[..., Ended], tmp_path: Path) -> Callable[[Raw], None]:
    def write_and_import(raw: Raw) -> None:
        path = tmp_path / "day.json"
        path.write_text(json.dumps(raw), encoding="utf-8")
        assert run("import", path).code == 0

    return write_and_import


@pytest.fixture
def demo(run: Callable[..., Ended]) -> None:
    folder = Path(sys.modules[demo_day.__module__].__file__ or "").parent / "data"
    assert run("import", folder / "demo-restaurant-2025-11-06.json").code == 0


def statuses(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT reference, status FROM bookings").fetchall())


def test_a_day_is_assigned_and_reported(
    imported: Callable[[Raw], None], run: Callable[..., Ended], database_url: str, tmp_path: Path
) -> None:
    raw = bent(put("bookings", 2, "party_size", value=500))
    raw["bookings"][2] |= {"date": "2025-11-06", "time": "20:00"}
    imported(raw)
    path = tmp_path / "report.json"
    ended = run(*DAY, *MORNING, "--report", path)
    assert (ended.code, ended.err) == (0, "")
    assert "\x1b" not in ended.out
    assert "hard.global_capacity" in ended.out
    found = json.loads(path.read_text())
    assert found["format"] == "maitred.assign/1"
    assert (found["trigger"], found["dry_run"], found["complete"], found["error"]) == ("ultra_fast", False, True, None)
    assert found["results"] == {"succeeded": 2, "exhausted": 1}
    assert found["failures"] == {"hard.global_capacity": 1}
    assert found["left_without_tables"] == 1
    assert (found["planner_ms"]["n"], found["quote_to_confirm_ms"]["n"]) == (3, 2)
    assert {each["ref"]: each["status"] for each in found["bookings"]} == statuses(database_url)
    with psycopg.connect(database_url) as connection:
        seats = connection.execute(
            "SELECT b.reference, array_agg(t.number) FROM allocations a JOIN tables t ON t.id = a.table_id"
            " JOIN bookings b ON b.id = a.booking_id WHERE a.hold_id IS NULL GROUP BY 1"
        ).fetchall()
        events = connection.execute(
            "SELECT event_type, context->>'trigger', count(*) FROM observability_events"
            " WHERE event_type IN ('auto_assign.quote', 'auto_assign.summary') GROUP BY 1, 2 ORDER BY 1"
        ).fetchall()
    assert {each["ref"]: sorted(each["tables"]) for each in found["bookings"] if each["tables"]} == {
        reference: sorted(numbers) for reference, numbers in seats
    }
    assert events == [("auto_assign.quote", "ultra_fast", 3), ("auto_assign.summary", "ultra_fast", 3)]


def test_nothing_pending_is_said_and_is_no_failure(imported: Callable[[Raw], None], run: Callable[..., Ended]) -> None:
    imported(small_file())
    ended = run("assign", "--restaurant", "chez-test", "--date", "2025-11-08")
    assert (ended.code, ended.err) == (0, "")
    assert "no pending bookings" in ended.out


def test_a_dry_run_says_so_and_takes_no_table(
    imported: Callable[[Raw], None], run: Callable[..., Ended], database_url: str, tmp_path: Path
) -> None:
    imported(small_file())
    path = tmp_path / "report.json"
    ended = run(*DAY, *MORNING, "--dry-run", "--report", path)
    assert (ended.code, ended.err) == (0, "")
    assert "dry run, no table was taken" in ended.out
    assert json.loads(path.read_text())["results"] == {"planned": 2}  # the third is the next day's
    assert set(statuses(database_url).values()) == {"pending"}
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM allocations").fetchone() == (0,)
        triggers = connection.execute("SELECT DISTINCT event_type, context->>'trigger' FROM observability_events")
        assert triggers.fetchall() == [("auto_assign.quote", "manual")]


def test_the_loop_reports_each_iteration(
    imported: Callable[[Raw], None], run: Callable[..., Ended], tmp_path: Path
) -> None:
    imported(small_file())
    path = tmp_path / "report.json"
    ended = run(*DAY, *MORNING, "--until-assigned", "--max-tables", "1", "--iterations", "3", "--report", path)
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(path.read_text())
    assert found["trigger"] == "loop"
    assert [each["iteration"] for each in found["iterations"]] == list(range(1, len(found["iterations"]) + 1))
    assert all(each["strategy"]["maxTables"] == 1 for each in found["iterations"])
    assert sum(each["bookings"] for each in found["iterations"]) == found["planner_ms"]["n"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("assign", "--restaurant", "nowhere", "--date", "2025-11-06"), 1, "no restaurant nowhere"),
        (("assign", "--restaurant", "chez-test", "--date", "2025-02-30"), 2, "assign: --date: must be a day"),
        (("assign", "--restaurant", "chez-test", "--date", "tomorrow"), 2, "assign: --date: must be a day"),
        ((*DAY, "--as-of", "2025-11-06"), 2, "assign: --as-of: must be an instant with its zone"),
        ((*DAY, "--iterations", "3"), 2, "assign: --iterations: goes with --until-assigned"),
        ((*DAY, "--report", "/nowhere/report.json"), 2, "assign: --report: there is no folder /nowhere"),
    ],
)
def test_bad_input_gets_one_line(
    imported: Callable[[Raw], None],
    run: Callable[..., Ended],
    database_url: str,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    imported(small_file())
    ended = run(*arguments)
    assert ended.code == code
    assert one_line(ended).startswith(f"maitred: {message}")
    assert set(statuses(database_url).values()) == {"pending"}


@contextmanager
def assigning(url: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command at work on the demo's day, with at least five bookings confirmed and others still to come.

    However fast it is: somebody holds the bookings of the day's second half.
    """
    command = subprocess.Popen(
        [sys.executable, "-m", "maitred", *DEMO, "--concurrency", "2", "--report", str(path)],
        env=environment(MAITRED_DATABASE_URL=url, MAITRED_POOL_TIMEOUT_S="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # closed, not ended: a test may have the server hang up on it
        with closing(psycopg.connect(url)) as holding, psycopg.connect(url, autocommit=True) as looking:
            holding.execute(
                "SELECT FROM bookings WHERE starts_at >="
                " (SELECT starts_at FROM bookings ORDER BY starts_at OFFSET 60 LIMIT 1) FOR UPDATE"
            )
            while sum(row[0] == "confirmed" for row in looking.execute("SELECT status FROM bookings")) < 5:
                assert command.poll() is None
            yield command
    finally:
        command.kill()
        command.communicate()


def check_report_of_broken_run(found: dict[str, Any], url: str) -> None:
    """It knows of everything that is confirmed, and says of nothing that it is that isn't."""
    after = statuses(url)
    told = {each["ref"]: each["result"] for each in found["bookings"]}
    assert found["complete"] is False
    assert len(told) == 117
    assert set(told.values()) <= {"succeeded", "exhausted", "interrupted", "not_tried"}
    assert "not_tried" in told.values()
    assert all(after[reference] == "confirmed" for reference, result in told.items() if result == "succeeded")
    confirmed = {reference for reference, status in after.items() if status == "confirmed"}
    assert len(confirmed) >= 5
    assert all(told[reference] in ("succeeded", "interrupted") for reference in confirmed)
    with psycopg.connect(url) as connection:
        unseated = (
            "SELECT count(*) FROM bookings b WHERE status = 'confirmed' AND NOT EXISTS "
            "(SELECT FROM allocations a WHERE a.booking_id = b.id AND a.hold_id IS NULL)"
        )
        assert connection.execute(unseated).fetchone() == (0,)


@pytest.mark.usefixtures("demo")
def test_a_server_that_goes_away_is_said_and_what_was_done_is_in_the_report(
    server_url: str, database_url: str, tmp_path: Path
) -> None:
    name = sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]))
    path = tmp_path / "report.json"
    with assigning(database_url, path) as command, psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (psycopg.conninfo.conninfo_to_dict(database_url)["dbname"],),
        )
        out, err = command.communicate(timeout=60)
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    assert command.returncode == 1
    assert "broken off: what was confirmed by then stays confirmed" in out
    [told] = [line for line in err.splitlines() if line.startswith("maitred: ")]
    assert not told.startswith(("maitred: unexpected", "maitred: database error"))
    assert "Traceback" not in err
    found = json.loads(path.read_text())
    assert found["error"] == "database_unavailable"
    check_report_of_broken_run(found, database_url)


@pytest.mark.usefixtures("demo")
def test_ctrl_c_leaves_the_report_of_what_was_done(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with assigning(database_url, path) as command:
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (130, "")
    check_report_of_broken_run(json.loads(path.read_text()), database_url)
