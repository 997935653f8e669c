"""What counting an event for /metrics costs beside recording it, and what a scrape costs.

    python -m benchmarks.metrics [--quick]

The same events go to the bare recorder and to the sink before it, in turns, so that what the machine does meanwhile
hits both. No server: the recorder's writer isn't started, its queue is emptied between rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from uuid import uuid4

from maitred.model.reason import ReasonCode
from maitred.observability import events, inline_events
from maitred.observability.event import Event
from maitred.observability.metrics import CountedEvents, Metrics
from maitred.observability.recorder import EventSink, NullRecorder, Recorder

WHO = {"restaurant_id": uuid4(), "booking_id": uuid4()}


def quote() -> Event:
    """The event with the most to count: a planner call that lost a race."""
    return events.quote(
        restaurant_id=WHO["restaurant_id"],
        booking_id=WHO["booking_id"],
        trigger="creation",
        attempt_index=0,
        duration_ms=3.25,
        success=False,
        reason=ReasonCode.NO_CAPACITY,
        internal=events.PlannerInternal(plan_ms=0.1, read_ms=1.0, hold_ms=2.0, replans=1),
    )


def inline_success() -> Event:
    """One of the inline flow."""
    return inline_events.succeeded(
        restaurant_id=WHO["restaurant_id"],
        booking_id=WHO["booking_id"],
        attempt_id=uuid4(),
        hold_id=uuid4(),
        quote_duration_ms=3.0,
        confirm_duration_ms=2.0,
    )


def attempt() -> Event:
    """One of which only the type is counted."""
    return events.attempt(
        restaurant_id=WHO["restaurant_id"],
        booking_id=WHO["booking_id"],
        trigger="creation",
        attempt_index=0,
        reason=ReasonCode.NO_CAPACITY,
    )


def cpu_us(sink: EventSink, made: list[Event]) -> float:
    """Processor time of one call in the mean: what others do on the machine doesn't count."""
    record = sink.record_observability_event
    began = time.thread_time_ns()
    for event in made:
        record(event)
    return (time.thread_time_ns() - began) / 1000 / len(made)


def each_us(sink: EventSink, made: list[Event]) -> list[float]:
    """The time of each call by the wall's clock, the clock's own included."""
    record, clock = sink.record_observability_event, time.perf_counter_ns
    spent = []
    for event in made:
        began = clock()
        record(event)
        spent.append((clock() - began) / 1000)
    return spent


def compare(make: Callable[[], Event], rounds: int, each: int) -> dict[str, object]:
    """The bare recorder, and the sink before it."""
    means: dict[bool, list[float]] = {False: [], True: []}
    calls: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for counts in (False, True):
            recorder = Recorder("", queue_size=each * 2)
            sink = CountedEvents(recorder) if counts else recorder
            made = [make() for _ in range(each * 2)]
            gc.collect()
            gc.disable()
            means[counts].append(cpu_us(sink, made[:each]))
            calls[counts] += each_us(sink, made[each:])
            gc.enable()
            recorder._queue.clear()  # noqa: SLF001 - nothing of it is to be written
    told: dict[str, object] = {}
    for name, counts in (("recorder", False), ("counted", True)):
        cuts = statistics.quantiles(calls[counts], n=100)
        told[name] = {
            "cpu_mean_us": round(statistics.fmean(means[counts]), 3),
            "median_us": round(cuts[49], 3),
            "p99_us": round(cuts[98], 3),
        }
    told["counting_adds_cpu_us"] = round(statistics.fmean(means[True]) - statistics.fmean(means[False]), 3)
    return told


def scrape(rounds: int) -> dict[str, float]:
    """The page with every label there can be of planner calls and inline attempts used."""
    recorder = NullRecorder()
    counted = CountedEvents(recorder)
    for trigger in (
        "creation",
        "modification",
        "inline_creation",
        "inline_modification",
        "ultra_fast",
        "loop",
        "manual",
    ):
        for seconds in (0.001, 1.0):
            counted.planner_calls.observe((trigger, "true"), seconds)
            counted.planner_calls.observe((trigger, "false"), seconds)
            counted.run_ended(trigger, "succeeded")
            counted.run_confirmed(seconds)
    counted.record_observability_event(inline_success())
    page = Metrics(counted, recorder)
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        text = page.text()
        spent.append((time.perf_counter() - began) * 1000)
    return {"median_ms": round(statistics.median(spent), 2), "bytes": len(text)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    rounds, each = (2, 2_000) if parser.parse_args().quick else (10, 5_000)
    results = {
        "benchmark": "metrics",
        "events_each": rounds * each,
        "planner call": compare(quote, rounds, each),
        "inline success": compare(inline_success, rounds, each),
        "attempt": compare(attempt, rounds, each),
        "scrape": scrape(rounds * 5),
    }
    json.dump(results, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
