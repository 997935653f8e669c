"""The three ways of writing a baseline say the same, and never stumble over what they are given."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from maitred.observability.baseline import (
    Attempts,
    Baseline,
    Bin,
    Cut,
    Distribution,
    HourCount,
    Moment,
    Percentile,
    PlannerTimes,
    ResultLine,
    Share,
)
from maitred.observability.baseline_html import render_html
from maitred.observability.baseline_report import render_markdown, render_table, to_json
from maitred.observability.completeness import Completeness

SINCE = datetime(2025, 11, 6, 12, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=4)
EMPTY = Baseline(SINCE, UNTIL)


def forty(median: float = 2.0, p95: float = 12.3) -> Distribution:
    return Distribution(
        40,
        3.0,
        Percentile(median, median * 2, median / 2),
        Percentile(p95, None),
        Percentile(p95 * 2, None),
        p95 * 3,
        bookings=30,
    )


AT_LEAST = Distribution(
    40, 3.0, Percentile(2.0, 4.0, 1.0), Percentile(4_000.0, None, 9.0, at_least=True), None, 4_000.0, 30, 3, True
)
CUT = Cut(
    planner_ms=forty(),
    found=30,
    cache_hits=5,
    lost_races=6,
    confirmed_ms=forty(7.0),
    attempts_per_run=forty(),
    retry_delay_ms=forty(8_000.0),
    results={"succeeded": 3, "cutoff": 1},
)

FULL = Baseline(
    SINCE,
    UNTIL,
    restaurant_id=UUID(int=7),
    planner=PlannerTimes(
        forty(),
        by_source={"auto_assign": forty()},
        by_trigger={"[bold]odd|trigger[/]": forty()},
        by_success={"true": forty(0.54), "false": forty(p95=12_345_678.0)},
    ),
    previews=forty(0.33),
    cache_hits=5,
    lost_races=6,
    seated=Share(3, 4, 0.3, 0.95),
    calls_per_booking=forty(),
    attempts=Attempts(
        forty(), forty(), retries=3, runs_retried=2, retry_delay_ms=forty(), runs_by_attempts=((1, 30), (3, 9), (20, 1))
    ),
    results=(
        ResultLine("succeeded", 40, forty(), forty(), 1, 1),
        ResultLine("cutoff", 1, Distribution(0), forty(), 0, 0),
    ),
    failures=(("hard.no_capacity", 4), ("NO_REASON", 1)),
    cuts={
        "source": {"auto_assign": replace(CUT, events=42, events_per_hour=10.5)},
        "trigger": {"[bold]odd|trigger[/]": CUT},
        "strategy": {"required/3": CUT, "free/5": CUT},
        "venue": {f"venue-{number}": CUT for number in range(20)},
        "day": {f"2025-11-{number:02}": CUT for number in range(1, 21)},
    },
    over_time=tuple(Moment(SINCE + timedelta(hours=number), each) for number, each in enumerate((forty(), AT_LEAST))),
    histogram=(Bin(1.0, 1.26, 37, 0), Bin(3_981.0, 5_012.0, 3, 3)),
    hours=(HourCount(SINCE, "auto_assign.quote", 40), HourCount(SINCE, "inline_auto_assign.no_hold", 2)),
    completeness=Completeness(SINCE, UNTIL, None, unnumbered=2),
)


def terminal(baseline: Baseline, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as shown:
        console.print(render_table(baseline))
    return shown.get()


def test_markdown_says_that_a_bound_is_open() -> None:
    assert "| all | 40 | 2.00 ms (1.00 to 4.00 ms) | 12.3 ms (open) |" in render_markdown(FULL)


def test_the_table_says_that_a_bound_is_open() -> None:
    shown = terminal(FULL)
    assert "12.3 ms" in shown
    assert "open" in shown
    assert "1.00 to 4.00 ms" in shown


@pytest.mark.parametrize("width", [20, 80, 200])
def test_the_table_fits_any_width(width: int) -> None:
    assert all(len(line) <= width for line in terminal(FULL, width).splitlines())


def test_every_figure_of_the_sections_is_there() -> None:
    for text in (terminal(FULL), render_markdown(FULL)):
        for words in (
            "42 events",
            str(UUID(int=7)),
            "3 retries, in 2 of 41 runs",
            "planner calls per booking",
            "retry delay",
            "succeeded",
            "hard.no_capacity",
            "NO_REASON",
            "inline_auto_assign",
            "12,345.7 s",
            "0.54 ms",
            "p95 needs 73",
            "2 measurements without a number",
            "5 cache hits not among them; 6 lost races",
            "previews (held nothing)",
            "0.33 ms",
            "3 of 4 bookings, 75.0% (30.0% to 95.0%)",
            "strategy free/5",
            "13 more in --format json",
            "2025-11-20",
            "7.00 ms",
            "8,000.0 ms",
        ):
            assert words in text


def test_words_of_foreign_rows_are_shown_as_they_are() -> None:
    assert "[bold]odd|trigger[/]" in terminal(FULL)
    assert "[bold]odd\\|trigger[/]" in render_markdown(FULL)


def test_every_row_of_a_markdown_table_has_its_columns() -> None:
    blocks = [block.splitlines() for block in render_markdown(FULL).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 10
    for block in blocks:
        assert len({line.replace("\\|", "").count("|") for line in block}) == 1


def test_an_empty_window_says_so() -> None:
    said = "No events from 2025-11-06 12:00:00+00:00 to 2025-11-06 16:00:00+00:00."
    assert terminal(EMPTY).strip() == said
    assert render_markdown(EMPTY) == f"# Baseline\n\n{said}\n"
    assert to_json(EMPTY)["events"] == 0


def keys(value: object, prefix: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {prefix}
    return {prefix}.union(*(keys(each, f"{prefix}.{name}") for name, each in value.items()))


def test_json_has_the_same_keys_for_nothing_and_for_much() -> None:
    named = (".planner_duration_ms.by_", ".events_per_hour.by_family.", ".events_by_type.", ".by.", ".runs_by_attempts")
    fixed = [{key for key in keys(to_json(each)) if not key.startswith(named)} for each in (EMPTY, FULL)]
    assert fixed[0] == fixed[1]
    assert {
        ".since",
        ".planner_duration_ms.all.n",
        ".planner_duration_ms.all.median",
        ".planner_duration_ms.all.p95_upper",
        ".planner_duration_ms.all.p99_bound_open",
        ".retry_delay_ms.max",
        ".attempts_per_run.mean",
        ".retries",
        ".results",
        ".failure_reasons",
        ".events_per_hour.all.per_hour",
        ".hours",
    } <= fixed[0]


def test_json_is_json_with_the_figures() -> None:
    read = json.loads(json.dumps(to_json(FULL), allow_nan=False))
    assert read["planner_duration_ms"]["all"] == {
        "n": 40,
        "mean": 3.0,
        "median": 2.0,
        "median_upper": 4.0,
        "median_bound_open": False,
        "p95": 12.3,
        "p95_upper": None,
        "p95_bound_open": True,
        "p99": 24.6,
        "p99_upper": None,
        "p99_bound_open": True,
        "max": pytest.approx(36.9),
        "max_at_least": False,
        "timed_out": 0,
        "bookings": 30,
        "median_lower": 1.0,
        "p95_lower": None,
        "p99_lower": None,
        "median_at_least": False,
        "p95_at_least": False,
        "p99_at_least": False,
    }
    assert read["failure_reasons"][1] == {"reason": "NO_REASON", "planner_calls": 1}
    assert read["hours"] == [
        {"hour": SINCE.isoformat(), "events": 42, "by_family": {"auto_assign": 40, "inline_auto_assign": 2}}
    ]
    assert read["results"][0]["total_duration_ms"]["p95"] == 12.3


def test_a_percentile_that_falls_on_a_time_out_is_a_least() -> None:
    shown = replace(FULL, planner=PlannerTimes(AT_LEAST))
    assert "at least 4,000.0 ms (9.00 ms to open)" in render_markdown(shown)
    assert "| at least 4,000.0 ms |" in render_markdown(shown)
    assert to_json(shown)["planner_duration_ms"]["all"]["p95_at_least"] is True
    assert to_json(shown)["planner_duration_ms"]["all"]["max_at_least"] is True


def test_every_format_says_how_complete_the_events_are() -> None:
    for each in (FULL, replace(EMPTY, completeness=FULL.completeness)):
        for text in (terminal(each), render_markdown(each), render_html(each)):
            assert "Incomplete: 2 measurements without a number" in text
        assert to_json(each)["complete"] is False
        assert "2 measurements" in to_json(each)["completeness"]
