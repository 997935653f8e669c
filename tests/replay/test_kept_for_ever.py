"""What releases before this one kept is read for ever: a record and a venue's document, as they were once written.

When reading fails, don't change what is below. Make the code read it again, and add what is written now as a further
case. Only a change of the score's rules may change what is decided.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation
from maitred.planner.answer import Request, Score, Upcoming
from maitred.planner.planner import Planner
from maitred.replay.decide import VenueRules, as_recorded, changes, decide
from maitred.replay.record import read_record
from maitred.venue.read import venue_of

DOCUMENT_1 = """
{"id": "00000000-0000-0000-0000-000000000001", "slug": "house", "name": "House", "timezone": "Europe/London",
 "outside_service": "first_service",
 "scoring": {"weights": {"overage": 5.0, "table_count": 3.0, "fragmentation": 2.0, "zone_balance": 4.0,
                         "adjacency_cost": 1.0, "scarcity": 22.0},
             "max_overage": 4, "max_tables": 3, "adjacency_mode": "connected", "adjacency_from_party": 1,
             "relaxations": ["min_party"], "lookahead_minutes": 120, "lookahead_penalty": 500.0,
             "lookahead_limit": null},
 "demand": [{"service": "dinner", "weekdays": ["mon", "tue", "wed"], "multiplier": 1.15}],
 "policy_version": 7, "floor_version": 12,
 "zones": [[1, "Room"], [2, "Terrace"]],
 "tables": [[11, "T10", 1, 2, 1, null, "dining", "standard", "movable", "available", true],
            [12, "T2", 1, 4, 1, null, "dining", "standard", "movable", "available", true],
            [13, "T1", 1, 2, 1, null, "dining", "standard", "movable", "available", true],
            [14, "A1", 2, 4, 2, 4, "patio", "high_top", "movable", "available", true],
            [15, "A2", 2, 6, 6, null, "patio", "standard", "fixed", "available", true],
            [16, "T3", 1, 4, 1, null, "dining", "booth", "movable", "available", true]],
 "adjacency": [[12, 13], [11, 12], [12, 16]],
 "scarcity": [[4, "dining", "standard", 0.07]],
 "services": [["lunch", "12:00:00", "15:00:00", 0, 5, true, [[2, 60], [8, 85]]],
              ["dinner", "17:00:00", "23:00:00", 5, 10, false, [[2, 60], [4, 75], [8, 90]]]]}
"""
RECORD_1 = (
    "SIm9UdFugzAM/Bc/e1GckFL4FYSqNISNNU0Q0Knb1H+f025oVd9rhHQ+n83ZNIQSv2FMYXCfUJcIfUhpgpoUwminhUmNMC8Mmazk"
    "piJdyt9A2IfkDr6DunnRK2voD7YIybnTOGQJECB0/mgjJyTIIBztebfYffAz1EVO5wOjBraslMDdp9Gl4xBfmSzYqeKHkLgwBhuz"
    "tCmFqpBUiw1pIbeaA6m4Tzec6q2oGOqs5f7ZpclfBxhRGpRCri8JU2TATQ+1Uuj7uArby9NuqPqHI66n0JVQBsnc70dlZv8vodQN"
    "ZN3kgz1fPw58593N7hP3MQ/r2O7dOh95dG/D7BG+UvRc5MpHGvJY9pF/KXu3c4o85M1OnYhp5+xo3cD+Lu0PwHbEMQ=="
)


def test_a_document_of_release_0_1_is_the_venue_that_it_was() -> None:
    row = json.loads(DOCUMENT_1)
    venue = venue_of({**row, "id": UUID(row["id"])})
    assert [(table.id, table.number, table.capacity) for table in venue.floor.tables] == [
        (14, "A1", 4),
        (15, "A2", 6),
        (13, "T1", 2),
        (12, "T2", 4),
        (16, "T3", 4),
        (11, "T10", 2),
    ]
    assert venue.policy.scoring.allowed == {Relaxation.MIN_PARTY}
    assert [service.key for service in venue.policy.services] == ["lunch", "dinner"]
    assert (venue.policy_version, venue.floor_version) == (7, 12)


def test_a_record_of_format_1_is_read() -> None:
    row = json.loads(DOCUMENT_1)
    venue = venue_of({**row, "id": UUID(row["id"])})
    seated, relaxed, refused = read_record(RECORD_1)

    assert {(each.policy_version, each.floor_version, each.party) for each in (seated, relaxed, refused)} == {
        (7, 12, 3)
    }
    assert seated.starts_at == datetime(2030, 6, 5, 18, 15, tzinfo=UTC)
    assert seated.blocked is not None
    assert seated.blocked.minutes == 90
    assert [plan.table_ids for plan in seated.outcome.plans] == [(12,), (14,), (16,), (12, 13)]
    assert [plan.total for plan in seated.outcome.plans] == [7.29, 13.083333, 13.083333, 38.93]
    assert seated.outcome.plans[1].score == Score(5.75, 0.0, 0.0, 0.0, 7.333333333333333, 0.0, 13.083333)
    assert relaxed.outcome.relaxed == {Relaxation.MIN_PARTY}
    assert refused.outcome.reason is ReasonCode.NO_CAPACITY

    bits = venue.floor.bit_of
    assert seated.asked is not None
    assert seated.asked.request(3, venue.floor) == Request(
        3,
        occupied=bits[11],
        max_tables=4,
        demand_multiplier=1.15,
        upcoming=(Upcoming(4, bits[11] | bits[14]), Upcoming(4, bits[11] | bits[14]), Upcoming(2, bits[11])),
    )
    assert refused.asked is not None
    assert refused.asked.request(3, venue.floor) == Request(
        3,
        occupied=bits[11] | bits[13],
        demand_multiplier=1.15,
        require_adjacency=False,
        zone_id=1,
        avoid=frozenset({12, 16}),
    )


def test_a_record_of_format_1_is_decided_again_as_it_was_while_the_rules_of_the_score_are_the_same() -> None:
    row = json.loads(DOCUMENT_1)
    venue = venue_of({**row, "id": UUID(row["id"])})
    rules = VenueRules(venue.floor, venue.policy, Planner(venue.floor, venue.policy.scoring))
    for recorded in read_record(RECORD_1):
        now = decide(recorded, rules)
        assert now is not None
        assert changes(as_recorded(recorded), now) == frozenset()
