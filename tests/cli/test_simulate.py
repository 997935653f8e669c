"""`maitred simulate` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import maitred, one_line


def test_days_are_played_on_a_database_and_leave_nothing_behind(database_url: str, tmp_path: Path) -> None:
    file, page = tmp_path / "figures.json", tmp_path / "figures.html"
    typed = ("simulate", "--load", "1.05", "--days", "1", "--policy", "best-fit", "--policy", "moves", "--json", file)
    there = maitred(*typed, "--html", page, "--on-given-database", MAITRED_DATABASE_URL=database_url)
    assert there.code == 0, there.err
    assert "load 1.05" in there.out
    assert "moves" in there.out
    told = json.loads(file.read_text())
    assert [row["policy"] for row in told["loads"][0]["rows"]] == ["best-fit", "moves"]
    assert page.read_text().startswith("<!doctype html>")

    here = maitred(*typed, "--in-memory", MAITRED_DATABASE_URL=database_url)
    assert here.code == 0, here.err
    assert json.loads(file.read_text()) == told

    again = maitred(*typed, "--on-given-database", MAITRED_DATABASE_URL=database_url)
    assert again.code == 0, again.err
    assert json.loads(file.read_text()) == told


def test_a_given_database_is_written_to_only_when_asked(database_url: str) -> None:
    refused = maitred("simulate", MAITRED_DATABASE_URL=database_url)
    assert refused.code == 2
    assert "--on-given-database" in one_line(refused)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--load", "-1"), "--load"),
        (("--load", "nan"), "--load"),
        (("--days", "0"), "--days"),
        (("--seed", "-1"), "--seed"),
        (("--policy", "magic"), "--policy"),
        (("--bound-seconds", "0"), "--bound-seconds"),
        (("--from-history",), "--from-history"),
        (("--json", "/nowhere/at/all.json"), "--json"),
        (("--html", "/nowhere/at/all.html"), "--html"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: tuple[str, ...], names: str) -> None:
    refused = maitred("simulate", "--in-memory", *options)
    assert refused.code == 2
    assert names in one_line(refused)
