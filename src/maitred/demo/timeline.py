"""The seating as a timeline: one row a table, two or more columns a quarter of an hour. Pure.

A block covers the time for which the table is taken, buffers included. It carries reference/party, and a + when the
party has several tables; brackets mark its ends, so that it reads the same without colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from maitred.demo.seating import Seat, Seating

_QUARTER = timedelta(minutes=15)
_NARROWEST = 2
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red")


class Timeline:
    """Renders as wide as the console allows; a day that is too long for that is cut into several parts.

    `opens` is when the venue opens; the first seat may begin before.
    """

    def __init__(self, seating: Seating, *, opens: datetime, timezone: ZoneInfo) -> None:
        self._seating = seating
        self._zone = timezone
        starts = [opens, *(seat.period.start for seat in seating.seats)]
        ends = [opens + _QUARTER, *(seat.period.end for seat in seating.seats)]
        self._begins = _quarter(min(starts))
        self._quarters = -((self._begins - max(ends)) // _QUARTER)
        numbers = [number for tables in seating.zones.values() for number in tables]
        self._margin = max((len(number) for number in numbers), default=0) + 1
        in_order = sorted(seating.seats, key=lambda seat: seat.period)
        self._seats = {number: [seat for seat in in_order if seat.table == number] for number in numbers}
        self._colours = _colours(in_order)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(options.max_width - self._margin, _NARROWEST)
        parts = -(-self._quarters // (room // _NARROWEST))
        quarters = -(-self._quarters // parts)
        cell = max(room // quarters, _NARROWEST)
        for first in range(0, self._quarters, quarters):
            if first:
                yield Text()
            yield from self._part(self._begins + first * _QUARTER, min(quarters, self._quarters - first), cell)

    def _part(self, begins: datetime, quarters: int, cell: int) -> Iterator[Text]:
        hours = {
            index * cell: f"{local:%H}"
            for index in range(quarters)
            if (local := (begins + index * _QUARTER).astimezone(self._zone)).minute == 0
        }
        empty = "".join("." if column in hours else " " for column in range(quarters * cell))
        yield _line(" " * self._margin + _written(hours), "bold")
        for zone, tables in self._seating.zones.items():
            yield _line(zone, "bold")
            for number in tables:
                row = _line(number.ljust(self._margin))
                row.append_text(self._row(number, begins, empty, cell))
                row.rstrip()
                yield row

    def _row(self, number: str, begins: datetime, empty: str, cell: int) -> Text:
        row = Text()
        for seat in self._seats.get(number, ()):
            first = max(_column(seat.period.start - begins, cell), len(row))
            last = min(_column(seat.period.end - begins, cell), len(empty))
            if first < last:
                row.append(empty[len(row) : first], style="dim")
                row.append(_block(seat, last - first), style=f"black on {self._colours[seat.reference]}")
        row.append(empty[len(row) :], style="dim")
        return row


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="crop")


def _written(hours: dict[int, str]) -> str:
    line = ""
    for column, hour in hours.items():
        line = line.ljust(column) + hour
    return line


def _column(since: timedelta, cell: int) -> int:
    return since * cell // _QUARTER


def _quarter(instant: datetime) -> datetime:
    """The quarter of an hour in which the instant lies. Zones differ from UTC by whole quarters."""
    day = instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + (instant - day) // _QUARTER * _QUARTER


def _block(seat: Seat, width: int) -> str:
    """The longest label that fits between the brackets; in a very short block the reference without them."""
    if width < 2:
        return "|" * width
    joined = "+" if seat.tables > 1 else ""
    inside = width - 2
    for label in (f"{seat.reference}/{seat.party}{joined}", f"{seat.reference}{joined}", seat.reference):
        if len(label) <= inside:
            return f"[{label.center(inside)}]"
    return seat.reference.center(width) if len(seat.reference) <= width else f"[{' ' * inside}]"


def _colours(seats: Sequence[Seat]) -> dict[str, str]:
    """One colour a party, at all of its tables; neighbours in time get different ones."""
    order = dict.fromkeys(seat.reference for seat in seats)
    return {reference: _COLOURS[index % len(_COLOURS)] for index, reference in enumerate(order)}
