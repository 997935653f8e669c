"""The container's files name only what exists. That the image builds is for a machine with a container engine."""

from __future__ import annotations

import re
from pathlib import Path

from maitred.settings import Settings

_ROOT = Path(__file__).parents[2]
_PIN = re.compile(r"^([a-z0-9._-]+(?:\[[^]]*\])?==\S+)", re.MULTILINE)


def _pins(name: str) -> set[str]:
    return set(_PIN.findall((_ROOT / name).read_text(encoding="utf-8")))


def test_the_container_runs_with_the_pins_that_are_tested() -> None:
    run, tested = _pins("requirements-run.lock"), _pins("requirements.lock")
    assert len(run) > 40
    assert run <= tested
    assert not any(pin.startswith(("pytest", "mypy", "ruff", "hypothesis")) for pin in run)


def test_every_setting_of_the_container_exists() -> None:
    text = "".join((_ROOT / name).read_text(encoding="utf-8") for name in ("Dockerfile", "compose.yaml"))
    named = {each.lower() for each in re.findall(r"MAITRED_([A-Z_]+)", text)}
    assert named >= {"database_url", "database_pooler", "worker_database_url", "spill_dir"}
    assert named <= set(Settings.model_fields)


def test_the_container_is_no_root_and_changes_nothing_of_its_own() -> None:
    dockerfile = (_ROOT / "Dockerfile").read_text(encoding="utf-8")
    last_user = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)[-1]
    assert last_user == "10001:10001"
    assert "HEALTHCHECK" in dockerfile
    compose = (_ROOT / "compose.yaml").read_text(encoding="utf-8")
    ours = re.findall(r"^  (?:api|worker):\n((?:    .*\n|\n)+)", compose, re.MULTILINE)
    assert len(ours) == 2
    assert all("read_only: true" in each and 'cap_drop: ["ALL"]' in each for each in ours)
