"""Drawn days on the demo's floor under several policies, against the clairvoyant's bound: one JSON object on stdout.

    python -m benchmarks.simulate [--days N] [--loads L ...] [--policies NAME ...] [--seed S]

`targets` are what is aimed at: shares of the bound's covers as the mean of the days, and the regret removed by the
best of the policies. Played in memory; a test holds that this decides as the real functions on a database do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

from maitred.demo.reference import demo_day
from maitred.simulate.days import PUBLISHED
from maitred.simulate.figures import figures, to_json
from maitred.simulate.players import in_memory
from maitred.simulate.policies import policy_named
from maitred.simulate.study import Plan, study

POLICIES = ("best-fit", "moves", "declining")
LEAST = {
    (0.8, "moves"): 0.99,
    (0.95, "moves"): 0.985,
    (1.05, "moves"): 0.965,
    (1.05, "declining"): 0.97,
    (1.25, "declining"): 0.97,
    (1.5, "declining"): 0.945,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure policies on drawn days; prints JSON.")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.8, 0.95, 1.05, 1.25, 1.5])
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    policies = [policy_named(name) for name in chosen.policies]
    demo = demo_day()
    before, began = os.getloadavg()[0], time.perf_counter()
    found = asyncio.run(
        study(
            Plan(tuple(chosen.loads), chosen.days, chosen.seed, bound_s=60.0),
            policies,
            PUBLISHED,
            venue=demo.name,
            source="published figures (docs/simulate.md)",
            floor=demo.floor,
            policy=demo.policy,
            play=in_memory(demo.floor, demo.policy, policies),
        )
    )
    targets: list[dict[str, Any]] = []
    for load in figures(found):
        targets += [
            _target(load.load, row.policy, "share", row.share, LEAST[load.load, row.policy])
            for row in load.rows
            if (load.load, row.policy) in LEAST
        ]
        removed = [row.regret_removed for row in load.rows if row.regret_removed is not None]
        if removed:
            targets.append(_target(load.load, "the best of them", "regret_removed", max(removed), 0.5))
    result = {
        "benchmark": "simulate",
        "load_average_before": round(before, 2),
        "seconds": round(time.perf_counter() - began, 1),
        "targets": targets,
        **to_json(found),
    }
    json.dump(result, sys.stdout, indent=1)
    print()


def _target(load: float, policy: str, what: str, value: float, least: float) -> dict[str, Any]:
    return {
        "load": load,
        "policy": policy,
        "what": what,
        "value": round(value, 4),
        "least": least,
        "reached": value >= least,
    }


if __name__ == "__main__":
    main()
