"""The questions of `strategies`, at venues that say more: of joined sets, of their tables, and of what they want."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from maitred.model.floor import ANY_SERVICE, Floor, SeatingType, TableFeature
from maitred.model.joined import JoinedSet
from maitred.model.preferences import Preference, Preferences
from maitred.model.scoring import KeepLarge, ScoringPolicy
from maitred.planner.answer import Request
from tests.planner.strategies import Question, questions, questions_about_long_sets

_WEIGHTS: Final = (0.0, 0.5, 2.0, 7.5, 60.0)


@st.composite
def _joined_set(draw: st.DrawFn, floor: Floor) -> JoinedSet | None:
    """Mostly of tables that touch, so that it may be used."""
    some = draw(st.sampled_from(floor.tables))
    together = [table.id for table in floor.tables if table.zone_id == some.zone_id]
    ids = [some.id]
    for _ in range(draw(st.sampled_from((1, 1, 2, 3, 4)))):
        near = [
            each
            for each in together
            if each not in ids and any((min(at, each), max(at, each)) in floor.adjacency for at in ids)
        ]
        apart = not near or draw(st.integers(0, 3)) == 0
        others = [each for each in together if each not in ids] if apart else near
        if others:
            ids.append(draw(st.sampled_from(others)))
    if len(ids) < 2:
        return None
    seats = sum(table.capacity for table in floor.tables if table.id in ids)
    least = draw(st.sampled_from((None, None, 1, 3, seats)))
    return JoinedSet(
        tables=tuple(ids[::-1] if draw(st.booleans()) else ids),
        capacity=draw(st.sampled_from((None, seats, max(1, seats - 2), max(1, seats - 5), seats + 2))),
        min_party=least,
        max_party=draw(st.sampled_from((None, None, max(least or 1, seats - 1)))),
        rank=draw(st.sampled_from((None, None, 1, 2, 3, 7))),
        forbidden=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def with_joins(draw: st.DrawFn, floor: Floor) -> Floor:
    """Seats lost at the joins: none, everywhere the same, or here and there; and something said of some sets."""
    edges = sorted(floor.adjacency)
    lost: dict[tuple[int, int], int] = {}
    kind = draw(st.sampled_from(("none", "same", "some", "some")))
    if kind == "same":
        lost = dict.fromkeys(edges, draw(st.sampled_from((1, 2))))
    elif kind == "some":
        lost = {edge: draw(st.sampled_from((0, 1, 2, 3, 0))) for edge in edges}
    seats = {table.id: table.capacity for table in floor.tables}
    lost = {edge: min(many, seats[edge[0]] + seats[edge[1]] - 1) for edge, many in lost.items()}
    said = draw(st.lists(_joined_set(floor), max_size=4))
    joined = {frozenset(each.tables): each for each in said if each is not None}
    return replace(floor, lost_seats=lost, joined=tuple(joined.values()))


@st.composite
def questions_about_joins(draw: st.DrawFn) -> Question:
    asked = draw(questions() | questions_about_long_sets())
    order = draw(st.sampled_from(_WEIGHTS))
    policy = replace(asked.policy, weights=replace(asked.policy.weights, set_order=order))
    return Question(draw(with_joins(asked.floor)), policy, asked.request)


@st.composite
def with_attributes(draw: st.DrawFn, floor: Floor) -> Floor:
    """Tables with features, sections and priorities."""
    features = st.frozensets(st.sampled_from(TableFeature), max_size=3)
    section = st.sampled_from((None, "north", "south", "bar"))
    steps = st.dictionaries(st.sampled_from(("lunch", "dinner", ANY_SERVICE)), st.integers(0, 3), max_size=2)
    tables = tuple(
        replace(table, features=draw(features), section=draw(section), priority=tuple(sorted(draw(steps).items())))
        for table in floor.tables
    )
    return replace(floor, tables=tables)


def preferences(floor: Floor, *, must: bool = True) -> st.SearchStrategy[Preferences]:
    names = (None, None, *floor.zones.values(), "zone 1", "Nowhere")
    return st.builds(
        Preferences,
        zone=st.sampled_from(names),
        seating_type=st.sampled_from((None, None, *SeatingType)),
        high_chair=st.booleans(),
        step_free=st.booleans(),
        must=st.frozensets(st.sampled_from(Preference), max_size=1) if must else st.just(frozenset()),
    )


_RULES: Final = st.builds(
    KeepLarge,
    seats=st.integers(2, 8),
    party=st.integers(1, 9),
    until_min=st.sampled_from((0, 60)),
    hard=st.booleans(),
    service=st.sampled_from((None, None, "dinner")),
)


@st.composite
def asking(draw: st.DrawFn, policy: ScoringPolicy, floor: Floor) -> ScoringPolicy:
    """The policy with weights of the venue's own, and its wishes and rules."""
    weight = st.sampled_from(_WEIGHTS)
    weights = replace(
        policy.weights,
        set_order=draw(weight),
        priority=draw(weight),
        guest_preference=draw(weight),
        venue_preference=draw(weight),
        vip=draw(weight),
        large_table=draw(weight),
        section=draw(weight),
        pacing=draw(weight),
        gap=draw(weight),
    )
    return replace(
        policy,
        weights=weights,
        keep_large=tuple(draw(st.lists(_RULES, max_size=2))),
        hard_preferences=draw(st.frozensets(st.sampled_from(Preference), max_size=1)),
        preferences=draw(preferences(floor, must=False)),
        vip_only=draw(st.sampled_from((False, False, True))),
    )


@st.composite
def knowing(draw: st.DrawFn, request: Request, floor: Floor) -> Request:
    """The question with what such policies look at."""

    def some(most: int, count: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.just(()) | st.lists(st.integers(0, most), min_size=count, max_size=count).map(tuple)

    return replace(
        request,
        preferences=draw(st.none() | preferences(floor)),
        vip=draw(st.booleans()),
        service=draw(st.sampled_from((None, "lunch", "dinner"))),
        lead_min=draw(st.sampled_from((None, 0, 59, 60, 61, 500))),
        section_covers=draw(some(12, len(floor.sections))),
        section_arrivals=draw(some(6, len(floor.sections))),
        lost_minutes=draw(some(40, len(floor.tables))),
    )


@st.composite
def questions_at_venues_that_ask(draw: st.DrawFn) -> Question:
    """Everything at once, or a part of it."""
    asked = draw(questions() | questions_about_long_sets())
    floor = draw(with_attributes(asked.floor))
    if draw(st.booleans()):
        floor = draw(with_joins(floor))
    return Question(floor, draw(asking(asked.policy, floor)), draw(knowing(asked.request, floor)))
