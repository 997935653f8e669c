"""A process that records, for tests that end it in one way or another.

    python -m tests.observability.recording_process URL SPILL_DIR EVENTS

Says "recorded", with its producer's id, once it has recorded so many events and the writer has had time to look, and
then waits to be ended. `EVENTS` 0 only starts and closes, which loads what others left.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from maitred.observability.ending import ended_by_sigterm
from maitred.observability.recorder import Recorder
from tests.observability.told import measurement


async def record(url: str, spill_dir: Path, events: int) -> None:
    with ended_by_sigterm():
        recorder = Recorder(url, queue_size=10_000, spill_dir=spill_dir)
        try:
            await recorder.start()
            for _ in range(events):
                recorder.record_observability_event(measurement())
            print("recorded", recorder.producer.id, flush=True)
            if events:
                await asyncio.Event().wait()
            await asyncio.sleep(1)
        finally:
            await recorder.close(0.5)
            print("closed", recorder.written, recorder.spilled, sum(recorder.dropped.values()), flush=True)


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
