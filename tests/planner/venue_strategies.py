"""The questions of `strategies`, at venues that say more: of joined sets, of their tables, and of what they want."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from maitred.model.floor import Floor
from maitred.model.joined import JoinedSet
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
