"""The demo's day, and the original system's figures for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from maitred.venue.document import DayDocument, parse_day

DEMO_FILE = "demo-restaurant-2025-11-06.json"


@dataclass(frozen=True, slots=True)
class OriginalRun:
    """A published run of the original. Durations are of one booking from its start to its answer, in milliseconds, by
    percentile: of all bookings, and of the seated ones alone."""

    seated: int
    covers: int
    total_seconds: float
    duration_ms: Mapping[str, float]
    seated_duration_ms: Mapping[str, float]
    concurrency: int


@dataclass(frozen=True, slots=True)
class Original:
    """The original's two runs, and the most that any assignment reaches: `best_fit_*` for one that takes the bookings
    in order of time and gives each its best fit, `most_*` for one that knows the whole day."""

    runs: tuple[OriginalRun, OriginalRun]
    best_fit_parties: int
    best_fit_covers: int
    most_parties: int
    most_covers: int


def demo_day() -> DayDocument:
    """The demo's venue and day."""
    return parse_day(files("maitred.demo.data").joinpath(DEMO_FILE).read_bytes(), DEMO_FILE)


def original_figures() -> dict[str, Any]:
    """The original's figures as they are kept."""
    found: dict[str, Any] = json.loads(files("maitred.demo.data").joinpath("original.json").read_bytes())
    return found


def original() -> Original:
    """The original's figures as values."""
    figures = original_figures()
    bounds = figures["bounds"]
    return Original(
        runs=(_run(figures["run_1"]), _run(figures["run_2"])),
        best_fit_parties=bounds["best_fit_in_time_order"]["parties"],
        best_fit_covers=bounds["best_fit_in_time_order"]["covers"],
        most_parties=bounds["most_parties"],
        most_covers=bounds["most_covers"],
    )


def _run(figures: dict[str, Any]) -> OriginalRun:
    return OriginalRun(
        seated=figures["seated"],
        covers=figures["covers"],
        total_seconds=figures["total_seconds"],
        duration_ms=figures["duration_ms"],
        seated_duration_ms=figures["seated_duration_ms"],
        concurrency=figures["concurrency"],
    )
