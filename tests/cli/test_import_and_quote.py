"""`maitred import` and `maitred quote` on a given database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.cli.command import Ended, maitred, one_line
from tests.venue.files import Raw, bent, put, small_file

MORNING = ("--as-of", "2025-11-06T06:00Z")


@pytest.fixture
def run(database_url: str) -> Callable[..., Ended]:
    return lambda *arguments: maitred(*arguments, MAITRED_DATABASE_URL=database_url)


@pytest.fixture
def imported(run: Callable[..., Ended], tmp_path: Path) -> Callable[[Raw], Ended]:
    def write_and_import(raw: Raw) -> Ended:
        path = tmp_path / f"{raw['restaurant']['slug']}.json"
        path.write_text(json.dumps(raw), encoding="utf-8")
        return run("import", path)

    return write_and_import


def test_an_import_says_what_it_did(imported: Callable[[Raw], Ended]) -> None:
    assert imported(small_file()) == Ended(0, "restaurant chez-test added; bookings added: 3, already there: 0\n", "")
    assert imported(small_file()) == Ended(
        0, "restaurant chez-test was already there; bookings added: 0, already there: 3\n", ""
    )


def test_a_bad_file_gets_one_line_and_exit_code_2_and_writes_nothing(
    imported: Callable[[Raw], Ended], database_url: str
) -> None:
    ended = imported(bent(put("tables", 1, "zone", value="Cellar")))
    assert ended.code == 2
    assert one_line(ended) == 'maitred: table T2: zone: unknown zone "Cellar"'
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM restaurants").fetchone() == (0,)


def test_a_file_that_is_not_there_gets_exit_code_2(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run("import", tmp_path / "nowhere.json")
    assert (ended.code, one_line(ended)) == (2, f"maitred: file {tmp_path}/nowhere.json: path: there is no such file")


def test_a_quote_shows_the_plans_and_holds_nothing(
    imported: Callable[[Raw], Ended], run: Callable[..., Ended], database_url: str
) -> None:
    imported(small_file())
    ended = run("quote", "R1", *MORNING)
    assert (ended.code, ended.err) == (0, "")
    assert "R1 at chez-test: party of 2, 2025-11-06 12:00 Europe/London, pending" in ended.out
    assert "\x1b" not in ended.out
    explained = run("quote", "R1", "--explain", *MORNING).out
    assert "slack" in explained
    assert "scarcity" in explained
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM allocations").fetchone() == (0,)


def test_the_knobs_of_a_quote_reach_the_planner(imported: Callable[[Raw], Ended], run: Callable[..., Ended]) -> None:
    def plans(*options: str) -> list[list[str]]:
        found = json.loads(run("quote", "R2", "--json", *options, *MORNING).out)
        return [plan["tables"] for plan in found["plans"]]

    imported(small_file())
    assert ["T1", "T2"] in plans()
    assert ["T1", "T2"] not in plans("--max-tables", "1")
    assert plans("--avoid", "t2", "--avoid", "T10", "--zone", "terrace") == [["P1"]]


def test_why_nothing_fits_is_said_for_each_table(imported: Callable[[Raw], Ended], run: Callable[..., Ended]) -> None:
    imported(small_file())
    ended = run("quote", "R2", "--explain", "--zone", "room", "--avoid", "T2", "--avoid", "T10", *MORNING)
    assert ended.code == 0
    rows = dict(line.split(None, 1) for line in ended.out.splitlines() if line.startswith((" T", " P")))
    assert rows["T2"].rstrip() == "to be avoided"
    assert rows["P1"].rstrip() == "in another zone than asked for"
    assert rows["T1"].startswith("too small alone")


@pytest.mark.parametrize(
    ("raw", "options", "code"),
    [
        (bent(put("bookings", 1, "party_size", value=500)), MORNING, "hard.global_capacity"),
        (small_file() | {"zones": [], "tables": [], "adjacency": []}, MORNING, "hard.no_tables"),
        (small_file(), (), "hard.start_passed"),
        (
            bent(
                lambda raw: (
                    raw["policy"].update(outside_any_service="refuse") or raw["bookings"][1].update(time="16:00")
                )
            ),
            MORNING,
            "hard.outside_service",
        ),
    ],
    ids=["party larger than the venue", "no tables", "in the past", "outside every service"],
)
def test_what_cannot_be_seated_gets_a_coded_reason(
    imported: Callable[[Raw], Ended], run: Callable[..., Ended], raw: Raw, options: tuple[str, ...], code: str
) -> None:
    assert imported(raw).code == 0
    ended = run("quote", "R2", "--explain", *options)
    assert (ended.code, ended.err) == (0, "")
    assert f"({code})" in ended.out


def test_a_reference_that_several_restaurants_have_needs_the_restaurant(
    imported: Callable[[Raw], Ended], run: Callable[..., Ended]
) -> None:
    imported(small_file())
    imported(bent(put("restaurant", "slug", value="other")))
    ended = run("quote", "R1")
    assert (ended.code, one_line(ended)) == (1, "maitred: booking R1 exists at chez-test, other: say which restaurant")
    assert "R1 at other" in run("quote", "R1", "--restaurant", "other", *MORNING).out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("R9",), 1, "no booking R9"),
        (("R1", "--zone", "cellar"), 2, "quote: zone: no zone 'cellar'"),
        (("R1", "--avoid", "T9"), 2, "quote: avoid: no table 'T9'"),
        (("R1", "--as-of", "2025-11-06"), 2, "quote: --as-of: must be an instant with its zone"),
    ],
)
def test_what_a_quote_cannot_find_is_named(
    imported: Callable[[Raw], Ended], run: Callable[..., Ended], arguments: tuple[str, ...], code: int, message: str
) -> None:
    imported(small_file())
    ended = run("quote", *arguments)
    assert ended.code == code
    assert one_line(ended).startswith(f"maitred: {message}")
