"""A small file in the import format, to be bent by the tests."""

from __future__ import annotations

import json
import random
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


WISHES = ("zone", "seating_type", "high_chair", "step_free")


def wishes(draw: random.Random) -> Raw:
    """Some of the preferences that a booking can have."""
    all_of_them: Raw = {
        "zone": draw.choice(("Room", "terrace")),
        "seating_type": draw.choice(("booth", "high_top")),
        "high_chair": True,
        "step_free": True,
    }
    kept: Raw = {wish: all_of_them[wish] for wish in WISHES if draw.random() < 0.5}
    return kept | {"must": [wish for wish in kept if draw.random() < 0.5]}


def venue_that_asks(draw: random.Random) -> Raw:
    """The same venue, that uses everything which can be asked of the choice."""
    raw = small_file()
    for table in raw["tables"]:
        table |= {
            "features": [each for each in ("high_chair", "step_free", "vip") if draw.random() < 0.4],
            "section": draw.choice((None, "Anna", "Ben")),
            "priority": {each: draw.randint(0, 9) for each in ("lunch", "dinner", "*") if draw.random() < 0.5},
        }
    raw["lost_seats"] = [{"tables": edge, "seats": draw.randint(0, 3)} for edge in raw["adjacency"]]
    least = draw.randint(1, 4)
    raw["joined_sets"] = [
        {"tables": ["T2", "T1"], "capacity": draw.choice((None, 5, 9)), "rank": draw.choice((None, 1, 7))},
        {"tables": ["T10", "T1", "T2"], "min_party_size": least, "max_party_size": draw.choice((None, least + 3))},
        {"tables": ["T10", "T1"], "forbidden": True},
    ]
    terms = ("set_order", "priority", "guest_preference", "venue_preference", "vip", "section", "pacing", "gap")
    raw["policy"]["scoring"] |= {
        "weights": {term: round(draw.random() * 9, 3) for term in terms},
        "keep_large": [
            {
                "seats": 6,
                "party": 5,
                "until_min": 60,
                "hard": draw.random() < 0.5,
                "service": draw.choice((None, "lunch")),
            }
        ],
        "hard_preferences": [each for each in WISHES if draw.random() < 0.3],
        "preferences": {key: value for key, value in wishes(draw).items() if key != "must"},
        "vip_only": draw.random() < 0.5,
        "pacing_minutes": draw.randint(1, 120),
        "prices": {"use": True, "points_per_cover": 10.0, "decline": draw.random() < 0.5, "margin": 1.5},
        "moves": {"most": draw.randint(0, 5), "horizon_minutes": 30, "cost": 4.5},
    }
    for booking in raw["bookings"]:
        booking |= {"preferences": wishes(draw), "vip": draw.random() < 0.5}
    return raw


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
