"""A previewed quote as people and programs read it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.booking.moves import Way
from maitred.booking.nearest import PossibleTime
from maitred.booking.preview import Preview
from maitred.model.period import Period
from maitred.planner.answer import Plan, Ranked

_TERMS = ("slack", "combination", "fragmentation", "zone_balance", "scarcity", "future_conflict")
# broken by hand, so that a score with all its terms fits into 80 columns
_HEADINGS = {
    "combination": "combi- nation",
    "fragmentation": "fragmen- tation",
    "zone_balance": "zone balance",
    "future_conflict": "future conflict",
}


def render(preview: Preview, *, explain: bool) -> RenderableType:
    """For a terminal: the ranked plans, or the reason why there are none. `explain` adds the score's terms, or what
    stands in each table's way."""
    return Group(*_parts(preview, explain))


def to_json(preview: Preview) -> dict[str, Any]:
    """Everything. Instants are in UTC; scores are the planner's."""
    answer, window = preview.answer, preview.window
    ranked = answer if isinstance(answer, Ranked) else None
    return {
        "booking_id": str(preview.booking_id),
        "restaurant": preview.restaurant_slug,
        "ref": preview.reference,
        "party_size": preview.party,
        "starts_at": preview.starts_at.isoformat(),
        "timezone": preview.timezone,
        "status": preview.status.value,
        "window": None
        if window is None
        else {
            "service": window.service,
            "service_day": window.service_day.isoformat(),
            "dining": _period_json(window.dining),
            "blocked": _period_json(window.blocked),
            "demand_multiplier": window.demand_multiplier,
        },
        "reason": None if preview.reason is None else preview.reason.value,
        "would_refuse": None if preview.would_refuse is None else preview.would_refuse.value,
        "price": preview.price,
        "relaxed": [] if ranked is None else sorted(each.value for each in ranked.relaxed),
        "exact": None if answer is None else answer.effort.exact,
        "plans": [] if ranked is None else [_plan_json(plan, preview.zones[plan.zone_id]) for plan in ranked.plans],
        "tables": [
            {
                "number": obstacle.number,
                "code": obstacle.code.value,
                "text": obstacle.text,
                "blocked": obstacle.blocked,
            }
            for obstacle in preview.obstacles
        ],
        "nearest": {
            "before": [_time_json(each) for each in preview.nearest.before],
            "after": [_time_json(each) for each in preview.nearest.after],
        },
        "would_admit": [
            {
                "remedies": [each.value for each in admission.remedies],
                "plan": _plan_json(admission.plan, preview.zones[admission.plan.zone_id]),
            }
            for admission in preview.admissions
        ],
        "would_move": None if preview.way is None else _way_json(preview, preview.way),
    }


def _parts(preview: Preview, explain: bool) -> Iterator[RenderableType]:
    answer = preview.answer
    yield Text(_heading(preview), style="bold")
    if preview.window is not None:
        local = ZoneInfo(preview.timezone)
        blocked, dining = preview.window.blocked, preview.window.dining
        yield Text(f"{preview.window.service}: at the table {_span(dining, local)}, taken {_span(blocked, local)}")
    if preview.would_refuse is not None:
        yield Text(f"A quote would be refused: {preview.would_refuse.text} ({preview.would_refuse.value})")
    if answer is not None and not answer.effort.exact:
        yield Text("The search was cut short: this is the best that was found.")
    if isinstance(answer, Ranked):
        if answer.relaxed:
            yield Text(f"Only with these rules relaxed: {', '.join(sorted(answer.relaxed))}")
        yield _plans(answer.plans, preview, explain)
        return
    if preview.reason is not None:
        yield Text(f"{preview.reason.text} ({preview.reason.value})")
    if preview.price is not None:
        yield Text(f"The tables would otherwise earn {preview.price:.1f} covers; the party brings {preview.party}.")
    yield from _ways_in(preview)
    if explain and preview.obstacles:
        yield _obstacles(preview)


def _ways_in(preview: Preview) -> Iterator[Text]:
    """What a party that was refused could have instead."""
    local = ZoneInfo(preview.timezone)
    times = [*reversed(preview.nearest.before), *preview.nearest.after]
    if times:
        yield Text(f"Tables at: {', '.join(f'{each.starts_at.astimezone(local):%H:%M}' for each in times)}")
    for admission in preview.admissions[:1]:
        what = " and ".join(each.text for each in admission.remedies)
        yield Text(f"Possible with {what}: {' '.join(admission.plan.numbers)}")
    if preview.way is not None:
        moved, plan = preview.way.moved, preview.way.found.plan
        bookings = "one booking" if len(moved) == 1 else f"{len(moved)} bookings"
        yield Text(f"Possible if {bookings} moved to other tables: {' '.join(plan.numbers)}")


def _heading(preview: Preview) -> str:
    local = preview.starts_at.astimezone(ZoneInfo(preview.timezone))
    return (
        f"{preview.reference} at {preview.restaurant_slug}: party of {preview.party}, "
        f"{local:%Y-%m-%d %H:%M} {preview.timezone}, {preview.status.value}"
    )


def _plans(plans: Sequence[Plan], preview: Preview, explain: bool) -> Table:
    asked = dict.fromkeys(term.value for plan in plans for term, _ in plan.score.extra)
    terms = (*_TERMS, *asked) if explain else ()
    table = Table(box=SIMPLE_HEAD, padding=0 if explain else (0, 1, 0, 0))
    table.add_column("", justify="right")
    table.add_column("tables", overflow="fold", min_width=max(len(number) for plan in plans for number in plan.numbers))
    table.add_column("zone", overflow="fold")
    if not explain:
        table.add_column("seats", justify="right")
    for term in terms:
        words = _HEADINGS.get(term, term.replace("_", " "))
        table.add_column(words, justify="right", min_width=max(len(word) for word in words.split()))
    table.add_column("score", justify="right", min_width=7)
    for rank, plan in enumerate(plans, 1):
        table.add_row(
            str(rank),
            Text(" ".join(plan.numbers)),
            Text(preview.zones[plan.zone_id]),
            *([] if explain else [str(plan.capacity)]),
            *(f"{plan.score.terms().get(term, 0.0):.2f}" for term in terms),
            f"{plan.score.total:.2f}",
        )
    return table


def _obstacles(preview: Preview) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("table")
    table.add_column("what is in the way", overflow="fold")
    for obstacle in preview.obstacles:
        table.add_row(Text(obstacle.number), Text(obstacle.text))
    return table


def _time_json(possible: PossibleTime) -> dict[str, Any]:
    return {"starts_at": possible.starts_at.isoformat(), "tables": list(possible.plan.numbers)}


def _way_json(preview: Preview, way: Way) -> dict[str, Any]:
    return {
        "plan": _plan_json(way.found.plan, preview.zones[way.found.plan.zone_id]),
        "moved": [{"booking_id": str(move.id), "tables": list(move.plan.numbers)} for move in way.found.moved],
        "fewest": way.found.fewest,
    }


def _plan_json(plan: Plan, zone: str) -> dict[str, Any]:
    return {
        "tables": list(plan.numbers),
        "zone": zone,
        "capacity": plan.capacity,
        "overage": plan.overage,
        "adjacency_cost": plan.adjacency_cost,
        "score": plan.score.terms() | {"total": plan.score.total},
    }


def _period_json(period: Period) -> dict[str, str]:
    return {"start": period.start.isoformat(), "end": period.end.isoformat()}


def _span(period: Period, local: ZoneInfo) -> str:
    return f"{period.start.astimezone(local):%H:%M}-{period.end.astimezone(local):%H:%M}"
