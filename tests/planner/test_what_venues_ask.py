"""What venues ask of the choice, against the brute force: same feasibility, same order, same terms, same reasons."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, time
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.errors import InvalidInput
from maitred.model.floor import Floor, Table
from maitred.model.joined import JoinedSet
from maitred.model.policy import Service, TurnBand, VenuePolicy, Window
from maitred.model.scoring import ScoringPolicy, Term, Weights
from maitred.planner.answer import Ranked, Request
from maitred.planner.planner import Planner
from maitred.replay.record import Decision, FlightRecord, outcome_of, read_record
from maitred.venue.read import Venue
from tests.planner.brute_force import decide, on_a_rounding_edge
from tests.planner.comparison import NEAR, plans_of, reason_of, relaxed_by, same_ranking
from tests.planner.strategies import Question
from tests.planner.test_against_brute_force import terms, terms_found
from tests.planner.venue_strategies import questions_about_joins, questions_at_venues_that_ask

# The longer Hypothesis looks, the longer it may take.
pytestmark = pytest.mark.timeout(180 + settings().max_examples // 5)


def agree(question: Question, planner: Planner) -> None:
    decision = decide(question.floor, question.policy, question.request)
    answer = planner.answer(question.request)
    assert reason_of(answer) == decision.reason
    assert relaxed_by(answer) == decision.relaxed
    assert answer.effort.exact
    best = [plan.score.total for plan in plans_of(answer)[:1]]
    assert best == pytest.approx([float(found.total) for found in decision.plans[:1]], abs=NEAR)
    if not on_a_rounding_edge(decision.plans):
        assert same_ranking(plans_of(answer), decision.plans[: question.request.limit])
    by_set = {frozenset(found.ids): found for found in decision.plans}
    for plan in plans_of(answer):
        found = by_set[frozenset(plan.table_ids)]
        assert terms(plan) == pytest.approx(terms_found(found), abs=NEAR)
        assert (plan.capacity, plan.overage) == (found.capacity, found.overage)
        assert question.floor.seats_of(plan.table_ids) == found.capacity


@given(questions_about_joins())
def test_what_joined_tables_hold_decides_as_the_brute_force_says(question: Question) -> None:
    agree(question, Planner(question.floor, question.policy))


@given(questions_about_joins())
def test_joined_tables_drawn_by_kind_decide_the_same(question: Question) -> None:
    agree(question, Planner(question.floor, question.policy, enumeration_limit=0))


@given(questions_about_joins())
def test_joined_tables_of_zones_too_dense_to_list_decide_the_same(question: Question) -> None:
    agree(question, Planner(question.floor, question.policy, enumeration_limit=0, sets_limit=0))


@given(questions_at_venues_that_ask())
def test_what_venues_ask_for_decides_as_the_brute_force_says(question: Question) -> None:
    agree(question, Planner(question.floor, question.policy))


@given(questions_at_venues_that_ask())
def test_what_venues_ask_for_decides_the_same_when_sets_are_drawn_by_kind(question: Question) -> None:
    agree(question, Planner(question.floor, question.policy, enumeration_limit=0))


@given(questions_at_venues_that_ask())
def test_what_venues_ask_for_decides_the_same_in_zones_too_dense_to_list(question: Question) -> None:
    agree(question, Planner(question.floor, question.policy, enumeration_limit=0, sets_limit=0))


@given(questions_at_venues_that_ask(), st.integers(1, 5))
def test_sets_summed_a_few_at_a_time_decide_the_same(question: Question, at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maitred.planner.sums._AT_ONCE", at_once)
        agree(question, Planner(question.floor, question.policy))


@given(questions_at_venues_that_ask())
def test_prices_too_high_to_be_told_apart_by_sums_decide_as_the_brute_force_says(question: Question) -> None:
    dear = tuple(each * 1e5 for each in question.request.prices)
    question = replace(question, request=replace(question.request, prices=dear))
    agree(question, Planner(question.floor, question.policy))


@given(questions_at_venues_that_ask(), st.integers(0, 3), st.integers(0, 3))
def test_an_answer_cut_short_says_so_and_no_set_is_better_than_its_bound(
    question: Question, draws: int, recipes: int
) -> None:
    planner = Planner(
        question.floor, question.policy, enumeration_limit=0, sets_limit=0, draws_limit=draws, recipes_limit=recipes
    )
    decision = decide(question.floor, question.policy, question.request)
    answer = planner.answer(question.request)
    if answer.effort.exact:
        assert [plan.score.total for plan in plans_of(answer)[:1]] == pytest.approx(
            [float(found.total) for found in decision.plans[:1]], abs=NEAR
        )
    elif isinstance(answer, Ranked):
        assert answer.effort.bound is not None
        assert answer.effort.bound <= float(decision.plans[0].total) + NEAR


@given(questions_at_venues_that_ask())
def test_a_recorded_question_is_asked_again_as_it_was(question: Question) -> None:
    floor, policy = question.floor, replace(POLICY, scoring=question.policy)
    request = replace(question.request, service="dinner")
    venue = Venue(UUID(int=1), "house", "House", policy, floor, 1, 1)
    answer = Planner(floor, question.policy).answer(request)
    window = policy.window(AT, request.party)
    assert isinstance(window, Window)
    packed = FlightRecord([Decision(venue, request.party, AT, window, request, answer)]).packed()
    [recorded] = read_record(b64encode(packed).decode())
    assert recorded.asked is not None
    again = replace(recorded.asked.request(request.party, floor), service="dinner")
    assert Planner(floor, question.policy).answer(again) == answer
    assert recorded.outcome == outcome_of(answer)


POLICY = VenuePolicy("Europe/London", (Service("dinner", time(17), time(23), (TurnBand(30, 60),)),))
AT = datetime(2030, 6, 5, 18, tzinfo=UTC)


def squares(lost: int = 1, **said: object) -> Floor:
    """Two square tables of four, side by side, and a third beside the second."""
    tables = tuple(Table(id=each, number=f"T{each}", zone_id=1, capacity=4) for each in (1, 2, 3))
    edges = frozenset({(1, 2), (2, 3)})
    joined = (JoinedSet((1, 2), **said),) if said else ()  # type: ignore[arg-type]  # the fields of a JoinedSet
    return Floor(1, tables, edges, {1: "Room"}, lost_seats=dict.fromkeys(edges, lost), joined=joined)


def test_two_square_tables_of_four_make_six() -> None:
    planner = Planner(squares(lost=2), ScoringPolicy(max_overage=0))
    assert [plan.numbers for plan in plans_of(planner.answer(Request(6)))] == [("T1", "T2"), ("T2", "T3")]
    assert [plan.numbers for plan in plans_of(planner.answer(Request(8)))] == [("T1", "T2", "T3")]
    assert reason_of(planner.answer(Request(12))) is not None


def test_in_a_ring_of_joined_tables_the_join_that_loses_most_stays_open() -> None:
    edges = {(1, 2): 1, (2, 3): 2, (1, 3): 4}
    tables = tuple(Table(id=each, number=f"T{each}", zone_id=1, capacity=4) for each in (1, 2, 3))
    floor = Floor(1, tables, frozenset(edges), {1: "Room"}, lost_seats=edges)
    assert floor.seats_of([1, 2, 3]) == 9
    assert Planner(floor, ScoringPolicy()).answer(Request(9)).effort.exact
    assert plans_of(Planner(floor, ScoringPolicy(max_overage=0)).answer(Request(9)))[0].capacity == 9


def test_tables_that_stay_apart_lose_nothing() -> None:
    planner = Planner(squares(lost=2), ScoringPolicy(max_overage=0))
    apart = planner.answer(Request(8, require_adjacency=False))
    assert [plan.numbers for plan in plans_of(apart)] == [("T1", "T3"), ("T1", "T2", "T3")]


def test_a_forbidden_set_is_no_candidate_and_a_larger_one_may_be() -> None:
    planner = Planner(squares(forbidden=True), ScoringPolicy(max_overage=3))
    assert [plan.numbers for plan in plans_of(planner.answer(Request(7)))] == [("T2", "T3"), ("T1", "T2", "T3")]


def test_the_preferred_join_goes_first() -> None:
    plain = plans_of(Planner(squares(lost=0), ScoringPolicy()).answer(Request(8)))
    floor = replace(squares(lost=0), joined=(JoinedSet((2, 3), rank=1), JoinedSet((1, 2), rank=2)))
    policy = ScoringPolicy(weights=Weights(set_order=0.5))
    ranked = plans_of(Planner(floor, policy).answer(Request(8)))
    assert [plan.numbers for plan in plain[:2]] == [("T1", "T2"), ("T2", "T3")]
    assert [plan.numbers for plan in ranked[:2]] == [("T2", "T3"), ("T1", "T2")]
    assert ranked[1].score.extra == ((Term.SET_ORDER, 0.5),)


@pytest.mark.parametrize(
    ("joined", "item", "field"),
    [
        (JoinedSet((1, 2, 1)), "joined set T1 + T2 + T1", "tables"),
        (JoinedSet((1, 4)), "joined set T1 + P1", "tables"),
        (JoinedSet((1,)), "joined set T1", "tables"),
        (JoinedSet((1, 9)), "joined set", "tables"),
        (JoinedSet((1, 2), capacity=0), "joined set T1 + T2", "capacity"),
        (JoinedSet((1, 2), min_party=5, max_party=4), "joined set T1 + T2", "min_party_size"),
        (JoinedSet((1, 2), rank=0), "joined set T1 + T2", "rank"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused_by_name(joined: JoinedSet, item: str, field: str) -> None:
    floor = squares()
    floor = replace(floor, tables=(*floor.tables, Table(4, "P1", 2, 4)), joined=(joined,))
    with pytest.raises(InvalidInput) as refused:
        Planner(floor, ScoringPolicy())
    assert (refused.value.item, refused.value.field) == (item, field)


@pytest.mark.parametrize(("lost", "field"), [({(1, 2): 8}, "lost_seats"), ({(1, 3): 1}, "lost_seats")])
def test_seats_lost_where_nothing_joins_or_none_would_be_left_are_refused(
    lost: dict[tuple[int, int], int], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Planner(replace(squares(), lost_seats=lost), ScoringPolicy())
    assert refused.value.field == field
