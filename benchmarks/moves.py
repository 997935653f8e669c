"""What moves are worth and what looking for them costs: one JSON object on standard output.

    python -m benchmarks.moves [--orders N] [--days N] [--no-bound]

- `demo_in_order_of_time` and `demo_in_random_order`: the demo's day, every party taken that can be seated. `best_fit`
  moves nobody; `moves` moves as many as the search finds with its default bounds; `bound` is what re-seating everybody
  at each arrival allows, by a model of its own written here (CP-SAT, feasibility alone). Who is taken under the bound
  depends on nothing but the order: any seating can be changed into any other. Where the solver ran out of time the
  party counts as seated, so the bound never lies below the truth.
- `search_100_tables`: drawn days on 100 tables with 90% of all seats taken at the peak, in random order; each search is
  one call of `find_moves` with its default bounds. `settled` is the share that ended with a way with provably fewest
  moves, or with a proof that there is none.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any
from uuid import UUID

from ortools.sat.python import cp_model

from benchmarks import _service_days
from benchmarks.planner import at
from maitred.demo.reference import demo_day
from maitred.model.floor import Floor
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy
from maitred.model.reason import ReasonCode
from maitred.planner.answer import Ranked, Request
from maitred.planner.moves import Moves, NoMoves, Seated, Wanted, find_moves
from maitred.planner.planner import Planner

MOST = 50
BOUND_S = 20.0


@dataclass(frozen=True)
class Arrival:
    """One party, and [start, end) of its window in microseconds."""

    party: int
    demand: float
    start: int
    end: int

    @property
    def request(self) -> Request:
        return Request(self.party, demand_multiplier=self.demand)


@dataclass
class Search:
    """One search: how long it took, how long the processor worked on it, and what it came to."""

    ms: float
    cpu_ms: float
    result: str
    settled: bool


@dataclass
class Day:
    """What became of a day."""

    parties: int = 0
    covers: int = 0
    moves: int = 0
    searches: list[Search] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {"parties": self.parties, "covers": self.covers, "moves": self.moves}


def arrivals(policy: VenuePolicy, bookings: Sequence[tuple[Any, int]]) -> list[Arrival]:
    """Bookings as (start, party); one that fits no service is left out."""
    found = []
    for starts_at, party in bookings:
        window = policy.window(starts_at, party)
        if not isinstance(window, ReasonCode):
            blocked = window.blocked
            found.append(Arrival(party, window.demand_multiplier, as_micros(blocked.start), as_micros(blocked.end)))
    return found


def play(planner: Planner, order: Sequence[Arrival], most: int) -> Day:
    """Takes each party that can be seated, moving at most `most` others for it."""
    day = Day()
    seated: list[Seated] = []
    for number, arrival in enumerate(order, start=1):
        occupied = 0
        for other in seated:
            if other.start < arrival.end and arrival.start < other.end:
                occupied |= other.mask
        answer = planner.answer(replace(arrival.request, occupied=occupied))
        mask = answer.best.mask if isinstance(answer, Ranked) else 0
        if not mask and most:
            found = look(planner, arrival, tuple(seated), most, day)
            if isinstance(found, Moves):
                places = {move.id: move.plan.mask for move in found.moved}
                seated = [replace(each, mask=places.get(each.id, each.mask)) for each in seated]
                mask = found.plan.mask
                day.moves += len(found.moved)
        if mask:
            seated.append(Seated(UUID(int=number), mask, arrival.start, arrival.end, arrival.request, 10.0))
            day.parties += 1
            day.covers += arrival.party
    verify(seated)
    return day


def look(planner: Planner, arrival: Arrival, seated: tuple[Seated, ...], most: int, day: Day) -> Moves | NoMoves:
    wanted = Wanted(arrival.request, arrival.start, arrival.end)
    began, worked = time.perf_counter(), time.thread_time()
    found = find_moves(planner, wanted, seated, most=most)
    spent, cpu = (time.perf_counter() - began) * 1000, (time.thread_time() - worked) * 1000
    if isinstance(found, Moves):
        day.searches.append(Search(spent, cpu, f"{len(found.moved)} moved", found.fewest))
        return found
    settled = found.proved_up_to is None or found.proved_up_to >= most
    day.searches.append(Search(spent, cpu, "none" if settled else f"open beyond {found.proved_up_to}", settled))
    return found


def verify(seated: Sequence[Seated]) -> None:
    """Nobody shares a table at any moment."""
    for one, other in combinations(seated, 2):
        if one.mask & other.mask and one.start < other.end and other.start < one.end:
            raise RuntimeError("two parties share a table")


def bound(floor: Floor, planner: Planner, order: Sequence[Arrival]) -> dict[str, int]:
    """Takes each party with whom all that were taken can be seated together somehow."""
    sets: dict[int, list[tuple[int, ...]]] = {}
    ids = [table.id for table in floor.tables]
    for party in {arrival.party for arrival in order}:
        answer = planner.answer(Request(party, limit=100_000))
        plans = answer.plans if isinstance(answer, Ranked) else ()
        sets[party] = [tuple(ids.index(table_id) for table_id in plan.table_ids) for plan in plans]
    taken: list[Arrival] = []
    open_questions = 0
    for arrival in order:
        near = linked(arrival, taken)
        status = seats_all([*near, arrival], sets)
        if status == cp_model.INFEASIBLE:
            continue
        open_questions += status == cp_model.UNKNOWN
        taken.append(arrival)
    return {"parties": len(taken), "covers": sum(each.party for each in taken), "out_of_time": open_questions}


def linked(arrival: Arrival, taken: Sequence[Arrival]) -> list[Arrival]:
    """Those whose windows are linked with this one's, one after the other."""
    rest, found, border = list(taken), [], [arrival]
    while border:
        here = border.pop()
        near = [each for each in rest if each.start < here.end and here.start < each.end]
        rest = [each for each in rest if not (each.start < here.end and here.start < each.end)]
        found += near
        border += near
    return found


def seats_all(parties: Sequence[Arrival], sets: dict[int, list[tuple[int, ...]]]) -> cp_model.CpSolverStatus:
    """Whether there are tables for all of them."""
    model = cp_model.CpModel()
    on_table: dict[int, list[tuple[Arrival, cp_model.IntVar]]] = {}
    for party in parties:
        chosen = []
        for members in sets[party.party]:
            variable = model.new_bool_var("")
            chosen.append(variable)
            for table in members:
                on_table.setdefault(table, []).append((party, variable))
        if not chosen:
            return cp_model.INFEASIBLE
        model.add_exactly_one(chosen)
    for moment in {party.start for party in parties}:
        for there in on_table.values():
            model.add_at_most_one([variable for party, variable in there if party.start <= moment < party.end])
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = BOUND_S
    return solver.solve(model)


def searches(days: Sequence[Day]) -> dict[str, Any]:
    every = [search for day in days for search in day.searches]
    taken = [search.ms for search in every]
    cpu = [search.cpu_ms for search in every]
    return {
        "n": len(every),
        "p50_ms": at(taken, 0.5),
        "p95_ms": at(taken, 0.95),
        "max_ms": at(taken, 1),
        "cpu_p50_ms": at(cpu, 0.5),
        "cpu_p95_ms": at(cpu, 0.95),
        "cpu_max_ms": at(cpu, 1),
        "settled": round(sum(search.settled for search in every) / len(every), 3),
        "results": dict(Counter(search.result for search in every).most_common()),
    }


def demo(orders: int, with_bound: bool) -> dict[str, Any]:
    day = demo_day()
    planner = Planner(day.floor, day.policy.scoring)
    in_time = sorted(day.bookings, key=lambda booking: (booking.starts_at, booking.reference))
    parties = arrivals(day.policy, [(booking.starts_at, booking.party_size) for booking in in_time])
    moved = play(planner, parties, MOST)
    first: dict[str, Any] = {
        "best_fit": play(planner, parties, 0).counts(),
        "moves": moved.counts(),
        "searches": searches([moved]),
    }
    if with_bound:
        first["bound"] = bound(day.floor, planner, parties)
    best, moves, most = [], [], []
    for seed in range(orders):
        order = list(parties)
        random.Random(seed).shuffle(order)
        best.append(play(planner, order, 0).counts())
        moves.append(play(planner, order, MOST))
        if with_bound:
            most.append(bound(day.floor, planner, order))
    second: dict[str, Any] = {
        "orders": orders,
        "best_fit": mean(best),
        "moves": mean([each.counts() for each in moves]),
        "searches": searches(moves),
    }
    if with_bound:
        second["bound"] = mean(most)
        second["of_bound"] = {
            what: round(second["moves"][what] / second["bound"][what], 4) for what in ("parties", "covers")
        }
    return {"demo_in_order_of_time": first, "demo_in_random_order": second}


def mean(rows: Sequence[dict[str, int]]) -> dict[str, float]:
    return {key: round(sum(row[key] for row in rows) / len(rows), 2) for key in rows[0]}


def large(days: int, tables: int = 100, load: float = 0.9) -> dict[str, Any]:
    played: list[Day] = []
    best: list[dict[str, int]] = []
    wanted = 0
    for seed in range(days):
        rng = random.Random(seed)
        floor = _service_days.grid(tables, rng)
        seats = sum(table.capacity for table in floor.tables)
        drawn = _service_days.bookings(3 * tables, load, seats, rng)
        planner = Planner(floor, _service_days.POLICY.scoring)
        order = arrivals(_service_days.POLICY, [(each.starts_at, each.party) for each in drawn])
        rng.shuffle(order)
        wanted += len(order)
        best.append(play(planner, order, 0).counts())
        played.append(play(planner, order, MOST))
    return {
        "tables": tables,
        "peak_load": load,
        "days": days,
        "parties_wanted": wanted,
        "best_fit": mean(best),
        "moves": mean([each.counts() for each in played]),
        "searches": searches(played),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure moves; prints JSON.")
    parser.add_argument("--orders", type=int, default=30, help="random orders of the demo's day")
    parser.add_argument("--days", type=int, default=10, help="drawn days on 100 tables")
    parser.add_argument("--no-bound", action="store_true", help="leave out the exact bound, which takes minutes")
    options = parser.parse_args()
    began = time.perf_counter()
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "demo": lambda: demo(options.orders, not options.no_bound),
        "large": lambda: {"search_100_tables": large(options.days)},
    }
    result: dict[str, Any] = {"benchmark": "moves", "python": platform.python_version(), "machine": platform.machine()}
    for step in steps.values():
        result |= step()
    result["seconds"] = round(time.perf_counter() - began, 1)
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
