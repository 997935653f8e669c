"""A booking's story as people and programs read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from maitred.model.floor import Floor
from maitred.planner.answer import Score
from maitred.replay.record import RankedPlan
from maitred.replay.story import Planned, Quoted, Story, Told
from maitred.replay.story_document import numbers

_TERMS = ("slack", "combination", "fragmentation", "zone_balance", "scarcity", "future_conflict")
_HEADINGS = {
    "combination": "combi- nation",
    "fragmentation": "fragmen- tation",
    "zone_balance": "zone balance",
    "future_conflict": "future conflict",
}
_TIE = (
    "The scores are equal: fewer seats to spare, fewer tables, less capacity, less fragmentation, closer together, "
    "then the table numbers decide, in this order."
)
_INDENT = (0, 0, 0, 4)
_NO_FLOOR = Floor(0, ())


def render(story: Story) -> RenderableType:
    """For a terminal. Moments of the system are in UTC, the booking's times in the venue's zone."""
    return Group(*_parts(story))


def _parts(story: Story) -> Iterator[RenderableType]:
    booking = story.booking
    local = booking.starts_at.astimezone(ZoneInfo(booking.timezone))
    yield Text(
        f"{booking.reference} at {booking.slug}: party of {booking.party}, {local:%Y-%m-%d %H:%M} {booking.timezone}",
        style="bold",
    )
    if not story.steps:
        yield Text("Nothing is recorded of it.")
    before: tuple[Any, ...] = ()
    for step in story.steps:
        if isinstance(step, Told):
            yield Text(f"{_moment(step.at)}  {step.text}")
            continue
        yield Text(f"{_moment(step.at)}  {_headline(step)}")
        if before and step.plannings and before == _gist(step):
            yield Padding(Text("Everything stood as it did before."), _INDENT)
            continue
        before = _gist(step)
        for place, planned in enumerate(step.plannings):
            again = len(step.plannings) > 1 and place > 0
            for part in _planned(planned, booking.timezone, again=again):
                yield Padding(part, _INDENT)
    seats = f", tables {' '.join(booking.tables)}" if booking.tables else ", no tables"
    yield Text(f"Now: {booking.status.value}{seats}.", style="bold")


def _gist(step: Quoted) -> tuple[Any, ...]:
    return tuple((planned.recorded, planned.obstacles) for planned in step.plannings)


def _headline(step: Quoted) -> str:
    who = "A look" if step.looked else f"Attempt {step.attempt_index + 1} ({step.trigger})"
    took = "" if step.duration_ms is None else f", {step.duration_ms:,.1f} ms"
    after = "" if step.since_last_s is None else f", {step.since_last_s:,.1f} s after the one before"
    if step.error is not None:
        came = f"broken off: {step.error}"
    elif step.looked:
        came = "tables to be had" if step.held else _why(step)
    else:
        came = "tables held" if step.held else _why(step)
    problem = f" There is no more to tell: {step.problem}." if step.problem else ""
    return f"{who}{took}{after}: {came}.{problem}"


def _why(step: Quoted) -> str:
    if step.reason is None:
        return "no tables"
    return f"{step.reason.text.rstrip('.')} ({step.reason.value})"


def _planned(planned: Planned, timezone: str, *, again: bool) -> Iterator[RenderableType]:
    recorded, outcome = planned.recorded, planned.recorded.outcome
    if again:
        yield Text("Somebody was faster: planned again on fresh rows.")
    if recorded.blocked is not None:
        local = ZoneInfo(timezone)
        start, end = recorded.blocked.start.astimezone(local), recorded.blocked.end.astimezone(local)
        service = f"{planned.service}: " if planned.service else ""
        room = f" of {len(planned.floor.tables)}" if planned.floor is not None else ""
        yield Text(
            f"{service}tables wanted {start:%H:%M}-{end:%H:%M}; {planned.taken}{room} taken in that time; "
            f"{planned.waiting} waiting bookings in view"
        )
    if planned.floor is None:
        yield Text("What the floor was then is not kept: tables are shown by their ids.")
    if outcome.relaxed:
        yield Text(f"Only with these rules relaxed: {', '.join(sorted(outcome.relaxed))}")
    if not outcome.exact:
        yield Text("The search was cut short: this is the best that was found.")
    if planned.price is not None:
        yield Text(
            f"The tables would otherwise have earned {planned.price:.1f} covers; the party brought {recorded.party}."
        )
    if outcome.plans:
        yield _plans(planned)
        if len(outcome.plans) > 1 and outcome.plans[0].total == outcome.plans[1].total:
            yield Text(_TIE)
    elif planned.obstacles:
        yield _obstacles(planned)
    if planned.agrees is False:
        yield Text("The release that runs now would decide otherwise (maitred replay --booking shows how).")


def _plans(planned: Planned) -> Table:
    plans, floor = planned.recorded.outcome.plans, planned.floor or _NO_FLOOR
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("tables", overflow="fold")
    scored = [plan for plan in plans if plan.score is not None]
    terms = [*_TERMS, *dict.fromkeys(term.value for plan in scored if plan.score for term, _ in plan.score.extra)]
    for term in terms:
        words = _HEADINGS.get(term, term.replace("_", " "))
        table.add_column(words, justify="right", min_width=max(len(word) for word in words.split()))
    table.add_column("score", justify="right", min_width=7)
    for name, plan in zip(("best", "next best"), scored, strict=False):
        table.add_row(name, Text(" ".join(numbers(plan, floor))), *_terms(plan.score, terms), f"{plan.total:.2f}")
    if len(scored) == 2:
        table.add_row(
            "the difference", "", *_apart(scored[0], scored[1], terms), f"{scored[1].total - scored[0].total:+.2f}"
        )
    if len(plans) > len(scored):
        rest = "; ".join(f"{' '.join(numbers(plan, floor))} {plan.total:.2f}" for plan in plans[len(scored) :])
        table.caption = f"then {rest}"
        table.caption_justify = "left"
    return table


def _terms(score: Score | None, terms: Sequence[str]) -> list[str]:
    given = score.terms() if score is not None else {}
    return [f"{given.get(term, 0.0):.2f}" for term in terms]


def _apart(best: RankedPlan, other: RankedPlan, terms: Sequence[str]) -> list[str]:
    here, there = (plan.score.terms() if plan.score is not None else {} for plan in (best, other))
    return [f"{there.get(term, 0.0) - here.get(term, 0.0):+.2f}" for term in terms]


def _obstacles(planned: Planned) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("table")
    table.add_column("what was in the way", overflow="fold")
    for obstacle in planned.obstacles:
        table.add_row(Text(obstacle.number), Text(obstacle.text))
    return table


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"
