"""How long a baseline over a million events takes, and how far its intervals and a comparison's verdict can be trusted.

    python -m benchmarks.baseline [--quick]

Speed: on a durable server of its own, beside what the original's report asks in one statement, run in turns with it.
Trust: samples of a system whose truth is known, with attempts that are alike within a booking; every draw is seeded.
`mistaken` is the usual mistake, attempts taken for independent of each other, done to the same samples.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString, TypeAlias

import numpy as np
import psycopg
from tests.observability.simulated import as_if_each_attempt_were_a_booking, simulated, two_sides

from benchmarks._many_events import fill
from maitred.observability.baseline import Baseline, baseline
from maitred.observability.baseline_distribution import QUANTILES, Sample, describe, worth_of
from maitred.observability.baseline_figures import figures
from maitred.observability.baseline_scan import BEGIN, COMMIT, PATIENCE, scan
from maitred.observability.bootstrap import Resamples
from maitred.observability.compare_measures import Difference, Observed, differences
from maitred.observability.compare_rule import judge
from maitred.storage import schema
from maitred.storage.database import Database
from maitred.storage.embedded import EmbeddedServer

EVENTS = 1_000_000
DAYS = 60
TURNS = 5

Change: TypeAlias = Callable[[Observed, Observed], tuple[Observed, Observed]]

# A flight record as a floor of some 20 tables leaves it; what it says doesn't matter here.
_RECORDS: LiteralString = """
UPDATE observability_events SET context = jsonb_set(e.context, '{planner_record}', to_jsonb(
       (SELECT left(string_agg(md5(e.id::text || n), ''), 400) FROM generate_series(1, 13) AS n)))
  FROM observability_events e
 WHERE e.id = observability_events.id AND e.event_type = 'auto_assign.quote'
"""

# What the original's report asks of one measure; a baseline has dozens of such lines.
_ONE_LINE: LiteralString = """
SELECT context->>'planner_success' AS success, count(*) AS n,
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::float8) AS ms
  FROM observability_events
 WHERE event_type = 'auto_assign.quote' AND created_at >= %(since)s AND created_at < %(until)s
 GROUP BY 1
"""


def speed(events: int) -> dict[str, Any]:
    """The baseline and one line of the original's report, in turns."""
    base = Path(tempfile.mkdtemp(prefix="maitred-bench-"))
    base.chmod(0o711)
    server = EmbeddedServer(base / "server")
    try:
        url = server.start()
        schema.upgrade(url)
        told = fill(url, events, DAYS)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_RECORDS)
            connection.execute("VACUUM FULL observability_events")  # the update left every quote twice
            connection.execute("VACUUM ANALYZE observability_events")  # FULL leaves no map of what is visible
        return {"events": told, **asyncio.run(_turns(url))}
    finally:
        server.release()
        server.remove()
        shutil.rmtree(base, ignore_errors=True)


async def _turns(url: str) -> dict[str, Any]:
    window: dict[str, Any] = {
        "since": datetime.now(UTC) - timedelta(days=DAYS + 1),
        "until": datetime.now(UTC) + timedelta(hours=1),
    }
    seconds: dict[str, list[float]] = {"one_line": [], "scan": [], "figures": [], "with_completeness": []}
    database = Database(url)
    await database.open()
    try:
        for _ in range(TURNS):
            began = time.perf_counter()
            rows = await database.fetch(_ONE_LINE, window)
            seconds["one_line"].append(time.perf_counter() - began)
            began = time.perf_counter()
            async with database.session() as session:
                await session.send([BEGIN, PATIENCE])
                scanned = await scan(session, restaurant_id=None, **window)
                await session.send([COMMIT])
            read = time.perf_counter()
            figures(scanned, window["since"], window["until"], None)
            seconds["scan"].append(read - began)
            seconds["figures"].append(time.perf_counter() - read)
            began = time.perf_counter()
            found = await baseline(database, **window)
            seconds["with_completeness"].append(time.perf_counter() - began)
    finally:
        await database.close()
    together = [one + other for one, other in zip(seconds["scan"], seconds["figures"], strict=True)]
    return {
        "quotes": found.planner.overall.n,
        "baseline_s": {"best": round(min(together), 2), "median": round(float(np.median(together)), 2)},
        **{f"{name}_s": round(float(np.median(each)), 2) for name, each in seconds.items()},
        "baseline_per_one_line": round(float(np.median(together) / np.median(seconds["one_line"])), 2),
        "equal_to_percentile_cont": _equal(found, rows),
        "complete": found.completeness is not None and found.completeness.complete,
    }


def _equal(found: Baseline, rows: list[dict[str, Any]]) -> bool:
    ours = {
        name: (each.n, [part.value for part in (each.median, each.p95, each.p99) if part is not None])
        for name, each in found.planner.by_success.items()
    }
    return ours == {row["success"]: (row["n"], row["ms"]) for row in rows}


def coverage(samples: int) -> list[dict[str, Any]]:
    """How often the 95% intervals of the baseline hold the true percentile."""
    rng = np.random.default_rng(100)
    many = simulated(rng, 400_000, alike=1.0).times.values
    truth = np.quantile(many, [0.5, 0.95, 0.99])
    lines = []
    for bookings in (30, 100, 400, 2_000):
        held: dict[str, list[list[bool]]] = {"bookings": [], "mistaken": [], "plain_bootstrap": []}
        opened = []
        for _ in range(samples):
            times = simulated(rng, bookings, alike=1.0).times
            each_alone = Sample(times.values, np.arange(len(times)), times.at_least)
            held["bookings"].append(_holds(times, truth))
            held["mistaken"].append(_holds(each_alone, truth))
            held["plain_bootstrap"].append(_plain(times, bookings, truth))
            found = describe(times)
            opened.append([part is None or part.upper is None for part in (found.median, found.p95, found.p99)])
        lines.append(
            {
                "bookings": bookings,
                **{name: dict(zip(("median", "p95", "p99"), _means(each), strict=True)) for name, each in held.items()},
                "bound_open": dict(zip(("median", "p95", "p99"), _means(opened), strict=True)),
            }
        )
    return lines


def _holds(times: Sample, truth: Any) -> list[bool]:
    found = describe(times)
    return [
        part is not None and (part.lower is None or part.lower <= true) and (part.upper is None or true <= part.upper)
        for part, true in zip((found.median, found.p95, found.p99), truth, strict=True)
    ]


def _plain(times: Sample, bookings: int, truth: Any) -> list[bool]:
    """Whether the middle 95% of the percentiles of resamples hold it."""
    resamples = Resamples(bookings, draws=400)
    drawn = [resamples.quantile(times, p, worth_of(times, p)) for p in QUANTILES]
    ends = [np.quantile(each, [0.025, 0.975]) for each in drawn]
    return [bool(low <= true <= high) for (low, high), true in zip(ends, truth, strict=True)]


def _means(rows: list[list[bool]]) -> list[float]:
    return [round(float(share), 3) for share in np.mean(rows, axis=0)]


def verdicts(pairs: int, bookings: int, slower: float, seed: int, change: Change) -> Any:
    """How often each verdict is given, and each measure found different, of so many pairs of samples."""
    rng = np.random.default_rng(seed)
    told: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    for _ in range(pairs):
        a, b = two_sides(rng, bookings, slower=slower)
        found = differences(*change(a, b))
        told[judge(found).verdict.value] += 1
        for each in found:
            differing[each.name.name.lower()] += isinstance(each, Difference) and (each.is_more or each.is_less)
    share = (told["better"] + told["worse"]) / pairs
    return {
        "pairs": pairs,
        "bookings_a_side": bookings,
        "slower": slower,
        "told_apart": round(share, 4),
        "standard_error": round(math.sqrt(share * (1 - share) / pairs), 4),
        "verdicts": {name: round(count / pairs, 4) for name, count in sorted(told.items())},
        "differing": {name: round(count / pairs, 4) for name, count in differing.items()},
    }


def as_they_are(a: Observed, b: Observed) -> tuple[Observed, Observed]:
    """No change."""
    return a, b


def trust(pairs: int) -> dict[str, Any]:
    """False alarms of two samples of one system, and how often 20% more time is found."""
    return {
        "false_alarms": [verdicts(pairs, bookings, 1.0, bookings, as_they_are) for bookings in (100, 300, 1_000)],
        "false_alarms_mistaken": [
            verdicts(pairs, bookings, 1.0, bookings, as_if_each_attempt_were_a_booking) for bookings in (100, 300)
        ],
        "power": [
            verdicts(max(pairs // 2, 1), bookings, 1.2, bookings, as_they_are) for bookings in (300, 1_000, 3_000)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it runs")
    parser.add_argument("--part", choices=("speed", "coverage", "verdicts"), help="only this part")
    chosen = parser.parse_args()
    many = 100 if chosen.quick else 1_000
    parts: dict[str, Callable[[], Any]] = {
        "speed": lambda: speed(EVENTS // 10 if chosen.quick else EVENTS),
        "coverage": lambda: coverage(many),
        "verdicts": lambda: trust(many),
    }
    wanted = {name: measure() for name, measure in parts.items() if chosen.part in (None, name)}
    json.dump({"benchmark": "baseline", **wanted}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
