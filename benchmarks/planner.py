"""How fast the planner answers, and what it costs to have it ready: one JSON object on standard output.

    python -m benchmarks.planner [--questions N] [--seed S]

Floors are grids in zones of up to 50 tables (10 in a row, each table next to those left, right, before and behind it),
with capacities 2, 4 and 6 mixed. Parties come as often as on the demo's day. Each question has an occupancy of its own,
drawn from 0 to 90% of the tables, or the one that the row names; every table is taken with that probability. Times are
of `Planner.answer` alone, in microseconds: the full ranked answer with its score by term.

- `steady`: everything that such questions need had been asked for before.
- `first_call`: the first question of each party size to a new planner, in an empty room and then in a nearly full one,
  which includes ranking the sets and indexing them.
- `all_terms`: a venue that weighs everything which can be asked of the choice, at questions of which each has wishes,
  loads of sections and minutes lost at tables of its own. `prices`: each question has prices; `_1` wants one plan.
- `hall`: a room of so many kinds of tables in which adjacency isn't required, and which has too many sets to list: the
  first question of a party size, then the same again with other tables taken, and with prices.
- `naive`: what a plain loop over the same list of sets takes: leave out the taken, score the rest, sort. `ratio` is its
  median to ours, measured in turns on the same questions.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import platform
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from maitred.model.floor import Floor, SeatingType, Table, TableFeature
from maitred.model.preferences import Preferences
from maitred.model.scoring import KeepLarge, ScoringPolicy, Weights
from maitred.planner.answer import Ranked, Request, Upcoming
from maitred.planner.planner import Planner

SIZES = (16, 40, 100, 200)
ZONE = 50
ROW = 10
CAPACITIES = (2, 4, 6)
PARTIES = {2: 37, 4: 37, 6: 22, 3: 14, 5: 4, 8: 3}
MOST_OCCUPIED = 0.9
UPCOMING = 5
ALL_PARTIES = range(1, 13)

SECTIONS = ("Anna", "Ben", "Cleo", "Dan")
HALLS = ((12, 20), (40, 40), (40, 60))
WEIGHING = ScoringPolicy(
    weights=Weights(
        set_order=1,
        priority=3,
        guest_preference=4,
        venue_preference=2,
        vip=6,
        large_table=5,
        section=0.5,
        pacing=0.3,
        gap=0.1,
    ),
    keep_large=(KeepLarge(6, 5, 120),),
    preferences=Preferences(seating_type=SeatingType.BOOTH),
)

Row = dict[str, float | int]


def grid(count: int, rng: random.Random) -> Floor:
    """A floor of so many tables."""
    tables = []
    edges = set()
    for index in range(count):
        zone, place = divmod(index, ZONE)
        tables.append(Table(index + 1, f"T{index + 1}", zone + 1, rng.choice(CAPACITIES)))
        if place % ROW:
            edges.add((index, index + 1))
        if place >= ROW:
            edges.add((index + 1 - ROW, index + 1))
    zones = {zone + 1: f"Zone {zone + 1}" for zone in range(math.ceil(count / ZONE))}
    return Floor(1, tuple(tables), frozenset(edges), zones)


class Questions:
    """Seeded questions about one floor."""

    def __init__(self, tables: int, rng: random.Random) -> None:
        self._tables = tables
        self._rng = rng

    def occupied(self, occupancy: float | None) -> int:
        share = self._rng.uniform(0, MOST_OCCUPIED) if occupancy is None else occupancy
        return sum(1 << index for index in range(self._tables) if self._rng.random() < share)

    def party(self) -> int:
        return self._rng.choices(list(PARTIES), list(PARTIES.values()))[0]

    def draw(
        self, count: int, *, occupancy: float | None = None, adjacency: bool | None = None, upcoming: int = 0
    ) -> list[Request]:
        """The waiting bookings' windows overlap the party's, so most of what is taken is taken for both."""
        requests = []
        for _ in range(count):
            occupied = self.occupied(occupancy)
            waiting = tuple(Upcoming(self.party(), occupied | self.occupied(0.1)) for _ in range(upcoming))
            requests.append(Request(self.party(), occupied, require_adjacency=adjacency, upcoming=waiting))
        return requests


def microseconds(answer: Callable[[Request], object], requests: Iterable[Request]) -> list[float]:
    """How long each answer took."""
    clock = time.perf_counter_ns
    taken = []
    for request in requests:
        start = clock()
        answer(request)
        taken.append((clock() - start) / 1000)
    return taken


def in_turns(answers: Sequence[Callable[[Request], object]], requests: Iterable[Request]) -> list[list[float]]:
    """How long each answer took, question by question, so that a busy machine is busy for all of them."""
    taken: list[list[float]] = [[] for _ in answers]
    for request in requests:
        for each, times in zip(answers, taken, strict=True):
            times.extend(microseconds(each, [request]))
    return taken


def at(values: Sequence[float], share: float) -> float:
    """The percentile as an order statistic: a value that occurred."""
    return round(sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)], 1)


def summary(taken: Sequence[float]) -> Row:
    return {
        "n": len(taken),
        "p50_us": at(taken, 0.5),
        "p95_us": at(taken, 0.95),
        "p99_us": at(taken, 0.99),
        "max_us": at(taken, 1),
    }


def steady(planner: Planner, requests: list[Request]) -> Row:
    for party in PARTIES:
        for request in requests[:3]:
            warm = Request(party, request.occupied, require_adjacency=request.require_adjacency)
            planner.answer(warm)
            planner.answer(Request(party, planner.layout.all >> 1, require_adjacency=request.require_adjacency))
    answered = sum(isinstance(planner.answer(request), Ranked) for request in requests[:200])
    return {**summary(microseconds(planner.answer, requests)), "with_plan": round(answered / len(requests[:200]), 3)}


def naive(planner: Planner) -> Callable[[Request], object]:
    """A planner without ideas: the same sets, one after the other, for every question."""
    floor, policy = planner.floor, planner.policy
    weights = policy.weights
    sets = [(mask, batch.profile) for batch in planner.catalogue.connected(policy.max_tables) for mask in batch.masks]

    def answer(request: Request) -> list[tuple[float, int, dict[str, float]]]:
        found = []
        for mask, profile in sets:
            overage = profile.capacity - request.party
            if mask & request.occupied or not 0 <= overage <= policy.max_overage or profile.needs_party > request.party:
                continue
            combination = 0.0
            if profile.size > 1:
                combination = (profile.size - 1) * weights.table_count + profile.adjacency_cost * weights.adjacency_cost
                combination *= min(3.0, 1 + profile.scarcity / profile.size)
            terms = {
                "slack": overage * weights.overage * request.demand_multiplier,
                "combination": combination,
                "fragmentation": (profile.capacity - profile.largest) * weights.fragmentation,
                "scarcity": profile.scarcity * weights.scarcity,
            }
            found.append((round(sum(terms.values()), 6), mask, terms))
        found.sort(key=lambda each: each[:2])
        for _, mask, _ in found[: request.limit]:
            _ = [table.id for index, table in enumerate(floor.tables) if mask >> index & 1]
        return found[: request.limit]

    return answer


def asking(floor: Floor, rng: random.Random) -> Floor:
    """The same floor with features, sections and priorities."""
    tables = (
        replace(
            table,
            features=frozenset(feature for feature in TableFeature if rng.random() < 0.3),
            section=rng.choice(SECTIONS),
            priority=(("dinner", rng.randrange(4)),),
        )
        for table in floor.tables
    )
    return replace(floor, tables=tuple(tables))


def terms_of(request: Request, floor: Floor, rng: random.Random) -> Request:
    """The question with everything that a venue may weigh."""
    return replace(
        request,
        preferences=Preferences(zone="Zone 1", high_chair=rng.random() < 0.3, step_free=rng.random() < 0.3),
        vip=rng.random() < 0.1,
        service="dinner",
        lead_min=rng.randrange(300),
        section_covers=tuple(rng.randrange(30) for _ in floor.sections),
        section_arrivals=tuple(rng.randrange(12) for _ in floor.sections),
        lost_minutes=tuple(rng.choice((0, 0, 0, 30)) for _ in floor.tables),
    )


def with_prices(request: Request, tables: int, rng: random.Random) -> Request:
    """The question with prices of tables, in points."""
    return replace(request, prices=tuple(round(rng.uniform(0, 50), 2) for _ in range(tables)))


def rows_of_asks(floor: Floor, max_tables: int, mixed: Sequence[Request], rng: random.Random) -> dict[str, Row]:
    there = asking(floor, rng)
    weighing = Planner(there, replace(WEIGHING, max_tables=max_tables))
    plain = Planner(floor, ScoringPolicy(max_tables=max_tables))
    asked = [terms_of(request, there, rng) for request in mixed]
    priced = [with_prices(request, len(floor.tables), rng) for request in mixed]
    return {
        "all_terms": steady(weighing, asked),
        "all_terms_1": steady(weighing, [replace(request, limit=1) for request in asked]),
        "prices": steady(plain, priced),
        "prices_1": steady(plain, [replace(request, limit=1) for request in priced]),
    }


def hall_rows(kinds: int, party: int, questions: int, rng: random.Random) -> dict[str, object]:
    """A hall of this many kinds of tables, two of each, for parties of this size."""
    tables = [Table(place + 1, f"T{place + 1}", 1, 2 + place // 2) for place in range(2 * kinds)]
    floor = Floor(1, tuple(tables), zones={1: "Hall"})
    planner = Planner(floor, ScoringPolicy(max_tables=5, adjacency_from_party=None))
    ask = Questions(len(tables), rng)
    first = microseconds(planner.answer, [Request(party)])
    again = [Request(party, ask.occupied(None)) for _ in range(questions)]
    priced = [with_prices(request, len(tables), rng) for request in again[: max(1, questions // 10)]]
    exact = sum(planner.answer(request).effort.exact for request in priced)
    return {
        "kinds": kinds,
        "party": party,
        "first_ms": round(first[0] / 1000, 1),
        "steady": summary(microseconds(planner.answer, again)),
        "prices": {**summary(microseconds(planner.answer, priced)), "exact": exact},
    }


def first_calls(floor: Floor, policy: ScoringPolicy) -> dict[str, Row]:
    planner = Planner(floor, policy)
    nearly_full = planner.layout.all >> 3
    empty_room = microseconds(planner.answer, [Request(party) for party in ALL_PARTIES])
    full_room = microseconds(planner.answer, [Request(party, nearly_full) for party in ALL_PARTIES])
    return {"empty_room": summary(empty_room), "nearly_full_room": summary(full_room)}


def build_ms(floor: Floor, policy: ScoringPolicy) -> float:
    """The median of five."""
    taken = []
    for _ in range(5):
        gc.collect()
        start = time.perf_counter()
        Planner(floor, policy)
        taken.append((time.perf_counter() - start) * 1000)
    return at(taken, 0.5)


def memory_mb(floor: Floor, policy: ScoringPolicy) -> float:
    """What a planner holds that has answered for every party of 1 to 12, in an empty, a third full and a full room."""
    gc.collect()
    tracemalloc.start()
    planner = Planner(floor, policy)
    third = sum(1 << index for index in range(0, len(floor.tables), 3))
    for party in ALL_PARTIES:
        for occupied in (0, third, planner.layout.all >> 3):
            planner.answer(Request(party, occupied))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(held / 1e6, 2)


def measure(count: int, max_tables: int, questions: int, seed: int) -> dict[str, object]:
    rng = random.Random(seed)
    floor = grid(count, rng)
    policy = ScoringPolicy(max_tables=max_tables)
    planner = Planner(floor, policy)
    ask = Questions(count, rng)
    mixed = ask.draw(questions)
    rows: dict[str, Row] = {"occupied_0_to_90": steady(planner, mixed)}
    for occupancy in (0.0, 0.5, 0.9):
        rows[f"occupied_{occupancy:.0%}"] = steady(planner, ask.draw(questions // 2, occupancy=occupancy))
    rows["lookahead_5"] = steady(planner, ask.draw(questions // 2, upcoming=UPCOMING))
    rows["lookahead_5_occupied_90%"] = steady(planner, ask.draw(questions // 4, occupancy=0.9, upcoming=UPCOMING))
    rows["adjacency_free"] = steady(planner, ask.draw(questions // 2, adjacency=False))
    rows |= rows_of_asks(floor, max_tables, mixed[: questions // 4], rng)
    plain, ours = in_turns((naive(planner), planner.answer), mixed[: max(50, questions // 20)])
    return {
        "tables": count,
        "max_tables": max_tables,
        "sets": planner.catalogue.size(max_tables),
        "build_ms": build_ms(floor, policy),
        "memory_mb": memory_mb(floor, policy),
        "steady": rows,
        "first_call": first_calls(floor, policy),
        "naive": {**summary(plain), "ratio": round(at(plain, 0.5) / at(ours, 0.5), 1)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the planner; prints JSON.")
    parser.add_argument("--questions", type=int, default=4000, help="questions for each floor")
    parser.add_argument("--seed", type=int, default=20251106)
    options = parser.parse_args()
    started = time.perf_counter()
    floors = [measure(count, 3, options.questions, options.seed) for count in SIZES]
    floors.append(measure(SIZES[-1], 5, options.questions, options.seed))
    rng = random.Random(options.seed)
    result = {
        "benchmark": "planner",
        "python": platform.python_version(),
        "machine": platform.machine(),
        "seed": options.seed,
        "floors": floors,
        "halls": [hall_rows(kinds, party, options.questions // 40, rng) for kinds, party in HALLS],
        "seconds": round(time.perf_counter() - started, 1),
    }
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
