"""The baseline as people and programs read it: a terminal table, Markdown, JSON. Pure. HTML is `baseline_html`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.observability.baseline import (
    Baseline,
    Cut,
    Distribution,
    EventRate,
    HourCount,
    Percentile,
    Share,
    family_of,
)
from maitred.observability.baseline_sections import LEGEND, Bounded, completeness_sentence, heading, sections

_MANY = 7  # columns of short numbers: it is the name that gives way where there is little room


def render_table(baseline: Baseline) -> RenderableType:
    """For a terminal."""
    parts: list[RenderableType] = [Text(heading(baseline), style="bold")]
    if baseline.completeness is not None:
        parts.append(Text(completeness_sentence(baseline), style="" if baseline.completeness.complete else "yellow"))
    for section in sections(baseline):
        table = Table(box=SIMPLE_HEAD)
        name, *numbers = section.columns
        table.add_column(name, overflow="fold")
        for column in numbers:
            table.add_column(column, justify="right", overflow="fold", no_wrap=len(section.columns) > _MANY)
        for row in section.rows:
            table.add_row(*(_cell(each) for each in row))
        parts += [Text(), Text(section.title, style="bold"), table]
        if section.note:
            parts.append(Text(section.note))
    if baseline.events:
        parts += [Text(), Text(LEGEND, style="dim")]
    return Group(*parts)


def render_markdown(baseline: Baseline) -> str:
    """For a document; ends with a line feed."""
    lines = ["# Baseline", "", heading(baseline)]
    if baseline.completeness is not None:
        lines += ["", completeness_sentence(baseline)]
    for section in sections(baseline):
        lines += ["", f"## {section.title}", "", _line(section.columns)]
        lines.append(_line(("---", *("---:" for _ in section.columns[1:]))))
        lines += [_line(tuple(_words(each) for each in row)) for row in section.rows]
        if section.note:
            lines += ["", section.note]
    if baseline.events:
        lines += ["", LEGEND]
    return "\n".join(lines) + "\n"


def to_json(baseline: Baseline) -> dict[str, Any]:
    """For programs: always all keys. Times are in milliseconds where a name says `_ms`, instants in ISO 8601, UTC.

    `p95_lower` and `p95_upper` are the ends of the 95% interval of `p95`, null when open (`p95_bound_open`: the upper
    one is); `p95_at_least` says that the true p95 may be larger because calls timed out. The same for `median`, `p99`.
    """
    planner, attempts = baseline.planner, baseline.attempts
    everything, *families = baseline.rates
    return {
        "since": baseline.since.isoformat(),
        "until": baseline.until.isoformat(),
        "restaurant_id": None if baseline.restaurant_id is None else str(baseline.restaurant_id),
        "complete": None if baseline.completeness is None else baseline.completeness.complete,
        "completeness": None if baseline.completeness is None else baseline.completeness.sentence,
        "events": baseline.events,
        "events_by_type": dict(baseline.events_by_type),
        "planner_duration_ms": {
            "all": distribution_json(planner.overall),
            "by_source": _distributions_json(planner.by_source),
            "by_trigger": _distributions_json(planner.by_trigger),
            "by_success": _distributions_json(planner.by_success),
        },
        "previews_ms": distribution_json(baseline.previews),
        "cache_hits": baseline.cache_hits,
        "lost_races": baseline.lost_races,
        "seated": _share_json(baseline.seated),
        "planner_calls_per_booking": distribution_json(baseline.calls_per_booking),
        "attempts_per_run": distribution_json(attempts.per_run),
        "attempts_per_booking": distribution_json(attempts.per_booking),
        "runs_by_attempts": {str(number): runs for number, runs in attempts.runs_by_attempts},
        "retries": attempts.retries,
        "runs_retried": attempts.runs_retried,
        "retry_delay_ms": distribution_json(attempts.retry_delay_ms),
        "results": [
            {
                "result": line.result,
                "runs": line.runs,
                "attempts_used": distribution_json(line.attempts_used),
                "total_duration_ms": distribution_json(line.total_duration_ms),
                "skipped_first_attempt": line.skipped_first,
                "skip_reasons": line.skip_reasons,
            }
            for line in baseline.results
        ],
        "failure_reasons": [{"reason": reason, "planner_calls": calls} for reason, calls in baseline.failures],
        "by": {
            dimension: {name: _cut_json(cut) for name, cut in cuts.items()} for dimension, cuts in baseline.cuts.items()
        },
        "over_time": [
            {"start": each.start.isoformat(), "planner_duration_ms": distribution_json(each.planner_ms)}
            for each in baseline.over_time
        ],
        "histogram": [
            {"from_ms": each.low, "to_ms": each.high, "calls": each.calls, "timed_out": each.timed_out}
            for each in baseline.histogram
        ],
        "events_per_hour": {
            "all": _rate_json(everything),
            "by_family": {str(rate.family): _rate_json(rate) for rate in families},
        },
        "hours": _hours_json(baseline.hours),
    }


def distribution_json(found: Distribution) -> dict[str, Any]:
    """Always all keys."""
    return {
        "n": found.n,
        "bookings": found.bookings,
        "mean": found.mean,
        **_percentile_json("median", found.median),
        **_percentile_json("p95", found.p95),
        **_percentile_json("p99", found.p99),
        "max": found.max,
        "max_at_least": found.max_at_least,
        "timed_out": found.timed_out,
    }


def _cell(content: str | Bounded) -> Text:
    # Text, because words from foreign rows may look like rich's markup
    if isinstance(content, str):
        return Text(content)
    return Text.assemble(content.value, "\n", (content.bound, "dim"))


def _words(content: str | Bounded) -> str:
    return content if isinstance(content, str) else f"{content.value} ({content.bound})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _distributions_json(found: Mapping[str, Distribution]) -> dict[str, Any]:
    return {name: distribution_json(each) for name, each in found.items()}


def _percentile_json(name: str, found: Percentile | None) -> dict[str, Any]:
    return {
        name: None if found is None else found.value,
        f"{name}_lower": None if found is None else found.lower,
        f"{name}_upper": None if found is None else found.upper,
        f"{name}_bound_open": found is None or found.upper is None,
        f"{name}_at_least": found is not None and found.at_least,
    }


def _cut_json(cut: Cut) -> dict[str, Any]:
    return {
        "planner_duration_ms": distribution_json(cut.planner_ms),
        "calls_that_found": cut.found,
        "cache_hits": cut.cache_hits,
        "lost_races": cut.lost_races,
        "confirmed_ms": distribution_json(cut.confirmed_ms),
        "attempts_per_run": distribution_json(cut.attempts_per_run),
        "retry_delay_ms": distribution_json(cut.retry_delay_ms),
        "results": dict(cut.results),
        "events": cut.events,
        "events_per_hour": cut.events_per_hour,
    }


def _share_json(share: Share) -> dict[str, Any]:
    return {
        "bookings": share.part,
        "of": share.of,
        "share": share.value,
        "share_lower": share.lower,
        "share_upper": share.upper,
    }


def _rate_json(rate: EventRate) -> dict[str, Any]:
    return {"events": rate.events, "per_hour": rate.per_hour, "busiest_hour": rate.busiest_hour}


def _hours_json(hours: Sequence[HourCount]) -> list[dict[str, Any]]:
    by_hour: dict[datetime, Counter[str]] = {}
    for each in hours:
        by_hour.setdefault(each.hour, Counter())[family_of(each.event_type)] += each.events
    return [
        {"hour": hour.isoformat(), "events": counted.total(), "by_family": dict(sorted(counted.items()))}
        for hour, counted in sorted(by_hour.items())
    ]
