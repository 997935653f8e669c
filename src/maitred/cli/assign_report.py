"""An operations run as people and programs read it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.auto_assign.durations import Durations, durations
from maitred.auto_assign.operations import Line, OperationsRun, Round
from maitred.booking.question import Strategy
from maitred.errors import MaitredError
from maitred.model.reason import ReasonCode
from maitred.venue.read import Venue

FORMAT = "maitred.assign/1"

_FAILURES = frozenset({"cutoff", "exhausted", "error", "refused"})
_RESULT_WORDS = {
    "succeeded": "got tables",
    "planned": "would get tables",
    "refused": "would get none",
    "exhausted": "got none",
    "already_confirmed": "had tables already",
    "skipped": "over before their turn",
    "cutoff": "too close to the start",
    "error": "database error",
    "interrupted": "broken off: may be confirmed or not",
    "not_tried": "not tried",
}


def failed_by_error(run: OperationsRun) -> int:
    """How many bookings were left without tables by an error rather than by a reason."""
    return sum(line.result == "error" for line in run.lines)


def strategy_words(strategy: Strategy) -> str:
    """The explicit choices of a strategy, in words."""
    words = []
    if strategy.require_adjacency is not None:
        words.append("adjacency required" if strategy.require_adjacency else "adjacency not required")
    if strategy.max_tables is not None:
        words.append(f"up to {strategy.max_tables} tables")
    return ", ".join(words) or "the venue's policy"


def render(run: OperationsRun, broken: BaseException | None) -> RenderableType:
    """For a terminal: what became of how many, why some got nothing, and how long it took."""
    return Group(*_parts(run, broken))


def to_json(run: OperationsRun, broken: BaseException | None, as_of: datetime | None) -> dict[str, Any]:
    """Everything; the format is described in docs/operations.md. Instants are in UTC, durations in milliseconds."""
    venue, orders, lines = run.venue, run.orders, run.lines
    rounds = [line for each in run.rounds for line in each.lines]
    return {
        "format": FORMAT,
        "restaurant": orders.restaurant_slug,
        "date": orders.day.isoformat(),
        "timezone": None if venue is None else venue.policy.timezone,
        "trigger": orders.trigger,
        "dry_run": orders.dry_run,
        "as_of": None if as_of is None else as_of.isoformat(),
        "strategy": _strategy_json(orders.strategy),
        "concurrency": 1 if orders.dry_run else orders.concurrency,
        "began_at": run.began_at.isoformat(),
        "seconds": round(run.seconds, 3),
        "complete": broken is None,
        "error": None if broken is None else _error_code(broken),
        **_counts(lines),
        "left_without_tables": sum(line.wants_tables for line in lines),
        **_durations_json(rounds),
        "iterations": [_round_json(each) for each in run.rounds],
        "bookings": [_line_json(line) for line in lines],
    }


def _parts(run: OperationsRun, broken: BaseException | None) -> Iterator[RenderableType]:
    orders, lines = run.orders, run.lines
    title = f"{orders.restaurant_slug}, {orders.day:%A} {orders.day.day} {orders.day:%B %Y}"
    yield Text(f"{title}: dry run, no table was taken" if orders.dry_run else title, style="bold")
    if not lines:
        yield Text("no pending bookings")
        return
    if broken is not None:
        yield Text("broken off: what was confirmed by then stays confirmed")
    if len(run.rounds) > 1:
        yield _rounds_table(run.rounds)
    yield _results_table(lines)
    failures = _failures(lines)
    if failures:
        yield _failures_table(failures)
    yield _durations_table([line for each in run.rounds for line in each.lines])
    left = [line for line in lines if line.wants_tables]
    if left and run.venue is not None:
        yield _left_table(left, run.venue)


def _results_table(lines: Sequence[Line]) -> Table:
    table = _table("result", ">bookings", ">covers")
    for result, count in Counter(line.result for line in lines).most_common():
        covers = sum(line.booking.party_size for line in lines if line.result == result)
        table.add_row(_RESULT_WORDS[result], str(count), str(covers))
    return table


def _failures_table(failures: dict[str, int]) -> Table:
    table = _table("failure", ">bookings", "meaning")
    for code, count in failures.items():
        table.add_row(code, str(count), Text(ReasonCode(code).text))
    return table


def _durations_table(lines: Sequence[Line]) -> Table:
    table = _table("milliseconds", ">n", ">p50", ">p95", ">p99", ">max")
    for name, measured in _durations(lines).items():
        if measured.n:
            figures = (measured.p50, measured.p95, measured.p99, measured.max)
            table.add_row(name, str(measured.n), *(f"{figure:.1f}" for figure in figures if figure is not None))
    return table


def _rounds_table(rounds: Sequence[Round]) -> Table:
    table = _table(">round", "strategy", ">bookings", ">with tables", ">seconds")
    for each in rounds:
        got = sum(line.result in ("succeeded", "planned") for line in each.lines)
        seconds = "" if each.seconds is None else f"{each.seconds:.2f}"
        table.add_row(str(each.number), strategy_words(each.strategy), str(each.bookings), str(got), seconds)
    return table


def _left_table(left: Sequence[Line], venue: Venue) -> Table:
    table = _table("without tables", ">party", "start", "why")
    zone = ZoneInfo(venue.policy.timezone)
    for line in left:
        table.add_row(
            Text(line.booking.reference),
            str(line.booking.party_size),
            f"{line.booking.starts_at.astimezone(zone):%H:%M}",
            _RESULT_WORDS[line.result] if line.reason is None else line.reason.value,
        )
    return table


def _table(*headings: str) -> Table:
    """A table; a heading that begins with > is a column of figures."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        figures = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if figures else "left", overflow="fold")
    return table


def _counts(lines: Sequence[Line]) -> dict[str, Any]:
    seated = [line for line in lines if line.result in ("succeeded", "planned")]
    return {
        "results": dict(Counter(line.result for line in lines).most_common()),
        "covers": sum(line.booking.party_size for line in seated),
        "failures": _failures(lines),
    }


def _failures(lines: Iterable[Line]) -> dict[str, int]:
    reasons = Counter((line.reason or ReasonCode.UNKNOWN).value for line in lines if line.result in _FAILURES)
    return dict(reasons.most_common())


def _durations(lines: Sequence[Line]) -> dict[str, Durations]:
    return {
        "planner_ms": durations(line.planner_ms for line in lines),
        "plan_ms": durations(line.plan_ms for line in lines),
        "quote_to_confirm_ms": durations(line.quote_to_confirm_ms for line in lines),
    }


def _durations_json(lines: Sequence[Line]) -> dict[str, Any]:
    return {
        name: {key: _rounded(value) for key, value in asdict(measured).items()}
        for name, measured in _durations(lines).items()
    }


def _round_json(each: Round) -> dict[str, Any]:
    return {
        "iteration": each.number,
        "strategy": _strategy_json(each.strategy),
        "bookings": each.bookings,
        "seconds": _rounded(each.seconds),
        **_counts(each.lines),
        **_durations_json(each.lines),
        "outcomes": [
            {
                "ref": line.booking.reference,
                "result": line.result,
                "reason": None if line.reason is None else line.reason.value,
            }
            for line in each.lines
        ],
    }


def _line_json(line: Line) -> dict[str, Any]:
    booking = line.booking
    return {
        "ref": booking.reference,
        "booking_id": str(booking.id),
        "party_size": booking.party_size,
        "starts_at": booking.starts_at.isoformat(),
        "result": line.result,
        "reason": None if line.reason is None else line.reason.value,
        "reason_category": None if line.reason is None else line.reason.category.value,
        "zone": line.zone,
        "tables": list(line.tables),
        "status": None if line.status is None else line.status.value,
        "planner_ms": _rounded(line.planner_ms),
        "plan_ms": _rounded(line.plan_ms),
        "quote_to_confirm_ms": _rounded(line.quote_to_confirm_ms),
        "db_round_trips": line.round_trips,
    }


def _strategy_json(strategy: Strategy) -> dict[str, Any]:
    return {"requireAdjacency": strategy.require_adjacency, "maxTables": strategy.max_tables}


def _error_code(error: BaseException) -> str:
    """Of our own errors the code, of others the name: their words may hold anything."""
    return error.code if isinstance(error, MaitredError) else type(error).__name__


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
