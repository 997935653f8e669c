"""A small file in the import format, to be bent by the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from maitred.venue.document import DayDocument, parse_day

Raw = dict[str, Any]


def small_file() -> Raw:
    """Two zones, four tables, two services, three bookings; on a day without a clock change."""
    return {
        "format": "maitred.day/1",
        "restaurant": {"name": "Chez Test", "slug": "chez-test", "timezone": "Europe/London"},
        "date": "2025-11-06",
        "policy": {
            "service_order": ["lunch", "dinner"],
            "services": {
                "lunch": {"start": "12:00", "end": "15:00", "allow_overrun": True, "turn_bands": [[2, 60], [8, 85]]},
                "dinner": {"start": "17:00", "end": "22:00", "buffer_before_min": 5, "turn_bands": [[2, 60], [4, 75]]},
            },
            "scoring": {"weights": {"overage": 5}, "max_tables": 3, "relaxations": ["adjacency"]},
        },
        "zones": ["Room", "Terrace"],
        "tables": [
            {"number": "T1", "zone": "Room", "capacity": 2},
            {"number": "T2", "zone": "Room", "capacity": 4, "min_party_size": 2, "max_party_size": 4},
            {"number": "T10", "zone": "Room", "capacity": 4, "mobility": "fixed"},
            {"number": "P1", "zone": "Terrace", "capacity": 6, "category": "patio", "seating_type": "high_top"},
        ],
        "adjacency": [["T1", "T2"], ["T10", "T2"]],
        "scarcity": [{"capacity": 4, "category": "dining", "seating_type": "standard", "scarcity": 0.3}],
        "bookings": [
            {"ref": "R1", "time": "12:00", "party_size": 2},
            {"ref": "R2", "time": "19:30", "party_size": 4},
            {"ref": "R3", "time": "00:30", "date": "2025-11-07", "party_size": 3},
        ],
    }


def parsed(raw: Raw) -> DayDocument:
    return parse_day(json.dumps(raw).encode())


def bent(change: Callable[[Raw], object]) -> Raw:
    raw = small_file()
    change(raw)
    return raw


def put(*path: str | int, value: object) -> Callable[[Raw], object]:
    """A change that sets one place of the file."""

    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw[step]
        raw[path[-1]] = value

    return change
