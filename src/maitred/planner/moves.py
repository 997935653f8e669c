"""When nothing fits: the fewest seated bookings that must get other tables so that everybody has some. Pure.

Nobody's time changes, every booking that is moved gets a set that its own question allows, and whoever is fixed
(locked, seated already, held by others, too close to its start) stays. ADR 19 has the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from maitred.errors import InvalidInput
from maitred.model.scoring import Relaxation
from maitred.planner.answer import Plan, Request
from maitred.planner.moves_bound import room_for_all
from maitred.planner.moves_search import Found, Party, Search
from maitred.planner.planner import Planner
from maitred.planner.rules import Rules, looser_steps, request_rules
from maitred.planner.sets import sets_of

# A placing costs about as much as there are bookings: so many placings by so many bookings keep a search below 0.1 s.
_PLACINGS_BY_BOOKINGS = 200_000
_FEWEST_PLACINGS = 700


@dataclass(frozen=True, slots=True)
class Seated:
    """A booking with tables, or a hold: `mask` over the floor's indices, [start, end) in microseconds since 1970.

    `request` is the question that another set of tables for it must answer (its `occupied` plays no part); None: it
    stays where it is. `cost` is the price of moving it, in points of the score.
    """

    id: UUID
    mask: int
    start: int
    end: int
    request: Request | None
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The newcomer: its question (whose `occupied` plays no part) and its window, [start, end) in microseconds."""

    request: Request
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Move:
    """One booking's new tables. `from_mask` is what it had."""

    id: UUID
    from_mask: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class Moves:
    """Tables for the newcomer and for those that make way, all at once.

    `fewest`: it was proved that fewer moves don't do. `cheapest`: and that nothing costs less with as many. The cost is
    the scores of the new places less those of the old ones (0 for a place that the rules don't know) plus the price of
    each move.
    """

    plan: Plan
    moved: tuple[Move, ...]
    cost: float
    relaxed: frozenset[Relaxation]
    fewest: bool
    cheapest: bool
    nodes: int


@dataclass(frozen=True, slots=True)
class NoMoves:
    """No way was found. `proved_up_to`: with so many moves there certainly is none (-1: nothing was proved); None: nor
    with any number."""

    proved_up_to: int | None
    nodes: int


def find_moves(
    planner: Planner, wanted: Wanted, seated: tuple[Seated, ...], *, most: int, nodes: int | None = None
) -> Moves | NoMoves:
    """The way with the fewest moves, at most `most`; among those the one that costs least.

    `seated` are all bookings and holds that could stand in the way of somebody: those of the day. With `nodes` placings
    looked at the search ends, and the answer says what had been proved by then; None: 700, or more where few are
    seated. The steps of the relaxation ladder are
    the newcomer's alone and are tried in order, each with what is left of `nodes`. Raises InvalidInput as
    `Planner.answer` does, for `most` below 0 and for `nodes` below 1.
    """
    if most < 0:
        raise InvalidInput("moves", "most", "must be 0 or more")
    if nodes is None:
        nodes = max(_FEWEST_PLACINGS, _PLACINGS_BY_BOOKINGS // max(1, len(seated)))
    if nodes < 1:
        raise InvalidInput("moves", "nodes", "must be 1 or more")
    steps = ladder(planner, wanted.request)
    those = [party_of(planner, each) for each in seated]
    spent = 0
    proved: int | None = None
    for rules, relaxed in steps:
        newcomer = newcomer_under(planner, wanted, rules)
        if not room_for_all(planner, newcomer, those):
            continue
        if spent >= nodes:
            return NoMoves(-1, spent)
        search = Search([newcomer, *those], nodes - spent)
        found = search.fewest(most)
        spent += search.nodes
        if found is not None:
            return _moves(seated, search, found, relaxed, spent)
        if search.nobody_left:
            continue
        proved = search.proved_up_to if proved is None else min(proved, search.proved_up_to)
    return NoMoves(proved, spent)


def ladder(planner: Planner, request: Request) -> list[tuple[Rules, frozenset[Relaxation]]]:
    """The newcomer's own rules, and then the looser ones that its policy allows. Raises as `Planner.answer` does."""
    planner.barred(request)
    first = request_rules(planner.policy, request)
    return [(first, frozenset()), *looser_steps(planner.policy, request, first)]


def newcomer_under(planner: Planner, wanted: Wanted, rules: Rules) -> Party:
    """The newcomer as one who has no tables yet, under one step of its ladder."""
    return Party(
        start=wanted.start,
        end=wanted.end,
        mask=0,
        sets=sets_of(planner.layout, planner.seating(rules)),
        barred=planner.barred(wanted.request),
        cost=0.0,
        before=0.0,
    )


def party_of(planner: Planner, seated: Seated) -> Party:
    """A seated booking, by the rules of its own question; one without a question is fixed."""
    if seated.request is None:
        return Party(seated.start, seated.end, seated.mask, None, 0, 0.0, 0.0)
    sets = sets_of(planner.layout, planner.seating(request_rules(planner.policy, seated.request)))
    rank = sets.rank_of.get(seated.mask)
    return Party(
        start=seated.start,
        end=seated.end,
        mask=seated.mask,
        sets=sets,
        barred=planner.barred(seated.request),
        cost=seated.cost,
        before=0.0 if rank is None else sets.totals[rank],
    )


def _moves(
    seated: tuple[Seated, ...],
    search: Search,
    found: Found,
    relaxed: frozenset[Relaxation],
    nodes: int,
) -> Moves:
    placed = dict(found.placed)
    newcomer = search.parties[0]
    moved = [
        Move(seated[index - 1].id, seated[index - 1].mask, search.parties[index].choice.plan(rank))
        for index, rank in sorted(placed.items())
        if index
    ]
    whole = not search.unlisted
    return Moves(
        plan=newcomer.choice.plan(placed[0]),
        moved=tuple(moved),
        cost=round(found.cost, 6),
        relaxed=relaxed,
        fewest=whole and search.proved_up_to >= len(moved) - 1,
        cheapest=whole and search.proved_up_to >= len(moved) - 1 and not search.cut,
        nodes=nodes,
    )
