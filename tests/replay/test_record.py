"""A record is all that is needed to decide again, to the last decimal; it is small, and there are no words in it."""

from __future__ import annotations

import base64
import json
import random
import zlib
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.model.floor import Floor
from maitred.model.policy import Demand, Service, TurnBand, VenuePolicy, Window
from maitred.model.reason import ReasonCode
from maitred.model.scoring import Relaxation, ScoringPolicy
from maitred.observability import events
from maitred.observability.values import Packed
from maitred.planner.answer import Ranked, Request, Upcoming
from maitred.planner.planner import Planner
from maitred.replay.decide import Change, VenueRules, as_recorded, changes, decide
from maitred.replay.record import Decision, FlightRecord, Places, Recorded, outcome_of, read_record
from maitred.venue.read import Venue
from tests.planner.strategies import Question, evenings, floors, questions

NOON = datetime(2030, 6, 5, 12, tzinfo=UTC)


def policy_for(scoring: ScoringPolicy, demand: float) -> VenuePolicy:
    """Open all day, with this demand."""
    service = Service("all_day", time(0), time(0), (TurnBand(20, 90),))
    return VenuePolicy("UTC", (service,), scoring=scoring, demand=(Demand("all_day", frozenset(range(7)), demand),))


def venue_of(floor: Floor, policy: VenuePolicy) -> Venue:
    return Venue(uuid4(), "house", "House", policy, floor, policy_version=7, floor_version=12)


def window_of(venue: Venue, party: int) -> Window:
    window = venue.policy.window(NOON, party)
    assert isinstance(window, Window)
    return window


def decision_of(venue: Venue, planner: Planner, request: Request) -> Decision:
    return Decision(venue, request.party, NOON, window_of(venue, request.party), request, planner.answer(request))


def kept(*decisions: Decision) -> str:
    """As it stands in the event."""
    event = events.quote(
        restaurant_id=None,
        booking_id=None,
        trigger="loop",
        attempt_index=0,
        duration_ms=1.0,
        success=True,
        record=FlightRecord(decisions),
    )
    record = event.context["planner_record"]
    assert isinstance(record, str)
    return record


def read_one(record: str) -> Recorded:
    (recorded,) = read_record(record)
    return recorded


@given(asked=evenings())
def test_what_is_decided_again_is_identical_in_every_plan_and_every_term(asked: list[Question]) -> None:
    floor, scoring = asked[0].floor, asked[0].policy
    used = Planner(floor, scoring)
    for question in asked:
        venue = venue_of(floor, policy_for(scoring, question.request.demand_multiplier))
        decision = decision_of(venue, used, question.request)
        recorded = read_one(kept(decision))

        fresh = VenueRules(floor, venue.policy, Planner(floor, scoring))
        assert recorded.asked is not None
        again = fresh.planner.answer(recorded.asked.request(recorded.party, floor))
        assert again == decision.answer
        decided = decide(recorded, fresh)
        assert decided is not None
        assert changes(as_recorded(recorded), decided) == frozenset()
        assert decided.outcome == outcome_of(again)


@given(question=questions())
def test_the_question_comes_back_as_it_was_asked(question: Question) -> None:
    venue = venue_of(question.floor, policy_for(question.policy, question.request.demand_multiplier))
    recorded = read_one(kept(decision_of(venue, Planner(question.floor, question.policy), question.request)))
    assert recorded.asked is not None
    request = recorded.asked.request(recorded.party, question.floor)
    assert replace(request, upcoming=()) == replace(question.request, upcoming=())
    # those who wait are counted; their order is that in which each sort first came
    assert list(dict.fromkeys(request.upcoming)) == list(dict.fromkeys(question.request.upcoming))
    assert sorted(request.upcoming, key=repr) == sorted(question.request.upcoming, key=repr)
    assert (recorded.policy_version, recorded.floor_version, recorded.starts_at) == (7, 12, NOON)
    assert recorded.blocked == window_of(venue, question.request.party).blocked


@given(question=questions(), data=st.data())
def test_a_record_means_the_same_tables_whatever_order_later_code_gives_a_floor(
    question: Question, data: st.DataObject
) -> None:
    floor = question.floor
    venue = venue_of(floor, policy_for(question.policy, question.request.demand_multiplier))
    recorded = read_one(kept(decision_of(venue, Planner(floor, question.policy), question.request)))
    assert recorded.asked is not None
    shuffled = Floor(floor.version, floor.tables, floor.adjacency, floor.zones, floor.scarcity)
    object.__setattr__(shuffled, "tables", tuple(data.draw(st.permutations(floor.tables))))

    def ids(on: Floor, mask: int) -> set[int]:
        return {table.id for index, table in enumerate(on.tables) if mask >> index & 1}

    request = recorded.asked.request(recorded.party, shuffled)
    assert ids(shuffled, request.occupied) == ids(floor, question.request.occupied)
    assert [(each.party, frozenset(ids(shuffled, each.occupied))) for each in dict.fromkeys(request.upcoming)] == [
        (each.party, frozenset(ids(floor, each.occupied))) for each in dict.fromkeys(question.request.upcoming)
    ]


@given(floor=floors(), data=st.data())
def test_places_there_and_back_are_the_same(floor: Floor, data: st.DataObject) -> None:
    places = Places(floor)
    mask = data.draw(st.integers(0, 2 ** len(floor.tables) - 1))
    assert places.on_floor(places.in_record(mask)) == mask
    by_id = sorted(table.id for table in floor.tables)
    for index, table in enumerate(floor.tables):
        assert places.in_record(1 << index) == 1 << by_id.index(table.id)


@given(question=questions())
def test_a_record_holds_numbers_and_codes_alone(question: Question) -> None:
    venue = venue_of(question.floor, policy_for(question.policy, question.request.demand_multiplier))
    record = kept(decision_of(venue, Planner(question.floor, question.policy), question.request))
    unpacked = json.loads(zlib.decompress(base64.b64decode(record)))
    words = {*ReasonCode, *Relaxation}
    texts: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str):
            texts.append(value)

    walk(unpacked)
    assert all(text in words or int(text, 16) >= 0 for text in texts)


def test_what_was_refused_before_planning_is_kept_and_comes_out_the_same() -> None:
    open_at_noon = Service("lunch", time(12), time(14), (TurnBand(20, 60),))
    policy = VenuePolicy("UTC", (open_at_noon,), demand=())
    floor = Floor(1, ())
    closing = datetime(2030, 6, 5, 14, tzinfo=UTC) - timedelta(microseconds=1)
    venue = venue_of(floor, policy)
    assert isinstance(policy.window(closing, 2), Window)
    for starts_at, reason in ((NOON, ReasonCode.START_PASSED), (NOON, ReasonCode.NOT_PENDING)):
        recorded = read_one(kept(Decision(venue, 2, starts_at, None, None, reason)))
        assert recorded.outcome.reason is reason
        assert decide(recorded, VenueRules(floor, policy, Planner(floor, policy.scoring))) is None


def test_a_window_that_later_code_cuts_otherwise_is_a_difference() -> None:
    scoring = ScoringPolicy()
    floor = Floor(1, ())
    venue = venue_of(floor, policy_for(scoring, 1.0))
    planner = Planner(floor, scoring)
    request = Request(2)
    decision = decision_of(venue, planner, request)
    window = decision.window
    assert window is not None
    earlier = replace(window, blocked=replace(window.blocked, end=window.blocked.end - timedelta(minutes=5)))
    recorded = read_one(kept(decision._replace(window=earlier)))
    now = decide(recorded, VenueRules(floor, venue.policy, planner))
    assert now is not None
    assert changes(as_recorded(recorded), now) == {Change.WINDOW}


def test_a_record_stays_under_a_kilobyte_at_forty_tables_with_forty_waiting() -> None:
    rng = random.Random(1)
    from benchmarks.planner import grid

    floor = grid(40, rng)
    venue = venue_of(floor, policy_for(ScoringPolicy(), 1.15))
    planner = Planner(floor, venue.policy.scoring)
    for _ in range(100):
        masks = [rng.getrandbits(40) & rng.getrandbits(40) for _ in range(8)]
        waiting = tuple(Upcoming(rng.randint(1, 8), rng.choice(masks)) for _ in range(40))
        request = Request(rng.randint(1, 8), masks[0], demand_multiplier=1.15, upcoming=waiting)
        assert len(kept(decision_of(venue, planner, request))) < 1024


def test_of_more_plannings_than_fit_the_last_are_kept() -> None:
    rng = random.Random(2)
    from benchmarks.planner import grid

    floor = grid(200, rng)
    venue = venue_of(floor, policy_for(ScoringPolicy(), 1.0))
    planner = Planner(floor, venue.policy.scoring)
    decisions = [
        decision_of(
            venue,
            planner,
            Request(4, rng.getrandbits(200), upcoming=tuple(Upcoming(2, rng.getrandbits(200)) for _ in range(150))),
        )
        for _ in range(22)
    ]
    record = kept(*decisions)
    assert len(base64.b64decode(record)) <= Packed.MOST_BYTES
    read = read_record(record)
    assert 1 <= len(read) < 22
    assert [each.outcome for each in read] == [outcome_of(each.answer) for each in decisions[-len(read) :]]


@given(cut=st.integers(0, 10_000), flipped=st.integers(0, 10_000))
def test_a_damaged_record_is_said_to_be_one(cut: int, flipped: int) -> None:
    floor = Floor(1, ())
    venue = venue_of(floor, policy_for(ScoringPolicy(), 1.0))
    record = kept(decision_of(venue, Planner(floor, venue.policy.scoring), Request(2)))
    packed = bytearray(base64.b64decode(record))
    packed[flipped % len(packed)] ^= 1 + flipped % 255
    for text in (record[: cut % len(record)], base64.b64encode(packed).decode()):
        if text != record:
            with pytest.raises(InvalidInput):
                read_record(text)


@pytest.mark.parametrize("contents", [b"", b"[]", b"{}", b"[2,0]", b"[1,0,{}]", b"[1,0,3]", b"nonsense", b"[1]"])
def test_a_record_of_another_shape_is_refused(contents: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_record(base64.b64encode(zlib.compress(contents)).decode())


def test_a_record_of_another_floor_is_refused() -> None:
    rng = random.Random(3)
    from benchmarks.planner import grid

    floor = grid(16, rng)
    venue = venue_of(floor, policy_for(ScoringPolicy(), 1.0))
    planner = Planner(floor, venue.policy.scoring)
    recorded = read_one(kept(decision_of(venue, planner, Request(2, occupied=1 << 15))))
    smaller = Floor(1, floor.tables[:5])
    with pytest.raises(InvalidInput):
        decide(recorded, VenueRules(smaller, venue.policy, Planner(smaller, venue.policy.scoring)))


def test_only_the_best_two_keep_their_terms() -> None:
    rng = random.Random(4)
    from benchmarks.planner import grid

    floor = grid(16, rng)
    venue = venue_of(floor, policy_for(ScoringPolicy(), 1.0))
    decision = decision_of(venue, Planner(floor, venue.policy.scoring), Request(4))
    assert isinstance(decision.answer, Ranked)
    assert len(decision.answer.plans) == 8
    plans = read_one(kept(decision)).outcome.plans
    assert [plan.score for plan in plans[:2]] == [plan.score for plan in decision.answer.plans[:2]]
    assert [plan.score for plan in plans[2:]] == [None] * 6
    assert [plan.total for plan in plans] == [plan.score.total for plan in decision.answer.plans]
