"""What releases before this one kept is read for ever: a record and a venue's document, as they were once written.

When reading fails, don't change what is below. Make the code read it again, and add what is written now as a further
case. Only a change of the score's rules may change what is decided.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

from maitred.model.floor import SeatingType, TableFeature
from maitred.model.joined import JoinedSet
from maitred.model.preferences import Preference, Preferences
from maitred.model.reason import ReasonCode
from maitred.model.scoring import KeepLarge, MovesPolicy, PricesPolicy, Relaxation, Term
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


# Written when venues began to say what they ask of the choice.
DOCUMENT_2 = """
{"id": "00000000-0000-0000-0000-000000000002", "slug": "house", "name": "House", "timezone": "Europe/London",
 "outside_service": "first_service",
 "scoring": {"weights": {"overage": 5.0, "table_count": 3.0, "fragmentation": 2.0, "zone_balance": 4.0,
                         "adjacency_cost": 1.0, "scarcity": 22.0, "set_order": 1.5, "priority": 3.0,
                         "guest_preference": 4.0, "venue_preference": 2.0, "vip": 6.0, "large_table": 5.0,
                         "section": 0.5, "pacing": 0.25, "gap": 0.1},
             "max_overage": 4, "max_tables": 3, "adjacency_mode": "connected", "adjacency_from_party": 1,
             "relaxations": [], "lookahead_minutes": 120, "lookahead_penalty": 500.0, "lookahead_limit": null,
             "moves": {"most": 2, "horizon_minutes": 45, "cost": 12.0},
             "prices": {"use": true, "points_per_cover": 25.0, "decline": true},
             "keep_large": [{"seats": 6, "party": 5, "until_min": 120, "hard": false, "service": "dinner"}],
             "hard_preferences": ["high_chair"], "preferences": {"seating_type": "standard"}, "vip_only": false,
             "pacing_minutes": 20},
 "demand": [{"service": "dinner", "weekdays": ["mon", "tue", "wed"], "multiplier": 1.15}],
 "policy_version": 8, "floor_version": 13,
 "zones": [[1, "Room"], [2, "Terrace"]],
 "tables": [[11, "T10", 1, 2, 1, null, "dining", "standard", "movable", "available", true,
             ["step_free"], "Anna", {"dinner": 2, "*": 1}],
            [12, "T2", 1, 4, 1, null, "dining", "standard", "movable", "available", true,
             ["high_chair", "step_free"], "Anna", {}],
            [13, "T1", 1, 4, 1, null, "dining", "standard", "movable", "available", true,
             ["step_free", "vip"], "Ben", {}],
            [14, "A1", 2, 4, 2, 4, "patio", "high_top", "movable", "available", true, [], null, {}],
            [15, "A2", 2, 6, 2, null, "patio", "standard", "fixed", "available", true, ["vip"], null, {}],
            [16, "T3", 1, 4, 1, null, "dining", "booth", "movable", "available", true, ["step_free"], "Ben", {}]],
 "adjacency": [[12, 13, 2], [11, 12, 0], [12, 16, 1]],
 "scarcity": [[4, "dining", "standard", 0.07]],
 "services": [["lunch", "12:00:00", "15:00:00", 0, 5, true, [[2, 60], [8, 85]]],
              ["dinner", "17:00:00", "23:00:00", 5, 10, false, [[2, 60], [4, 75], [8, 90]]]],
 "closures": [["lunch", null, [], "2030-06-04", "2030-06-06", null, null],
              [null, null, [15], null, null, 1906912800000000, 1906920000000000]],
 "joined_sets": [[[12, 13], 7, 5, 7, 1, false], [[11, 12, 16], null, null, null, 2, false],
                 [[12, 16], null, null, null, null, true]]}
"""
RECORD_2 = (
    "SImtUu2O2yAQfJf9vUVgbPzxKpYVcZgkqD6DsJPqGuXdb9fxnVKp16pSsWQts8vsMGyvUOINUpyCe4OuQThOMWbolEZINq8EGoRl"
    "pZDAVppW6VruC+Fliu67H6Hrv+lP1HxEckCIzl1S4BJoAGH0r3amjRKqog45OL/QaSkqlEKiEsUeFIRowQw/wnLmohv8jLOno6TH"
    "2zXMp8P6lgiAlxjXM7BMnw7H7Alb88UjvF4Wkt0/JYY7wjWkj4LF5ytJII4xzLPPRDJ5S/paupyLV59ZXYOadNicw9VODBTIwqa4"
    "sZNY0kyflhucJjtzUa9L0RgkJ1UxYF/VwjQUolK0M7Uo20cOlSGgbp8Armi1aOpHmgEiXlzMm1t9JeoKS1E0aMgr9ousarbg9jCV"
    "HSYr4XTxy3pI2R999jPjJRU9LOCz5IBbQ5yhY8PpyR35Ch2/B5xsYprqTmqY2ghVyqelsNy7F1pUv6T0rmXx6yHmkYztNHfbtW30"
    "FMcctgnj1P9RSu/7l3Eu/nWcy+L34yy/Hmez2fXFb/jD2BWsInu78D3hbPMoRu+mMFPH+/AOMMED0A=="
)


def rules_of(document: str) -> VenueRules:
    row = json.loads(document)
    venue = venue_of({**row, "id": UUID(row["id"])})
    return VenueRules(venue.floor, venue.policy, Planner(venue.floor, venue.policy.scoring))


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


def test_a_document_that_says_what_is_asked_of_the_choice_is_the_venue_that_it_was() -> None:
    rules = rules_of(DOCUMENT_2)
    floor, scoring = rules.floor, rules.policy.scoring
    tables = {table.id: table for table in floor.tables}
    assert tables[12].features == {TableFeature.HIGH_CHAIR, TableFeature.STEP_FREE}
    assert tables[12].section == "Anna"
    assert [tables[11].priority_at(service) for service in ("dinner", "lunch", None)] == [2, 1, 1]
    assert floor.lost_seats == {(12, 13): 2, (12, 16): 1}
    assert floor.joined == (
        JoinedSet((12, 13), 7, 5, 7, 1),
        JoinedSet((11, 12, 16), rank=2),
        JoinedSet((12, 16), forbidden=True),
    )
    assert (scoring.weights.set_order, scoring.weights.gap, scoring.pacing_minutes) == (1.5, 0.1, 20)
    assert scoring.moves == MovesPolicy(2, 45, 12.0)
    assert scoring.prices == PricesPolicy(use=True, points_per_cover=25.0, decline=True)
    assert scoring.keep_large == (KeepLarge(6, 5, 120, service="dinner"),)
    assert scoring.hard_preferences == {Preference.HIGH_CHAIR}
    assert scoring.preferences == Preferences(seating_type=SeatingType.STANDARD)
    assert len(rules.policy.closures) == 2


def test_a_record_with_what_a_venue_asks_is_read_and_decided_again() -> None:
    rules = rules_of(DOCUMENT_2)
    seated, declined = read_record(RECORD_2)
    assert seated.asked is not None
    bits = rules.floor.bit_of
    wishes = Preferences("Room", SeatingType.BOOTH, step_free=True, must=frozenset({Preference.STEP_FREE}))
    assert seated.asked.request(6, rules.floor) == Request(
        6,
        occupied=bits[14],
        demand_multiplier=1.15,
        prices=(0.0, 12.5, 1.25, 0.0, 3.0, 0.5),
        preferences=wishes,
        vip=True,
        service="dinner",
        lead_min=90,
        section_covers=(8, 3),
        section_arrivals=(2, 0),
        lost_minutes=(0, 30, 0, 15, 0, 0),
    )
    best = seated.outcome.plans[0]
    assert (best.table_ids, best.total) == ((12, 13), 34.86)
    assert best.score is not None
    assert dict(best.score.extra) == {
        Term.PRICE: 1.25,
        Term.GUEST_PREFERENCE: 4.0,
        Term.VIP: 6.0,
        Term.SECTION: 2.5,
        Term.PACING: 0.5,
        Term.GAP: 1.5,
    }
    assert declined.outcome.reason is ReasonCode.DECLINED
    for recorded in (seated, declined):
        now = decide(recorded, rules)
        assert now is not None
        assert changes(as_recorded(recorded), now) == frozenset()
