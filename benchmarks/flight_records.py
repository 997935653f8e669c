"""How large flight records are and what they cost: one JSON object on standard output.

    python -m benchmarks.flight_records [--seed S]

The demo's day, and days like it on grids of 16 to 200 tables: as many bookings a table as the demo's venue has, at its
hours, in its party sizes, quoted in order of time, each taking the tables it gets. All later bookings of the day are
still waiting, so look-ahead has as many in view as it ever will.

- `bytes`: the record as it stands in its event (base64).
- `quote_us`: what the quote itself pays for: putting question and answer aside. Its `ratio` is to the planning alone
  (`Planner.answer`) of the same quotes.
- `writer_us`: packing, which the recorder's writer does later.
- `waiting_bytes`: memory that a quote's record holds until it is written, beyond what is there anyway.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta
from uuid import UUID

from benchmarks.planner import PARTIES, SIZES, at, grid
from maitred.booking.question import Question, Strategy, question_at_any_time
from maitred.booking.snapshot import Snapshot, Taken, Waiting
from maitred.demo.reference import demo_day
from maitred.model.booking import BookingStatus
from maitred.model.floor import Floor
from maitred.model.period import as_micros
from maitred.model.policy import VenuePolicy
from maitred.planner.answer import Ranked
from maitred.planner.planner import Planner
from maitred.replay.record import Decision, FlightRecord
from maitred.venue.read import Venue

NOBODY = UUID(int=0)
DEMO_TABLES = 16
TIMED = 100
ROUNDS = 5

Booking = tuple[int, datetime]
Row = dict[str, float | int]


def decisions_of(floor: Floor, policy: VenuePolicy, bookings: Sequence[Booking]) -> list[Decision]:
    """The decisions of a day, in order of time."""
    venue = Venue(NOBODY, "bench", "Bench", policy, floor, policy_version=7, floor_version=12)
    planner = Planner(floor, policy.scoring)
    order = sorted(bookings, key=lambda booking: booking[1])
    taken: list[Taken] = []
    made = []
    for place, (party, starts_at) in enumerate(order, 1):
        last = starts_at + timedelta(minutes=240)
        waiting = tuple(Waiting(size, start) for size, start in order[place:] if starts_at < start <= last)
        snapshot = Snapshot(
            NOBODY, NOBODY, "", party, starts_at, BookingStatus.PENDING, 7, 12, 0, tuple(taken), (), waiting
        )
        question = question_at_any_time(snapshot, policy, floor, Strategy())
        if not isinstance(question, Question):
            continue
        answer = planner.answer(question.request)
        made.append(Decision(venue, party, starts_at, question.window, question.request, answer))
        if isinstance(answer, Ranked):
            start, end = as_micros(question.window.blocked.start), as_micros(question.window.blocked.end)
            taken += [Taken(table_id, start, end) for table_id in answer.best.table_ids]
    return made


def days(seed: int) -> dict[str, list[Decision]]:
    """The demo's, and one like it on each grid."""
    demo = demo_day()
    rng = random.Random(seed)
    found = {
        "demo": decisions_of(demo.floor, demo.policy, [(each.party_size, each.starts_at) for each in demo.bookings])
    }
    for tables in SIZES:
        count = len(demo.bookings) * tables // DEMO_TABLES
        parties = rng.choices(list(PARTIES), list(PARTIES.values()), k=count)
        starts = [rng.choice(demo.bookings).starts_at for _ in range(count)]
        found[str(tables)] = decisions_of(grid(tables, rng), demo.policy, list(zip(parties, starts, strict=True)))
    return found


def microseconds(work: Callable[[Decision], object], decisions: Sequence[Decision]) -> list[float]:
    clock = time.perf_counter_ns
    taken = []
    for _ in range(ROUNDS):
        for decision in decisions:
            start = clock()
            work(decision)
            taken.append((clock() - start) / 1000)
    return taken


def aside(decision: Decision) -> FlightRecord:
    """What a quote does: notes the decision, and hands the record over."""
    venue, party, starts_at, window, request, answer = decision
    kept: list[Decision] = []
    kept.append(Decision(venue, party, starts_at, window, request, answer))
    return FlightRecord(kept)


def held_in_memory(decisions: Sequence[Decision]) -> float:
    """Bytes of a record and of the question that it keeps alive; plans are shared with the planner."""
    tracemalloc.start()
    records = [aside(decision._replace(request=deepcopy(decision.request))) for decision in decisions]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(records)


def row(decisions: Sequence[Decision]) -> dict[str, Row | int | float]:
    planner = Planner(decisions[0].venue.floor, decisions[0].venue.policy.scoring)
    sizes = [len(base64.b64encode(FlightRecord([decision]).packed())) for decision in decisions]

    def answer(decision: Decision) -> object:
        return None if decision.request is None else planner.answer(decision.request)

    timed = decisions[:: max(1, len(decisions) // TIMED)]
    planning = microseconds(answer, timed)
    noted = microseconds(aside, timed)
    packed = microseconds(lambda decision: FlightRecord([decision]).packed(), timed)
    waiting = [len(decision.request.upcoming) for decision in decisions if decision.request is not None]
    return {
        "quotes": len(decisions),
        "waiting_in_view": {"p50": at(waiting, 0.5), "max": at(waiting, 1)},
        "bytes": {"p50": at(sizes, 0.5), "p95": at(sizes, 0.95), "max": at(sizes, 1)},
        "quote_us": {
            "p50": at(noted, 0.5),
            "p99": at(noted, 0.99),
            "ratio": round(at(noted, 0.5) / at(planning, 0.5), 4),
        },
        "planning_us": {"p50": at(planning, 0.5), "p99": at(planning, 0.99)},
        "writer_us": {"p50": at(packed, 0.5), "p99": at(packed, 0.99)},
        "waiting_bytes": round(held_in_memory(timed)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Sizes and costs of flight records.")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rows = {name: row(decisions) for name, decisions in days(asked.seed).items()}
    json.dump({"benchmark": "flight_records", "python": platform.python_version(), "rows": rows}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
