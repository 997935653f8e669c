"""`maitred import --venue`, `maitred export` and `maitred webhooks`, as somebody types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from maitred.cli import app
from maitred.errors import ImportRefused, InvalidInput

SERVICES = "key,start,end,turn_bands\nall,10:00,23:00,8:90\n"
TABLES = "number,zone,capacity\nT1,Hall,4\n"
BOOKINGS = "reference,date,time,party_size,notes\nR1,2030-06-05,12:00,2,=1+1\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Path:
    monkeypatch.setenv("MAITRED_DATABASE_URL", database_url)
    for name, text in (("services", SERVICES), ("tables", TABLES), ("bookings", BOOKINGS)):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_venue_comes_from_csv_and_its_day_goes_out_again(files: Path) -> None:
    sheets = [word for sheet in ("services", "tables", "bookings") for word in (f"--{sheet}", f"{files}/{sheet}.csv")]
    new = ["import", "--venue", "v", "--name", "V", "--timezone", "Europe/London", *sheets]
    assert "bookings would be added: 1" in run(*new, "--dry-run")
    assert "bookings added: 1" in run(*new)
    out = run("export", "--restaurant", "v", "--date", "2030-06-05", "--format", "csv")
    assert "R1,2030-06-05,12:00,2,pending,,,,,'=1+1" in out
    day = files / "day.json"
    run("export", "--restaurant", "v", "--date", "2030-06-05", "--format", "json", "--output", str(day))
    assert "bookings added: 0, already there: 1" in run("import", str(day))
    (files / "bad.csv").write_text(BOOKINGS + "R2,2030-06-05,12:00,none,\n")
    result = CliRunner().invoke(app, ["import", "--venue", "v", "--bookings", f"{files}/bad.csv"])
    assert isinstance(result.exception, ImportRefused)
    assert f"{files}/bad.csv:3: party_size: must be a whole number" in result.output


def test_a_json_file_with_mistakes_is_told_by_line_without_a_database(tmp_path: Path) -> None:
    file = tmp_path / "day.json"
    file.write_text('{\n "format": "maitred.day/1",\n "date": "2030-02-30"\n}\n')
    result = CliRunner().invoke(app, ["import", str(file), "--dry-run"])
    assert isinstance(result.exception, ImportRefused)
    assert f"{file}:" in result.output


def test_files_that_dont_go_together_are_refused(files: Path) -> None:
    for words in (["import"], ["import", "x.json", "--venue", "v"], ["import", "--venue", "v"]):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, InvalidInput)
