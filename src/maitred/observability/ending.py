"""SIGTERM as a cancellation, so that a process that is told to end still writes or spills what it recorded."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM cancels the task inside; what it opened is closed, and then the process exits with 143.

    Only in the main thread, and only where nobody else handles the signal: elsewhere it changes nothing. Must be
    entered and left by the same task. A second SIGTERM cancels again, which cuts the closing short.
    """
    task = asyncio.current_task()
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if task is None or not ours:
        yield
        return
    loop = asyncio.get_running_loop()
    told = False

    def end(*_: object) -> None:
        nonlocal told
        told = True
        # as asyncio does for Ctrl-C: a signal handler may come between any two instructions
        loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise SystemExit(EXIT_CODE) from None
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
