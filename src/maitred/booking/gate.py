"""A queue in front of a venue's day, in this process: who comes first plans first.

Without it everybody plans at once for the same tables, one wins, and the others have planned for nothing and hold
connections while they wait for the lock on the day. It only spares work: what is right is the database's business, and
other processes have queues of their own. So nobody has to wait here for longer than he wants.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

_MOST_LEFT = 1_000


@dataclass(slots=True)
class _Gate:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Passage:
    """One's turn at a gate. `leave` lets the next one in, before the end of the block too.

    `others_until`: until when somebody else was seen to be at the gate, by `time.perf_counter`; what was read before
    that may be outdated.
    """

    def __init__(self, lock: asyncio.Lock | None, others_until: float = -math.inf) -> None:
        self._lock = lock
        self.others_until = others_until

    def leave(self) -> None:
        """Ends the turn; once is enough."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Gates:
    """One gate for each venue and day that somebody is at; of the others only when the last one left, for a while."""

    def __init__(self) -> None:
        self._gates: dict[tuple[UUID, date], _Gate] = {}
        self._left: OrderedDict[tuple[UUID, date], float] = OrderedDict()

    def busy(self, restaurant_id: UUID, day: date) -> bool:
        """Whether somebody is there just now."""
        return (restaurant_id, day) in self._gates

    @asynccontextmanager
    async def turn(self, restaurant_id: UUID, day: date, *, wait_s: float) -> AsyncIterator[Passage]:
        """Waits for one's turn, in the order of coming, but no longer than this; then goes on without it."""
        key = (restaurant_id, day)
        gate = self._gates.setdefault(key, _Gate())
        gate.users += 1
        passage = Passage(None)
        try:
            try:
                async with asyncio.timeout(wait_s):
                    await gate.lock.acquire()
            except TimeoutError:
                pass
            else:
                passage = Passage(gate.lock, self._left.get(key, -math.inf))
            yield passage
        finally:
            passage.leave()
            self._left[key] = time.perf_counter()
            self._left.move_to_end(key)
            if len(self._left) > _MOST_LEFT:
                self._left.popitem(last=False)
            gate.users -= 1
            if not gate.users:
                del self._gates[key]
