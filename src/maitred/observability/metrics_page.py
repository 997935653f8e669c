"""`/metrics` as a whole: what is counted, what the database adds, and the listener that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from maitred.observability.metrics import CountedEvents, Metrics, telemetry_figures
from maitred.observability.metrics_database import DatabaseFigures
from maitred.observability.metrics_listener import listening
from maitred.observability.recorder import Recorder
from maitred.storage.database import Database


class MetricsPage:
    """`counted` is the sink to hand to the desk. Nothing listens until `served`."""

    def __init__(self, address: str | None, recorder: Recorder, database: Database) -> None:
        self._address = address
        self.counted = CountedEvents(recorder)
        self._metrics = Metrics(self.counted, recorder)
        self._figures = DatabaseFigures(database, self.counted)
        self._metrics.more.append(self._figures.collect)

    def run_ended(self, run_id: UUID) -> None:
        """Remembers a run whose end was committed here; waits for nothing."""
        self._figures.run_ended(run_id)

    def show_telemetry(self, sent: Mapping[str, int], dropped: Mapping[str, int]) -> None:
        """Shows how many spans and log records went to the collector, and how many didn't, by reason."""
        self._metrics.more.append(partial(telemetry_figures, sent, dropped))

    async def text(self) -> bytes:
        """The page. Waits for the database half a second at most."""
        await self._figures.refresh()
        return self._metrics.text()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[tuple[str, int] | None]:
        """Answers at the address until it is left; gives where, or None where there is none or it can't be had."""
        try:
            if self._address is None:
                yield None
                return
            async with listening(self._address, self.text) as bound:
                yield bound
        finally:
            await self._figures.close()
