"""A comparison as people and programs read it: a terminal table, Markdown, JSON. Pure."""

from __future__ import annotations

import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.observability.baseline_report import distribution_json
from maitred.observability.baseline_sections import count, ms
from maitred.observability.compare import Comparison, Side
from maitred.observability.compare_measures import CONFIDENCE, MARGIN, TIMES, Difference, Name, Unknown
from maitred.observability.compare_rule import Verdict, more_bookings

_COLUMNS = ("", "A", "B", "B vs A", "from", "to", "")
_SHORT = {Name.MEDIAN: "median time", Name.P95: "p95 time", Name.SEATED: "seated", Name.ATTEMPTS: "calls/booking"}


def render_table(comparison: Comparison) -> RenderableType:
    """For a terminal."""
    table = Table(box=SIMPLE_HEAD)
    for place, column in enumerate(_COLUMNS):
        table.add_column(column, justify="left" if place in (0, 6) else "right")
    for row in _rows(comparison):
        table.add_row(*(Text(cell) for cell in row))
    style = {Verdict.BETTER: "bold green", Verdict.WORSE: "bold red"}.get(comparison.judgement.verdict, "bold")
    return Group(
        *(Text(line) for line in _sides(comparison)),
        table,
        Text(verdict(comparison), style=style),
        Text(_legend(comparison), style="dim"),
    )


def render_markdown(comparison: Comparison) -> str:
    """For a document; ends with a line feed."""
    head = [" | ".join(_COLUMNS), " | ".join(("---", *("---:" for _ in _COLUMNS[1:-1]), "---"))]
    rows = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in _rows(comparison)]
    lines = ["# Comparison", "", *(f"- {line}" for line in _sides(comparison)), ""]
    lines += [f"| {line} |" for line in (*head, *rows)]
    return "\n".join([*lines, "", f"**{verdict(comparison)}**", "", _legend(comparison)]) + "\n"


def to_json(comparison: Comparison) -> dict[str, Any]:
    """For programs: always all keys. Of times `estimate` is a ratio, B over A, else a difference, B minus A."""
    judgement, factor = comparison.judgement, comparison.judgement.factor
    return {
        "a": _side_json(comparison.a),
        "b": _side_json(comparison.b),
        "paired": comparison.paired,
        "left_out": comparison.left_out,
        "confidence_of_all_together": CONFIDENCE,
        "measures": {each.name.name.lower(): _measure_json(each) for each in comparison.measures},
        "verdict": judgement.verdict.value,
        "because": [name.name.lower() for name in judgement.because],
        "more_bookings_a": None if factor is None else more_bookings(factor, comparison.a.bookings),
        "more_bookings_b": None if factor is None else more_bookings(factor, comparison.b.bookings),
        "sentence": verdict(comparison),
    }


def verdict(comparison: Comparison) -> str:
    """One sentence."""
    judgement = comparison.judgement
    because = " and ".join(judgement.because)
    match judgement.verdict:
        case Verdict.BETTER | Verdict.WORSE:
            return f"B is {judgement.verdict.value} than A: {because}."
        case Verdict.ALIKE:
            return "A and B are alike: no difference that matters."
        case Verdict.NOT_ENOUGH:
            return f"Not enough data: {_what_it_takes(comparison)}"


def _what_it_takes(comparison: Comparison) -> str:
    a, b = comparison.a.bookings, comparison.b.bookings
    factor = comparison.judgement.factor
    if not a or not b:
        nothing = "no booking was worked on by both" if comparison.paired else f"{'B' if a else 'A'} has no bookings"
        return f"{nothing}."
    if factor is None:
        return "too many calls timed out for a percentile to be known; more bookings of this kind would not help."
    if comparison.paired:
        return f"about {_round(more_bookings(factor, a)):,} more bookings that both worked on would tell."
    more = tuple(_round(more_bookings(factor, side)) for side in (a, b))
    return f"about {more[0]:,} more bookings in A and {more[1]:,} in B would tell."


def _round(bookings: int) -> int:
    """To two digits, upwards: an estimate is no count."""
    step = int(10 ** max(len(str(bookings)) - 2, 0))
    return math.ceil(bookings / step) * step


def _sides(comparison: Comparison) -> list[str]:
    lines = [_side("A", comparison.a), _side("B", comparison.b)]
    if comparison.paired:
        lines.append(
            f"Paired: only the {comparison.a.bookings:,} bookings that both worked on, without {comparison.left_out:,} "
            "whose inline call timed out."
        )
    told = dict.fromkeys((comparison.a.completeness.sentence, comparison.b.completeness.sentence))
    if len(told) == 1:
        return [*lines, *told]
    return [*lines, *(f"{name}: {sentence}" for name, sentence in zip("AB", told, strict=True))]


def _side(name: str, side: Side) -> str:
    since, until = (f"{each:%Y-%m-%d %H:%M:%S}" for each in (side.selector.since, side.selector.until))
    return (
        f"{name}: {side.selector.text}; {since} to {until} UTC; {side.bookings:,} bookings, "
        f"{side.planner_ms.n:,} planner calls"
    )


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    return [_row(each) for each in comparison.measures]


def _row(each: Difference | Unknown) -> tuple[str, ...]:
    first, second = (_value(each.name, value) for value in (each.a, each.b))
    if isinstance(each, Unknown):
        return _SHORT[each.name], first, second, "-", "-", "-", "not known"
    if each.name in TIMES:
        first, second = (
            f"at least {shown}" if end is None else shown for shown, end in ((first, each.lower), (second, each.upper))
        )
    low, high = ("open" if end is None else _change(each.name, end) for end in (each.lower, each.upper))
    return _SHORT[each.name], first, second, _change(each.name, each.estimate), low, high, _said(each)


def _said(each: Difference) -> str:
    if each.is_better:
        return "better"
    if each.is_worse:
        return "worse"
    return "small" if each.is_small else "open"


def _value(name: Name, value: float | None) -> str:
    if value is None:
        return "-"
    if name in TIMES:
        return ms(value)
    return f"{value:.1%}" if name is Name.SEATED else count(value)


def _change(name: Name, value: float) -> str:
    if name in TIMES:
        return f"x{math.exp(value):.3f}"
    return f"{value * 100:+.1f} pp" if name is Name.SEATED else f"{value:+.2f}"


def _legend(comparison: Comparison) -> str:
    matters = f"what matters is a ratio of {math.exp(MARGIN[Name.MEDIAN]):.1f} in times"
    if not comparison.paired:
        matters += f", {MARGIN[Name.SEATED] * 100:.0f} points seated, {MARGIN[Name.ATTEMPTS]:.1f} calls"
    return (
        f"All {len(comparison.measures)} ranges hold together with {CONFIDENCE:.0%} confidence, from resampling "
        f"bookings; {matters}. small: surely less than that. open: not known yet."
    )


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "selector": side.selector.text,
        "since": side.selector.since.isoformat(),
        "until": side.selector.until.isoformat(),
        "bookings": side.bookings,
        "seated": side.seated.part,
        "planner_duration_ms": distribution_json(side.planner_ms),
        "complete": side.completeness.complete,
        "completeness": side.completeness.sentence,
    }


def _measure_json(each: Difference | Unknown) -> dict[str, Any]:
    known = isinstance(each, Difference)
    times = each.name in TIMES

    def scaled(value: float | None) -> float | None:
        return math.exp(value) if times and value is not None else value

    return {
        "a": each.a,
        "b": each.b,
        "known": known,
        "kind": "ratio" if times else "difference",
        "estimate": scaled(each.estimate) if isinstance(each, Difference) else None,
        "lower": scaled(each.lower) if isinstance(each, Difference) else None,
        "upper": scaled(each.upper) if isinstance(each, Difference) else None,
        "said": _said(each) if isinstance(each, Difference) else "not known",
    }
