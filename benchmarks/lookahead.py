"""Look-ahead by prices: what it brings on the demo's day, and what a quote costs with prices in place; JSON on stdout.

    python -m benchmarks.lookahead [--questions N] [--no-demo]

- `demo`: the demo's bookings in order of time, each decided on its own with the day's own later bookings as forecast.
  `declining`: a party whose tables would earn more otherwise is not seated. `refresh_every`: prices are worked out anew
  after so many bookings; `lp_ms` is what that takes. Best fit without prices is `none`.
- `quote`: microseconds of `Planner.answer` with prices by table, and of looking the prices of a window up, on seeded
  floors and questions as in `benchmarks.planner`, the seating built before; eight plans wanted. `with_prices_us`: the
  prices of a day's linear programme, for windows drawn from the day. `any_prices_us`: every table has a price of its
  own, other ones for each question. `without_us`: the same questions without prices. All in turns, and in time of the
  thread on a processor: what a quote waits for a busy machine is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks._service_days import POLICY, bookings, grid
from benchmarks.planner import Questions
from maitred.demo.reference import demo_day
from maitred.model.period import as_micros
from maitred.model.policy import Window
from maitred.optimiser.options import Options
from maitred.optimiser.prices import POINTS_PER_COVER, Expected, Prices, price_tables
from maitred.optimiser.problem import Taken
from maitred.planner.answer import Ranked, Request
from maitred.planner.planner import Planner

SIZES = (40, 100, 200)
_MINUTE = 60_000_000

Row = dict[str, Any]


def in_order_of_time(*, prices: bool, declining: bool, every: int) -> Row:
    """The demo's day, booking by booking."""
    day = demo_day()
    planner = Planner(day.floor, day.policy.scoring)
    options = Options(planner)
    capacity = {table.id: table.capacity for table in day.floor.tables}
    asked = []
    for booking in sorted(day.bookings, key=lambda each: (each.starts_at, each.reference)):
        window = day.policy.window(booking.starts_at, booking.party_size)
        assert isinstance(window, Window)
        asked.append((booking.party_size, as_micros(window.blocked.start), as_micros(window.blocked.end), window))
    taken: list[Taken] = []
    seated = covers = declined = 0
    now: Prices | None = None
    took = []
    for place, (party, start, end, window) in enumerate(asked):
        if prices and place % every == 0:
            began = time.perf_counter()
            demand = [Expected(size, since, till, 1, options.of(size)) for size, since, till, _ in asked[place + 1 :]]
            now = price_tables(capacity, demand, taken)
            took.append((time.perf_counter() - began) * 1000)
        each = () if now is None else now.window(start, end)
        occupied = planner.mask_of(span.table for span in taken if span.start < end and start < span.end)
        points = tuple(price * POINTS_PER_COVER for price in each)
        request = Request(party, occupied, demand_multiplier=window.demand_multiplier, limit=1, prices=points)
        answer = planner.answer(request)
        if not isinstance(answer, Ranked):
            continue
        tables = answer.best.table_ids
        cost = sum(each[planner.layout.index_of[table]] for table in tables) if each else 0.0
        if declining and cost > party + 1e-6:
            declined += 1
            continue
        taken += [Taken(table, start, end) for table in tables]
        seated, covers = seated + 1, covers + party
    row: Row = {"prices": prices, "declining": declining, "refresh_every": every if prices else None}
    row |= {"seated": seated, "covers": covers, "declined": declined}
    return row | ({"lp_ms": {"median": round(statistics.median(took), 1), "most": round(max(took), 1)}} if took else {})


def quote(tables: int, questions: int) -> Row:
    """Times with prices in place."""
    rng = random.Random(7)
    floor = grid(tables, rng)
    planner = Planner(floor, POLICY.scoring)
    options = Options(planner)
    capacity = {table.id: table.capacity for table in floor.tables}
    expected = []
    for booking in bookings(3 * tables, 1.1, sum(capacity.values()), rng):
        window = POLICY.window(booking.starts_at, booking.party)
        assert isinstance(window, Window)
        start, end = as_micros(window.blocked.start), as_micros(window.blocked.end)
        expected.append(Expected(booking.party, start, end, 1, options.of(booking.party)))
    began = time.perf_counter()
    prices = price_tables(capacity, expected)
    lp_s = time.perf_counter() - began
    assert prices is not None
    windows = [(each.start, each.start + 90 * _MINUTE) for each in expected]
    drawn = Questions(tables, rng)
    asked = []
    for _ in range(questions):
        start, end = rng.choice(windows)
        by_table = tuple(price * POINTS_PER_COVER for price in prices.window(start, end))
        own = tuple(rng.uniform(0, 6 * POINTS_PER_COVER) for _ in range(tables))
        asked.append((start, end, drawn.party(), drawn.occupied(None), by_table, own))
    for _, _, party, occupied, by_table, _ in asked:
        planner.answer(Request(party, occupied, prices=by_table))
    with_prices, any_prices, without, looking_up = [], [], [], []
    for start, end, party, occupied, by_table, own in asked:
        with_prices.append(_took(planner, Request(party, occupied, prices=by_table)))
        any_prices.append(_took(planner, Request(party, occupied, prices=own)))
        without.append(_took(planner, Request(party, occupied)))
        began_ns = time.thread_time_ns()
        prices.window(start, end)
        looking_up.append((time.thread_time_ns() - began_ns) / 1000)
    return {
        "tables": tables,
        "lp_s": round(lp_s, 2),
        "with_prices_us": _spread(with_prices),
        "any_prices_us": _spread(any_prices),
        "without_us": _spread(without),
        "looking_up_us": _spread(looking_up),
    }


def _took(planner: Planner, request: Request) -> float:
    began = time.thread_time_ns()
    planner.answer(request)
    return (time.thread_time_ns() - began) / 1000


def _spread(values: Sequence[float]) -> Row:
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=2_000)
    parser.add_argument("--no-demo", action="store_true")
    chosen = parser.parse_args()
    result = {
        "load_average_before": round(os.getloadavg()[0], 2),
        "demo": []
        if chosen.no_demo
        else [
            in_order_of_time(prices=False, declining=False, every=1),
            in_order_of_time(prices=True, declining=False, every=1),
            *(in_order_of_time(prices=True, declining=True, every=every) for every in (1, 2, 5, 10)),
        ],
        "quote": [quote(tables, chosen.questions) for tables in SIZES],
    }
    json.dump(result, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
