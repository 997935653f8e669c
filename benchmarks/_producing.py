"""A process that records events at a steady rate, for the benchmark of telemetry.

    python -m benchmarks._producing URL RATE SECONDS SINK

SINK is "recorder" or "null". Starts when a line comes in on stdin, and says in the end what became of the events.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from uuid import uuid4

import structlog

from maitred.observability import events
from maitred.observability.event import Event
from maitred.observability.recorder import NullRecorder, Recorder

TICK_S = 0.01

_booking_id = uuid4()
QUEUE_SIZE = 10_000


def event(turn: int) -> Event:
    """A booking has three: a quote and two smaller ones."""
    global _booking_id  # noqa: PLW0603 - one process, one loop
    if turn % 3 == 0:
        _booking_id = uuid4()
    booking_id = _booking_id
    if turn % 3 == 0:
        return events.quote(
            restaurant_id=booking_id,
            booking_id=booking_id,
            trigger="loop",
            attempt_index=0,
            duration_ms=3.25,
            success=True,
            internal=events.PlannerInternal(0.1, 1.0, 2.0, 12, 140, True, frozenset(), 0, 2, 2),
        )
    return events.attempt(
        restaurant_id=booking_id, booking_id=booking_id, trigger="loop", attempt_index=0, reason=None, alternates=0
    )


async def produce(url: str, rate: int, seconds: float, sink: str) -> None:
    recorder = Recorder(url, queue_size=QUEUE_SIZE) if sink == "recorder" else NullRecorder()
    await recorder.start()
    await asyncio.to_thread(sys.stdin.readline)
    began, made, most_waiting = time.perf_counter(), 0, 0
    while (elapsed := time.perf_counter() - began) < seconds:
        due = min(round(elapsed * rate), round(seconds * rate))
        for turn in range(made, due):
            recorder.record_observability_event(event(turn))
        made = max(made, due)
        if isinstance(recorder, Recorder):
            most_waiting = max(most_waiting, recorder.waiting)
        await asyncio.sleep(TICK_S)
    for turn in range(made, round(seconds * rate)):
        recorder.record_observability_event(event(turn))
    await recorder.close(30)
    print(
        json.dumps(
            {
                "made": round(seconds * rate),
                "accepted": recorder.accepted,
                "written": recorder.written,
                "dropped": dict(recorder.dropped),
                "most_waiting": most_waiting,
                "most_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
                "seconds": round(time.perf_counter() - began, 2),
            }
        )
    )


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for the figures
    url, rate, seconds, sink = sys.argv[1:]
    asyncio.run(produce(url, int(rate), float(seconds), sink))
