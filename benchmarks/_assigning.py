"""A process that seats the demo's bookings, for benchmarks and tests that end it in the middle.

    python -m benchmarks._assigning URL SINK_URL SPILL_DIR MOST FORK_AT

Takes the pending bookings in order of time, MOST at most, and says after each how many events it has recorded and how
many of them are written; in the end what the recorder counts. After booking number FORK_AT (-1: never) it forks a child
that records through the same recorder and exits.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from maitred.auto_assign.day import assign_in_order
from maitred.auto_assign.run import BookingOutcome
from maitred.booking.desk import Desk
from maitred.booking.venues import Venues
from maitred.observability import events
from maitred.observability.ending import ended_by_sigterm
from maitred.observability.recorder import Recorder
from maitred.storage.database import Database

MIDNIGHT = datetime(2025, 11, 6, tzinfo=UTC)
CHILDS_EVENTS = 100

# Of the first so many bookings those that no run has looked at yet.
PENDING = (
    "SELECT id FROM (SELECT * FROM bookings ORDER BY starts_at, reference LIMIT %(most)s) AS first"
    " WHERE status = 'pending' AND auto_assign_last_result IS NULL ORDER BY starts_at, reference"
)


def say(**told: object) -> None:
    """A line in one piece: a forked child speaks at the same time."""
    os.write(1, f"{json.dumps(told)}\n".encode())


def say_end(recorder: Recorder) -> None:
    say(
        producer=str(recorder.producer.id),
        accepted=recorder.accepted,
        written=recorder.written,
        spilled=recorder.spilled,
        dropped=dict(recorder.dropped),
    )


def record_in_a_child(recorder: Recorder) -> None:
    """Forks. The child records, starts its recorder, closes it and leaves; the parent goes on at once."""
    if os.fork():
        return
    try:
        asyncio.set_event_loop(None)
        for index in range(CHILDS_EVENTS):
            recorder.record_observability_event(
                events.exited_already_confirmed(
                    restaurant_id=None, booking_id=None, trigger="manual", attempt_index=index
                )
            )
        asyncio.run(_start_and_close(recorder))
        say_end(recorder)
    finally:
        os._exit(0)


async def _start_and_close(recorder: Recorder) -> None:
    await recorder.start()
    await recorder.close()


async def assign(url: str, sink_url: str, spill_dir: Path, most: int, fork_at: int) -> None:
    with ended_by_sigterm():
        database = Database(url)
        await database.open()
        recorder = Recorder(sink_url, queue_size=10_000, spill_dir=spill_dir)
        try:
            await recorder.start()
            await recorder.wait_for_spills(5)
            bookings = [row["id"] for row in await database.fetch(PENDING, {"most": most})]
            desk = Desk(database, Venues(database), recorder)
            done = 0

            def progress(outcome: BookingOutcome) -> None:
                nonlocal done
                done += 1
                say(done=done, result=outcome.result, accepted=recorder.accepted, written=recorder.written)
                if done == fork_at:
                    record_in_a_child(recorder)

            await assign_in_order(desk, bookings, now=lambda: MIDNIGHT, trigger="ultra_fast", on_outcome=progress)
        finally:
            await recorder.close()
            say_end(recorder)
            await database.close()


if __name__ == "__main__":
    url, sink_url, spill_dir, most, fork_at = sys.argv[1:]
    asyncio.run(assign(url, sink_url, Path(spill_dir), int(most), int(fork_at)))
