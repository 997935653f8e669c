"""A comparison says the same in every format, and its verdict in one sentence."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from maitred.observability.baseline import Distribution, Percentile, Share
from maitred.observability.compare import Comparison, Side
from maitred.observability.compare_measures import Difference, Name, Unknown
from maitred.observability.compare_report import render_markdown, render_table, to_json, verdict
from maitred.observability.compare_rule import Judgement, Verdict
from maitred.observability.compare_selector import Selector
from maitred.observability.completeness import Completeness

SINCE = datetime(2025, 11, 6, 12, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=4)


def side(bookings: int, text: str = "all", unnumbered: int = 0) -> Side:
    return Side(
        selector=Selector(text, SINCE, UNTIL),
        bookings=bookings,
        planner_ms=Distribution(40, 3.0, Percentile(2.0, None), bookings=bookings),
        seated=Share(bookings, bookings),
        completeness=Completeness(SINCE, UNTIL, None, unnumbered=unnumbered),
    )


MEDIAN = Difference(Name.MEDIAN, 2.0, 3.0, math.log(1.5), 0.1, math.log(1.2), math.log(1.875))
P95 = Difference(Name.P95, 4_000.0, 3_000.0, math.log(0.75), 0.1, None, math.log(1.1))
SEATED = Difference(Name.SEATED, 0.8, 0.81, 0.01, 0.01, -0.02, 0.04)
ATTEMPTS = Unknown(Name.ATTEMPTS, 1.5, None, 3.0)

COMPARISON = Comparison(
    side(120, "[bold]a|b[/]"),
    side(80, "second", unnumbered=2),
    paired=False,
    left_out=0,
    measures=(MEDIAN, P95, SEATED, ATTEMPTS),
    judgement=Judgement(Verdict.WORSE, (Name.MEDIAN,)),
)


def terminal(comparison: Comparison, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as shown:
        console.print(render_table(comparison))
    return shown.get()


def test_every_figure_is_there() -> None:
    for text in (terminal(COMPARISON), render_markdown(COMPARISON)):
        for words in (
            "120 bookings, 40 planner calls",
            "x1.500",
            "x1.875",
            "at least 4,000.0 ms",
            "open",
            "+1.0 pp",
            "80.0%",
            "not known",
            "B is worse than A: median planner time.",
            "95% confidence",
            "A: Complete",
            "B: Incomplete: 2 measurements without a number",
        ):
            assert words in text


def test_words_are_shown_as_they_are() -> None:
    assert "[bold]a|b[/]" in terminal(COMPARISON)


@pytest.mark.parametrize("width", [30, 80])
def test_the_table_fits_any_width(width: int) -> None:
    assert all(len(line) <= width for line in terminal(COMPARISON, width).splitlines())


def test_every_row_of_the_markdown_table_has_its_columns() -> None:
    rows = [line for line in render_markdown(COMPARISON).splitlines() if line.startswith("|")]
    assert len(rows) == 6
    assert {row.count("|") for row in rows} == {8}


NOT_ENOUGH = Judgement(Verdict.NOT_ENOUGH, factor=2.5)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"judgement": Judgement(Verdict.BETTER, (Name.P95, Name.SEATED))}, "B is better than A: p95 planner time and"),
        ({"judgement": Judgement(Verdict.ALIKE)}, "A and B are alike"),
        ({"judgement": NOT_ENOUGH}, "Not enough data: about 180 more bookings in A and 120 in B would tell."),
        ({"judgement": Judgement(Verdict.NOT_ENOUGH, factor=12.34)}, "about 1,400 more bookings in A and 910 in B"),
        ({"judgement": NOT_ENOUGH, "paired": True}, "about 180 more bookings that both worked on would tell."),
        ({"judgement": Judgement(Verdict.NOT_ENOUGH)}, "too many calls timed out"),
        ({"judgement": NOT_ENOUGH, "a": side(0)}, "Not enough data: A has no bookings."),
        ({"judgement": NOT_ENOUGH, "b": side(0)}, "Not enough data: B has no bookings."),
        ({"judgement": NOT_ENOUGH, "a": side(0), "paired": True}, "no booking was worked on by both."),
    ],
)
def test_the_verdict_is_one_sentence(changed: dict[str, Any], sentence: str) -> None:
    comparison = replace(COMPARISON, **changed)
    assert sentence in verdict(comparison)
    assert sentence in to_json(comparison)["sentence"]


def test_a_paired_comparison_says_what_it_left_out() -> None:
    text = render_markdown(replace(COMPARISON, paired=True, left_out=7))
    assert "only the 120 bookings that both worked on, without 7 whose inline call timed out" in text


def test_json_is_json_with_the_figures() -> None:
    read = json.loads(json.dumps(to_json(COMPARISON), allow_nan=False))
    assert read["verdict"] == "worse"
    assert read["because"] == ["median"]
    assert read["measures"]["median"] == {
        "a": 2.0,
        "b": 3.0,
        "known": True,
        "kind": "ratio",
        "estimate": pytest.approx(1.5),
        "lower": pytest.approx(1.2),
        "upper": pytest.approx(1.875),
        "said": "worse",
    }
    assert read["measures"]["p95"]["lower"] is None
    assert read["measures"]["seated"]["kind"] == "difference"
    assert read["measures"]["seated"]["said"] == "small"
    assert read["measures"]["attempts"]["said"] == "not known"
    assert set(read["measures"]["attempts"]) == set(read["measures"]["median"])
    assert read["more_bookings_a"] is None
    assert read["b"]["complete"] is False
