"""What the tables of a baseline say, before they become a terminal's, Markdown's or HTML's. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from maitred.observability.baseline import DIMENSIONS, Baseline, Cut, Distribution, Percentile, Share
from maitred.observability.order_statistics import FEWEST

LEGEND = (
    "Beside a percentile: where the true one lies with 95% confidence. It comes from resampling bookings, since "
    "attempts of one booking are alike. open: there is no upper bound, because there are too few bookings to say "
    f"(p95 needs {FEWEST[0.95]}, p99 {FEWEST[0.99]}) or because it lies among calls that timed out. "
    "at least: it falls on a call that timed out, or beyond one."
)

_NONE = "-"
_MOST_ROWS = 7  # of one dimension; JSON has all

Write: TypeAlias = Callable[[float], str]
_T = TypeVar("_T", Cut, Distribution)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A percentile and what is to be said of its bounds."""

    value: str
    bound: str


@dataclass(frozen=True, slots=True)
class Section:
    """One table. Its first column is left-aligned, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Bounded, ...], ...]
    note: str = field(default="")


def heading(baseline: Baseline) -> str:
    """What was looked at, in one sentence."""
    since, until = (each.isoformat(sep=" ", timespec="seconds") for each in (baseline.since, baseline.until))
    whose = "" if baseline.restaurant_id is None else f", restaurant {baseline.restaurant_id}"
    if not baseline.events:
        return f"No events from {since} to {until}{whose}."
    return f"{baseline.events:,} events from {since} to {until}{whose}."


def completeness_sentence(baseline: Baseline) -> str:
    """Whether the events are all there."""
    return "Nobody looked for gaps." if baseline.completeness is None else baseline.completeness.sentence


def sections(baseline: Baseline) -> Iterator[Section]:
    """All tables with something in them."""
    if not baseline.events:
        return
    yield _planner(baseline)
    yield _attempts(baseline)
    if baseline.results:
        yield Section(
            "Runs by result",
            ("result", "runs", "mean attempts", "median time", "p95 time", "p99 time", "max time"),
            tuple(
                (line.result, f"{line.runs:,}", _mean(line.attempts_used, count), *_tail(line.total_duration_ms, ms))
                for line in baseline.results
            ),
        )
    confirmed = _confirmed(baseline)
    if confirmed.rows:
        yield confirmed
    yield from _course(baseline)
    if baseline.failures:
        yield Section(
            "Planner calls without success, by reason",
            ("reason", "calls"),
            tuple((reason, f"{calls:,}") for reason, calls in baseline.failures),
        )
    yield _rates(baseline)


def ms(value: float) -> str:
    """Milliseconds, or seconds from ten on."""
    if value < 10:
        return f"{value:.2f} ms"
    if value < 10_000:
        return f"{value:,.1f} ms"
    return f"{value / 1000:,.1f} s"


def count(value: float) -> str:
    """With two decimals where they aren't 0."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(share: Share) -> str:
    """The share and its interval."""
    if share.value is None or share.lower is None or share.upper is None:
        return _NONE
    return f"{share.value:.1%} ({share.lower:.1%} to {share.upper:.1%})"


def bounded(found: Percentile | None, write: Write) -> str | Bounded:
    """A percentile as tables show it."""
    if found is None:
        return _NONE
    value = f"at least {write(found.value)}" if found.at_least else write(found.value)
    if found.upper is None:
        return Bounded(value, "open" if found.lower is None else f"{write(found.lower)} to open")
    if found.lower is None:
        return Bounded(value, f"up to {write(found.upper)}")
    return Bounded(value, between(found.lower, found.upper, write))


def between(low: float, high: float, write: Write) -> str:
    """As in `9.89 to 12.1 ms`."""
    first, second = write(low), write(high)
    number, _, unit = first.partition(" ")
    return f"{number if second.endswith(f' {unit}') else first} to {second}"


def _planner(baseline: Baseline) -> Section:
    planner = baseline.planner
    named = [
        ("all", planner.overall),
        *((f"source {name}", each) for name, each in planner.by_source.items() if len(planner.by_source) > 1),
        *((f"trigger {name}", each) for name, each in planner.by_trigger.items()),
        *((f"success {name}", each) for name, each in planner.by_success.items()),
    ]
    for dimension in ("strategy", "venue", "day"):
        cuts = [(name, cut.planner_ms) for name, cut in baseline.cuts.get(dimension, {}).items() if cut.planner_ms.n]
        if len(cuts) > 1:  # one alone is the same as all
            named += [(f"{dimension} {name}", each) for name, each in _latest(cuts, dimension)]
    if baseline.previews.n:
        named.append(("previews (held nothing)", baseline.previews))
    timed_out = planner.overall.timed_out
    return Section(
        "Planner calls (read, plan, hold)",
        ("", "n", "median", "p95", "p99", "max"),
        tuple((name, f"{each.n:,}", *_tail(each, ms)) for name, each in named),
        note=f"{baseline.cache_hits:,} cache hits not among them; {baseline.lost_races:,} lost races; "
        f"{timed_out:,} timed out.",
    )


def _attempts(baseline: Baseline) -> Section:
    attempts = baseline.attempts
    runs = sum(line.runs for line in baseline.results)
    return Section(
        f"Attempts ({attempts.retries:,} retries, in {attempts.runs_retried:,} of {runs:,} runs)",
        ("", "n", "mean", "median", "p95", "p99", "max"),
        (
            _row_with_mean("planner calls per booking", baseline.calls_per_booking, count),
            _row_with_mean("attempts per run", attempts.per_run, count),
            _row_with_mean("attempts per booking", attempts.per_booking, count),
            _row_with_mean("retry delay", attempts.retry_delay_ms, ms),
        ),
        note=f"Seated: {baseline.seated.part:,} of {baseline.seated.of:,} bookings, {percent(baseline.seated)}.",
    )


def _confirmed(baseline: Baseline) -> Section:
    rows = [
        (f"{dimension} {name}", f"{cut.confirmed_ms.n:,}", *_tail(cut.confirmed_ms, ms))
        for dimension in ("source", "trigger")
        for name, cut in baseline.cuts.get(dimension, {}).items()
        if cut.confirmed_ms.n
    ]
    return Section(
        "Quote to confirmed (inline), run's begin to confirmed (job)",
        ("", "n", "median", "p95", "p99", "max"),
        tuple(rows),
    )


def _course(baseline: Baseline) -> Iterator[Section]:
    for dimension in DIMENSIONS[1:]:  # all calls have one source
        cuts = list(baseline.cuts.get(dimension, {}).items())
        shown = _latest(cuts, dimension)
        if not shown or (len(cuts) == 1 and dimension != "trigger"):
            continue
        left_out = len(cuts) - len(shown)
        yield Section(
            f"By {dimension}",
            ("", "calls", "found", "attempts", "delay", "succeeded", "cached", "races"),
            tuple(_course_row(name, cut) for name, cut in shown),
            note=f"{left_out:,} more in --format json." if left_out else "",
        )


def _course_row(name: str, cut: Cut) -> tuple[str | Bounded, ...]:
    """Calls and the share that found tables; mean attempts of a run, median time to a retry, the share of runs that
    succeeded; cache hits and lost races."""
    calls, runs = cut.planner_ms.n, sum(cut.results.values())
    return (
        name,
        f"{calls:,}",
        f"{cut.found / calls:.1%}" if calls else _NONE,
        _mean(cut.attempts_per_run, count),
        ms(cut.retry_delay_ms.median.value) if cut.retry_delay_ms.median else _NONE,
        f"{cut.results.get('succeeded', 0) / runs:.1%}" if runs else _NONE,
        f"{cut.cache_hits:,}",
        f"{cut.lost_races:,}",
    )


def _rates(baseline: Baseline) -> Section:
    rows = [
        (rate.family or "all", f"{rate.events:,}", f"{rate.per_hour:,.1f}", f"{rate.busiest_hour:,}")
        for rate in baseline.rates
    ]
    rows += [
        (f"source {name}", f"{cut.events:,}", f"{cut.events_per_hour:,.1f}", _NONE)
        for name, cut in baseline.cuts.get("source", {}).items()
        if cut.events is not None and cut.events_per_hour is not None
    ]
    return Section("Events per hour", ("family", "events", "per hour", "busiest hour"), tuple(rows))


def _latest(cuts: list[tuple[str, _T]], dimension: str) -> list[tuple[str, _T]]:
    """As many as a table shows: the last days, else the largest."""
    return cuts[-_MOST_ROWS:] if dimension == "day" else cuts[:_MOST_ROWS]


def _row_with_mean(name: str, found: Distribution, write: Write) -> tuple[str | Bounded, ...]:
    return name, f"{found.n:,}", _mean(found, write), *_tail(found, write)


def _mean(found: Distribution, write: Write) -> str:
    return _NONE if found.mean is None else write(found.mean)


def _tail(found: Distribution, write: Write) -> tuple[str | Bounded, ...]:
    largest = _NONE if found.max is None else write(found.max)
    if found.max_at_least:
        largest = f"at least {largest}"
    return (*(bounded(each, write) for each in (found.median, found.p95, found.p99)), largest)
