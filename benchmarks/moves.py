"""What moves are worth and what looking for them costs: one JSON object on standard output.

    python -m benchmarks.moves [--orders N] [--days N] [--no-bound]

- `demo_in_order_of_time` and `demo_in_random_order`: the demo's day, every party taken that can be seated. `best_fit`
  moves nobody; `moves` moves as many as the search finds with its default bounds; `bound` is what re-seating everybody
  at each arrival allows. Who is taken under the bound depends on nothing but the order: any seating can be changed into
  any other. It comes from a search with a hundred times the bounds, whose "none" is a proof, and from CP-SAT for what
  is still open then. `open` counts arrivals that neither settled; `at_most_` has all of them seated beside the others.
- `by_load`: drawn days on the demo's floor (`maitred.simulate.days`) at a peak of so many covers to a seat, in the
  order in which they are booked, beside the optimiser that knows the whole day (`clairvoyant`, in covers).
- `search_100_tables`: drawn days on 100 tables with 90% of all seats taken at the peak, in random order; each search is
  one call of `find_moves` with its default bounds. `settled` is the share that ended with a way with provably fewest
  moves, or with a proof that there is none.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import combinations
from typing import Any
from uuid import UUID

from benchmarks import _service_days
from benchmarks.planner import at
from maitred.demo.reference import demo_day
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy
from maitred.model.reason import ReasonCode
from maitred.optimiser.optimise import optimise
from maitred.optimiser.options import Options
from maitred.optimiser.problem import Party, Problem
from maitred.optimiser.reseat import reseat
from maitred.optimiser.result import Params
from maitred.planner.answer import Ranked, Request
from maitred.planner.moves import Moves, NoMoves, Seated, Wanted, find_moves
from maitred.planner.planner import Planner
from maitred.simulate.days import PUBLISHED, draw_day

MOST = 50
BOUND_S = 10.0
BOUND_NODES = 70_000
LOADS = (0.8, 0.95, 1.05)
DAY = date(2030, 6, 5)
CLAIRVOYANT_S = 5.0


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


def bound(planner: Planner, order: Sequence[Arrival]) -> dict[str, int]:
    """Takes each party with whom all that were taken can be seated together somehow."""
    seated: list[Seated] = []
    covers = left_open = open_covers = 0
    for number, arrival in enumerate(order, start=1):
        wanted = Wanted(arrival.request, arrival.start, arrival.end)
        found = find_moves(planner, wanted, tuple(seated), most=MOST, nodes=BOUND_NODES)
        if isinstance(found, NoMoves) and found.proved_up_to is not None:
            found = reseat(planner, wanted, seated, most=len(seated), seconds=BOUND_S)
            if isinstance(found, NoMoves) and found.proved_up_to is not None:
                left_open += 1
                open_covers += arrival.party
        if isinstance(found, Moves):
            places = {move.id: move.plan.mask for move in found.moved}
            seated = [replace(each, mask=places.get(each.id, each.mask)) for each in seated]
            seated.append(Seated(UUID(int=number), found.plan.mask, arrival.start, arrival.end, arrival.request, 10.0))
            covers += arrival.party
    verify(seated)
    return {
        "parties": len(seated),
        "covers": covers,
        "open": left_open,
        "at_most_parties": len(seated) + left_open,
        "at_most_covers": covers + open_covers,
    }


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
        first["bound"] = bound(planner, parties)
    best, moves, most = [], [], []
    for seed in range(orders):
        order = list(parties)
        random.Random(seed).shuffle(order)
        best.append(play(planner, order, 0).counts())
        moves.append(play(planner, order, MOST))
        if with_bound:
            most.append(bound(planner, order))
    second: dict[str, Any] = {
        "orders": orders,
        "best_fit": mean(best),
        "moves": mean([each.counts() for each in moves]),
        "searches": searches(moves),
    }
    if with_bound:
        second["bound"] = mean(most)
        second["of_bound"] = {
            what: round(second["moves"][what] / second["bound"][f"at_most_{what}"], 4) for what in ("parties", "covers")
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


def by_load(days: int) -> list[dict[str, Any]]:
    """Drawn days on the demo's floor, in the order in which they were booked, beside the most that fits at all."""
    venue = demo_day()
    planner = Planner(venue.floor, venue.policy.scoring)
    options = Options(planner)
    capacity = {table.id: table.capacity for table in venue.floor.tables}
    rows = []
    for load in LOADS:
        counts: list[dict[str, int]] = []
        unproved = 0
        for seed in range(days):
            drawn = draw_day(PUBLISHED, venue.policy, DAY, seats=sum(capacity.values()), load=load, seed=seed)
            order = arrivals(venue.policy, [(booking.starts_at, booking.party) for booking in drawn])
            parties = tuple(
                Party(str(number), each.party, each.start, each.end, options.of(each.party))
                for number, each in enumerate(order)
            )
            best = optimise(
                Problem(capacity, parties, complete=options.complete), Params(deadline_s=CLAIRVOYANT_S, workers=1)
            )
            unproved += best.gap > 0
            counts.append(
                {
                    "wanted": sum(each.party for each in order),
                    "best_fit": play(planner, order, 0).covers,
                    "moves": play(planner, order, MOST).covers,
                    "clairvoyant": best.covers,
                }
            )
        shares = [row["moves"] / row["clairvoyant"] for row in counts]
        rows.append(
            {
                "load": load,
                "days": days,
                "covers": mean(counts),
                "best_fit_of_clairvoyant": share(counts, "best_fit"),
                "moves_of_clairvoyant": share(counts, "moves"),
                "moves_of_clairvoyant_p5": round(sorted(shares)[max(0, math.ceil(0.05 * days) - 1)], 4),
                "clairvoyant_not_proved": unproved,
            }
        )
    return rows


def share(rows: Sequence[dict[str, int]], key: str) -> float:
    """Of all covers of all days."""
    return round(sum(row[key] for row in rows) / sum(row["clairvoyant"] for row in rows), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure moves; prints JSON.")
    parser.add_argument(
        "--orders", type=int, default=30, help="random orders of the demo's day, and drawn days for each load"
    )
    parser.add_argument("--days", type=int, default=10, help="drawn days on 100 tables")
    parser.add_argument("--no-bound", action="store_true", help="leave out the exact bound, which takes minutes")
    options = parser.parse_args()
    began = time.perf_counter()
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "demo": lambda: demo(options.orders, not options.no_bound),
        "by_load": lambda: {"by_load": by_load(options.orders)},
        "large": lambda: {"search_100_tables": large(options.days)},
    }
    result: dict[str, Any] = {"benchmark": "moves", "python": platform.python_version(), "machine": platform.machine()}
    answer = os.dup(1)
    os.dup2(2, 1)  # a solver's banner is not part of the answer
    for step in steps.values():
        result |= step()
    sys.stdout.flush()
    os.dup2(answer, 1)
    result["seconds"] = round(time.perf_counter() - began, 1)
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
