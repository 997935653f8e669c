"""The README's commands exist and its figures of the day are those of the project."""

from __future__ import annotations

import json
import re
from pathlib import Path

import typer.main

from maitred.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_command_it_names_exists() -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group, since there are several
    named = set(re.findall(r"(?:^|`)(?:\.venv/bin/)?maitred ([a-z]+)", README, re.MULTILINE))
    assert named
    assert named <= known


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test", "bench"} <= named <= targets


def test_every_document_it_names_is_there() -> None:
    for path in re.findall(r"\b(docs/[\w.-]+(?:/[\w.-]+)*|CONTRIBUTING\.md|src/[\w./]+\.py)", README):
        assert (ROOT / path.rstrip("/.")).exists(), path


def test_its_figures_of_the_original_are_those_kept_beside_the_demo() -> None:
    original = json.loads((ROOT / "src/maitred/demo/data/original.json").read_text())
    text = json.dumps(original)
    for figure in ("191.83", "2077.96", "256", "279"):
        assert figure in text
    assert "40 of 117 parties seated in 192 s, then 5 in 2,078 s" in README
