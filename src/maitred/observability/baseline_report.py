"""The baseline as people and programs read it: a terminal table, Markdown, JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.observability.baseline import (
    Baseline,
    Distribution,
    EventRate,
    HourCount,
    Percentile,
    family_of,
)
from maitred.observability.order_statistics import FEWEST

_LEGEND = (
    "up to: the true percentile lies below this with 97.5% confidence. bound open: too few values to say "
    f"(p95 needs {FEWEST[0.95]}, p99 {FEWEST[0.99]})."
)

_NONE = "-"


@dataclass(frozen=True, slots=True)
class _Bounded:
    """A percentile and what is to be said of its bound."""

    value: str
    bound: str


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | _Bounded, ...], ...]


def render_table(baseline: Baseline) -> RenderableType:
    """For a terminal."""
    parts: list[RenderableType] = [Text(_heading(baseline), style="bold")]
    for section in _sections(baseline):
        table = Table(box=SIMPLE_HEAD)
        for index, column in enumerate(section.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in section.rows:
            table.add_row(*(_cell(each) for each in row))
        parts += [Text(), Text(section.title, style="bold"), table]
    if baseline.events:
        parts += [Text(), Text(_LEGEND, style="dim")]
    return Group(*parts)


def render_markdown(baseline: Baseline) -> str:
    """For a document; ends with a line feed."""
    lines = ["# Baseline", "", _heading(baseline)]
    for section in _sections(baseline):
        lines += ["", f"## {section.title}", "", _line(section.columns)]
        lines.append(_line(("---", *("---:" for _ in section.columns[1:]))))
        lines += [_line(tuple(_words(each) for each in row)) for row in section.rows]
    if baseline.events:
        lines += ["", _LEGEND]
    return "\n".join(lines) + "\n"


def to_json(baseline: Baseline) -> dict[str, Any]:
    """For programs: always all keys. Times are in milliseconds where a name says `_ms`, instants in ISO 8601, UTC.

    `p95_upper` is the bound of `p95`, null when it is open (`p95_bound_open`); the same for `median` and `p99`.
    """
    planner, attempts = baseline.planner, baseline.attempts
    everything, *families = baseline.rates
    return {
        "since": baseline.since.isoformat(),
        "until": baseline.until.isoformat(),
        "restaurant_id": None if baseline.restaurant_id is None else str(baseline.restaurant_id),
        "events": baseline.events,
        "events_by_type": dict(baseline.events_by_type),
        "planner_duration_ms": {
            "all": _distribution_json(planner.overall),
            "by_source": _distributions_json(planner.by_source),
            "by_trigger": _distributions_json(planner.by_trigger),
            "by_success": _distributions_json(planner.by_success),
        },
        "planner_calls_per_booking": _distribution_json(baseline.calls_per_booking),
        "attempts_per_run": _distribution_json(attempts.per_run),
        "attempts_per_booking": _distribution_json(attempts.per_booking),
        "retries": attempts.retries,
        "runs_retried": attempts.runs_retried,
        "retry_delay_ms": _distribution_json(attempts.retry_delay_ms),
        "results": [
            {
                "result": line.result,
                "runs": line.runs,
                "attempts_used": _distribution_json(line.attempts_used),
                "total_duration_ms": _distribution_json(line.total_duration_ms),
                "skipped_first_attempt": line.skipped_first,
                "skip_reasons": line.skip_reasons,
            }
            for line in baseline.results
        ],
        "failure_reasons": [{"reason": reason, "planner_calls": calls} for reason, calls in baseline.failures],
        "events_per_hour": {
            "all": _rate_json(everything),
            "by_family": {str(rate.family): _rate_json(rate) for rate in families},
        },
        "hours": _hours_json(baseline.hours),
    }


def _heading(baseline: Baseline) -> str:
    since, until = (each.isoformat(sep=" ", timespec="seconds") for each in (baseline.since, baseline.until))
    whose = "" if baseline.restaurant_id is None else f", restaurant {baseline.restaurant_id}"
    if not baseline.events:
        return f"No events from {since} to {until}{whose}."
    return f"{baseline.events:,} events from {since} to {until}{whose}."


def _sections(baseline: Baseline) -> Iterator[_Section]:
    if not baseline.events:
        return
    planner, attempts = baseline.planner, baseline.attempts
    runs = sum(line.runs for line in baseline.results)
    yield _Section(
        "Planner calls (read, plan, hold)",
        ("", "n", "median", "p95", "p99", "max"),
        (
            _row("all", planner.overall, _ms),
            *(_row(f"source {name}", each, _ms) for name, each in planner.by_source.items()),
            *(_row(f"trigger {name}", each, _ms) for name, each in planner.by_trigger.items()),
            *(_row(f"success {name}", each, _ms) for name, each in planner.by_success.items()),
        ),
    )
    yield _Section(
        f"Attempts ({attempts.retries:,} retries, in {attempts.runs_retried:,} of {runs:,} runs)",
        ("", "n", "mean", "median", "p95", "p99", "max"),
        (
            _row_with_mean("planner calls per booking", baseline.calls_per_booking, _count),
            _row_with_mean("attempts per run", attempts.per_run, _count),
            _row_with_mean("attempts per booking", attempts.per_booking, _count),
            _row_with_mean("retry delay", attempts.retry_delay_ms, _ms),
        ),
    )
    if baseline.results:
        yield _Section(
            "Runs by result",
            ("result", "runs", "mean attempts", "median time", "p95 time", "p99 time", "max time"),
            tuple(
                (line.result, f"{line.runs:,}", _mean(line.attempts_used, _count), *_tail(line.total_duration_ms, _ms))
                for line in baseline.results
            ),
        )
    if baseline.failures:
        yield _Section(
            "Planner calls without success, by reason",
            ("reason", "calls"),
            tuple((reason, f"{calls:,}") for reason, calls in baseline.failures),
        )
    yield _Section(
        "Events per hour",
        ("family", "events", "per hour", "busiest hour"),
        tuple(
            (rate.family or "all", f"{rate.events:,}", f"{rate.per_hour:,.1f}", f"{rate.busiest_hour:,}")
            for rate in baseline.rates
        ),
    )


def _cell(content: str | _Bounded) -> Text:
    # Text, because words from foreign rows may look like rich's markup
    if isinstance(content, str):
        return Text(content)
    return Text.assemble(content.value, "\n", (content.bound, "dim"))


def _words(content: str | _Bounded) -> str:
    return content if isinstance(content, str) else f"{content.value} ({content.bound})"


_Format = Callable[[float], str]


def _row(name: str, found: Distribution, write: _Format) -> tuple[str | _Bounded, ...]:
    return name, f"{found.n:,}", *_tail(found, write)


def _row_with_mean(name: str, found: Distribution, write: _Format) -> tuple[str | _Bounded, ...]:
    return name, f"{found.n:,}", _mean(found, write), *_tail(found, write)


def _mean(found: Distribution, write: _Format) -> str:
    return _NONE if found.mean is None else write(found.mean)


def _tail(found: Distribution, write: _Format) -> tuple[str | _Bounded, ...]:
    largest = _NONE if found.max is None else write(found.max)
    return (*(_percentile(each, found.n, write) for each in (found.median, found.p95, found.p99)), largest)


def _percentile(found: Percentile | None, n: int, write: _Format) -> str | _Bounded:
    if found is None:
        return _NONE
    bound = f"bound open, n={n:,}" if found.upper is None else f"up to {write(found.upper)}"
    return _Bounded(write(found.value), bound)


def _ms(value: float) -> str:
    if value < 10:
        return f"{value:.2f} ms"
    if value < 10_000:
        return f"{value:,.1f} ms"
    return f"{value / 1000:,.1f} s"


def _count(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _distributions_json(found: Mapping[str, Distribution]) -> dict[str, Any]:
    return {name: _distribution_json(each) for name, each in found.items()}


def _distribution_json(found: Distribution) -> dict[str, Any]:
    return {
        "n": found.n,
        "mean": found.mean,
        **_percentile_json("median", found.median),
        **_percentile_json("p95", found.p95),
        **_percentile_json("p99", found.p99),
        "max": found.max,
    }


def _percentile_json(name: str, found: Percentile | None) -> dict[str, Any]:
    return {
        name: None if found is None else found.value,
        f"{name}_upper": None if found is None else found.upper,
        f"{name}_bound_open": found is None or found.upper is None,
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
