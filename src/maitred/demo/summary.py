"""The demo's tables: what was seated, what was declined and why, and the original's figures beside ours. Pure."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.demo.figures import (
    Run,
    declined,
    percentiles,
    quote_to_answer_ms,
    quote_to_confirm_ms,
    round_trips,
    zone_uses,
)
from maitred.demo.reference import Original
from maitred.model.reason import ReasonCode

_UNKNOWN = "-"
_WHAT_IS_COMPARED = (
    "Whole day: from the first booking taken up to the last answer. A booking: from its start to its answer, seated or "
    "not; ours from quote to confirmed or to the planner's refusal. A seated booking: the seated ones alone, 40 and 5 "
    "in the original. The original's database was remote, ours is the one used here. Best possible: proven optima of "
    "an exact solver for these bookings; most parties and most covers are two different ones."
)


def render_summary(run: Run) -> RenderableType:
    """Seated, covers, declined by reason, and each zone."""
    findings = run.findings
    mean_trips, most_trips = round_trips(run)
    verdict = (
        f"{findings.seated} of {findings.bookings} parties seated, {findings.covers} covers, in {_s(run.assigning_s)}"
    )
    facts = _table("", "")
    facts.add_row("double bookings", str(findings.double_bookings))
    facts.add_row("database round trips, quote to confirmed", f"{mean_trips:.2f} a booking, {most_trips} at most")
    facts.add_row("workers", str(run.workers))
    facts.add_row("server start, import (not in the time above)", f"{_s(run.server_start_s)}, {_s(run.import_s)}")
    parts: list[RenderableType] = [Text(verdict, style="bold"), facts]
    if not run.events_complete:
        lost = ", ".join(f"{reason}: {count}" for reason, count in run.events_dropped.items()) or "not yet written"
        parts.append(Text(f"Events are missing ({lost}): the counts of events and the baseline fall short."))
    parts += [_zones(run), _declined(run)]
    return Group(*parts)


def render_comparison(run: Run, original: Original) -> RenderableType:
    """The original's published figures for the same bookings beside ours, and what each of them is."""
    first, second = original.runs
    seated = f"{original.most_parties} ({original.best_fit_parties} in order of time)"
    covers = f"{original.most_covers} ({original.best_fit_covers} in order of time)"
    table = _table("", "original, run 1", "original, run 2", "maitred", "best possible")
    table.add_row("parties seated", str(first.seated), str(second.seated), str(run.findings.seated), seated)
    table.add_row("covers", str(first.covers), str(second.covers), str(run.findings.covers), covers)
    table.add_row("whole day", _s(first.total_seconds), _s(second.total_seconds), _s(run.assigning_s))
    for name, value in percentiles(quote_to_answer_ms(run)).items():
        table.add_row(f"a booking, {name}", _ms(first.duration_ms[name]), _ms(second.duration_ms[name]), _ms(value))
    for name, value in percentiles(quote_to_confirm_ms(run)).items():
        one, other = first.seated_duration_ms[name], second.seated_duration_ms[name]
        table.add_row(f"a seated booking, {name}", _ms(one), _ms(other), _ms(value))
    table.add_row("bookings at a time", str(first.concurrency), str(second.concurrency), str(run.workers))
    return Group(Text("The same day in the original system", style="bold"), table, Text(_WHAT_IS_COMPARED, style="dim"))


def _zones(run: Run) -> Table:
    table = _table("zone", "tables", "seated", "covers", "table use")
    for use in zone_uses(run.findings.seating):
        table.add_row(use.zone, str(use.tables), str(use.seated), str(use.covers), f"{use.use:.0%}")
    return table


def _declined(run: Run) -> RenderableType:
    reasons = declined(run)
    if not reasons:
        return Text("Nobody was declined.")
    table = _table("declined", "bookings", "meaning")
    table.columns[2].justify = "left"
    for reason, count in reasons.items():
        table.add_row(reason, str(count), ReasonCode(reason).text if reason in set(ReasonCode) else _UNKNOWN)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def _s(seconds: float) -> str:
    return f"{seconds:,.2f} s"


def _ms(milliseconds: float | None) -> str:
    if milliseconds is None:
        return _UNKNOWN
    return f"{milliseconds / 1000:,.1f} s" if milliseconds >= 1000 else f"{milliseconds:.1f} ms"
