"""What `maitred optimise` says of its result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from maitred.optimiser.apply import moves_of, newly_seated
from maitred.optimiser.day import Day
from maitred.optimiser.result import Result, Status

_STATUS = {
    Status.OPTIMAL: "proved best",
    Status.FEASIBLE: "best found, not all of it proved",
    Status.DEADLINE: "best by the deadline",
    Status.INFEASIBLE: "not everybody who has tables can be seated",
}
_MOST_ROWS = 200


def render(day: Day, result: Result, *, applied: bool) -> RenderableType:
    """The result, who moves and why, and who of those waiting is seated."""
    if result.status is Status.INFEASIBLE:
        return Text(f"{_STATUS[result.status]}{_conflict(result)}")
    numbers = _numbers(day)
    lines: list[RenderableType] = [
        Text(
            f"{day.venue.name}, {day.day}: {result.seated} of {len(day.bookings)} bookings, {result.covers} covers; "
            f"{_STATUS[result.status]} in {result.seconds:.2f} s"
        ),
        Text(
            "; ".join(
                f"{level.name} {level.value}" + ("" if level.proved else f" (bound {level.bound:g})")
                for level in result.levels
                if level.value or not level.proved or level is result.levels[0]
            )
        ),
    ]
    moves, seated = moves_of(day, result), newly_seated(day, result)
    if moves:
        grid = Grid("booking", "from", "to", "makes room for", title="Moves" if applied else "Would move")
        for move in moves[:_MOST_ROWS]:
            grid.add_row(
                move.reference,
                _list(numbers, move.from_tables),
                _list(numbers, move.to_tables),
                ", ".join(move.makes_room_for) or "less waste elsewhere",
            )
        lines.append(grid)
    if seated:
        grid = Grid("booking", "party", "start", "tables", title="Seated" if applied else "Would be seated")
        for key in list(seated)[:_MOST_ROWS]:
            booking = day.bookings[key]
            start = f"{booking.starts_at.astimezone(day.venue.policy.zone):%H:%M}"
            grid.add_row(key, str(booking.party), start, _list(numbers, seated[key]))
        lines.append(grid)
    if not moves and not seated:
        lines.append(Text("Nothing to change."))
    return Group(*lines)


def to_json(day: Day, result: Result, *, applied: bool) -> dict[str, Any]:
    """The result; moves and seats by reference and table number. Times in seconds."""
    numbers = _numbers(day)
    feasible = result.status is not Status.INFEASIBLE
    return {
        "restaurant": day.venue.slug,
        "date": day.day.isoformat(),
        "mode": day.problem.mode.value,
        "applied": applied and feasible,
        "bookings": len(day.bookings),
        "seated": result.seated,
        "covers": result.covers,
        "moves": [
            {
                "reference": move.reference,
                "from": [numbers[table] for table in move.from_tables],
                "to": [numbers[table] for table in move.to_tables],
                "makes_room_for": list(move.makes_room_for),
            }
            for move in (moves_of(day, result) if feasible else ())
        ],
        "newly_seated": {
            key: [numbers[table] for table in tables]
            for key, tables in (newly_seated(day, result) if feasible else {}).items()
        },
        "objective": result.objective,
        "bound": result.bound,
        "gap": result.gap,
        "status": result.status.value,
        "levels": [
            {"name": level.name, "value": level.value, "bound": level.bound, "proved": level.proved}
            for level in result.levels
        ],
        "conflict": None if result.conflict is None else list(result.conflict),
        "seconds": round(result.seconds, 3),
    }


def _conflict(result: Result) -> str:
    return "" if result.conflict is None else f": {' and '.join(result.conflict)} are locked to one table at one time"


def _numbers(day: Day) -> dict[int, str]:
    return {table.id: table.number for table in day.venue.floor.tables}


def _list(numbers: dict[int, str], tables: Iterable[int]) -> str:
    return " + ".join(numbers[table] for table in tables)
