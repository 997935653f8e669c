"""`maitred optimise` on a given database: the preview, applying, and what it says when it can't."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from maitred.demo.reference import demo_day
from tests.cli.command import Ended, maitred, one_line

DEMO = ("optimise", "--restaurant", "demo-restaurant", "--date", "2025-11-06", "--as-of", "2025-11-06T00:00Z")


@pytest.fixture
def run(database_url: str) -> Callable[..., Ended]:
    return lambda *arguments: maitred(*arguments, MAITRED_DATABASE_URL=database_url)


@pytest.fixture
def demo(run: Callable[..., Ended]) -> None:
    folder = Path(sys.modules[demo_day.__module__].__file__ or "").parent / "data"
    assert run("import", folder / "demo-restaurant-2025-11-06.json").code == 0


def confirmed(url: str) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), coalesce(sum(party_size), 0) FROM bookings WHERE status = 'confirmed'"
        ).fetchone()
    assert row is not None
    return row[0], int(row[1])


@pytest.mark.parametrize(("mode", "seated", "covers"), [("parties", 79, None), ("covers", None, 279)])
def test_the_demos_day_is_shown_and_then_seated_as_well_as_can_be(
    demo: None,
    run: Callable[..., Ended],
    database_url: str,
    tmp_path: Path,
    mode: str,
    seated: int | None,
    covers: int | None,
) -> None:
    path = tmp_path / "result.json"

    shown = run(*DEMO, "--mode", mode, "--deadline", "100", "--json", path)

    assert shown.code == 0
    assert shown.out.startswith("Demo Restaurant, 2025-11-06:")
    assert "proved best" in shown.out
    assert confirmed(database_url) == (0, 0)
    result = json.loads(path.read_text())
    assert result["status"] == "optimal"
    assert (result["gap"], result["moves"], result["objective"]) == (0, [], result["bound"])
    assert not result["applied"]

    assert run(*DEMO, "--mode", mode, "--deadline", "100", "--apply", "--json", path).code == 0

    result = json.loads(path.read_text())
    assert result["applied"]
    assert confirmed(database_url) == (result["seated"], result["covers"])
    assert seated in (None, result["seated"])
    assert covers in (None, result["covers"])
    assert "Nothing to change." in run(*DEMO, "--mode", mode, "--deadline", "100").out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--deadline", "0"), "deadline"),
        (("--deadline", "nan"), "deadline"),
        (("--mode", "tips"), "--mode"),
        (("--json", "/nowhere/at/all.json"), "--json"),
    ],
)
def test_bad_input_is_named_and_refused(run: Callable[..., Ended], arguments: tuple[str, ...], named: str) -> None:
    ended = run(*DEMO, *arguments)

    assert ended.code == 2
    assert named in one_line(ended)


def test_an_unknown_restaurant_is_named(run: Callable[..., Ended]) -> None:
    ended = run(*DEMO)

    assert ended.code == 1
    assert "no restaurant demo-restaurant" in one_line(ended)
