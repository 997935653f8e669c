"""The timeline: what it shows must be what the seats are, at any width."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from maitred.demo.seating import Seat, Seating
from maitred.demo.timeline import Timeline
from maitred.model.period import Period

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2025, 11, 6, 12, tzinfo=UTC)


def seat(table: str, reference: str, start_min: int, minutes: int, *, party: int = 2, tables: int = 1) -> Seat:
    start = NOON + timedelta(minutes=start_min)
    zone = "Room" if table.startswith("T") else "Terrace"
    return Seat(table, zone, reference, party, tables, Period(start, start + timedelta(minutes=minutes)))


DAY = Seating(
    zones={"Room": ("T1", "T2"), "Terrace": ("P1",)},
    seats=[
        seat("T1", "R1", 0, 60),
        seat("T1", "R2", 60, 90, party=3),
        seat("T2", "R3", 30, 90, party=6, tables=2),
        seat("P1", "R3", 30, 90, party=6, tables=2),
        seat("P1", "R4", 195, 15),
    ],
)


def lines(seating: Seating, width: int, *, opens: datetime = NOON, zone: ZoneInfo = LONDON) -> list[str]:
    written = StringIO()
    Console(width=width, file=written).print(Timeline(seating, opens=opens, timezone=zone))
    return written.getvalue().splitlines()


def test_a_day_is_one_row_a_table_under_its_zone() -> None:
    assert lines(DAY, 51) == [
        "   12          13          14          15",
        "Room",
        "T1 [   R1/2   ][      R2/3      ]      .",
        "T2 .     [     R3/6+      ].           .",
        "Terrace",
        "P1 .     [     R3/6+      ].           .   R4",
    ]


def test_a_day_too_long_for_the_width_is_cut_into_parts_of_one_length() -> None:
    assert lines(DAY, 23) == [
        "   12      13",
        "Room",
        "T1 [ R1/2 ][R2/3]",
        "T2 .   [ R3/6+  ]",
        "Terrace",
        "P1 .   [ R3/6+  ]",
        "",
        "     14      15",
        "Room",
        "T1 [R2/3]    .",
        "T2 R3.       .",
        "Terrace",
        "P1 R3.       . R4",
    ]


@pytest.mark.parametrize("width", range(20, 200, 7))
def test_no_line_is_wider_than_the_console_and_every_party_is_there(width: int) -> None:
    shown = lines(DAY, width)
    assert all(len(line) <= width for line in shown)
    for party in ("R1", "R2", "R3"):
        assert re.search(rf"\[ *{party}", "\n".join(shown))


def test_the_timeline_begins_with_a_party_that_came_before_the_opening() -> None:
    early = Seating(zones={"Room": ("T1",)}, seats=[seat("T1", "R1", -9, 69)])
    hours, _, row = lines(early, 23)
    assert (hours.index("12"), row.index("[")) == (3 + 4, 3 + 1)  # four columns a quarter, from 11:45


def test_hours_are_the_venues_also_when_the_clocks_go_back() -> None:
    opens = datetime(2025, 10, 25, 23, 0, tzinfo=UTC)
    night = Seating(
        zones={"Room": ("T1",)}, seats=[Seat("T1", "Room", "R1", 2, 1, Period(opens, opens + timedelta(hours=4)))]
    )
    assert lines(night, 43, opens=opens)[0].split() == ["00", "01", "01", "02"]


def test_an_empty_day_has_its_tables() -> None:
    assert lines(Seating(zones={"Room": ("T1",)}, seats=[]), 40) == ["   12", "Room", "T1 ."]
    assert lines(Seating(zones={}, seats=[]), 40) == [" 12"]
