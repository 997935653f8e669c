"""The one place that builds the parts and joins them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from maitred.booking.desk import Desk
from maitred.booking.sweeper import keep_sweeping
from maitred.booking.venues import Venues
from maitred.errors import InvalidInput
from maitred.observability.producer import ProcessKind
from maitred.observability.recorder import EventSink, Recorder
from maitred.observability.spill import default_spill_dir
from maitred.optimiser.refresh import keep_prices_fresh
from maitred.settings import Settings
from maitred.storage import schema
from maitred.storage.database import Database

if TYPE_CHECKING:  # loaded when it is wanted: the command line starts without it
    from maitred.observability.metrics_page import MetricsPage
    from maitred.observability.otel import Telemetry


@dataclass(frozen=True, slots=True)
class Application:
    """The joined parts. `embedded` tells whether the database is our own server, which we may write to as we like.

    `worker_url` is for what keeps state in its session, as a worker's listening does; it holds a password. `metrics` is
    there when the settings name an address for it; whoever stays answers there.
    """

    settings: Settings
    database: Database
    recorder: Recorder
    desk: Desk
    metrics: MetricsPage | None
    embedded: bool
    worker_url: str
    sweeper: asyncio.Task[NoReturn] | None = None


@asynccontextmanager
async def open_application(settings: Settings, *, kind: ProcessKind | None = "other") -> AsyncIterator[Application]:
    """Opens the database and starts the recorder; closes both at the end, also after errors.

    `kind` is what the process is to those who ask for its events. None: it only reads, so nothing is recorded and
    nothing swept.

    Without a URL the embedded server is started and brought up to date. A database that was given is only looked at:
    raises SchemaMismatch when its schema is not this release's, DatabaseUnavailable when it can't be reached, and
    EmbeddedServerFailed.
    """
    async with AsyncExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            await asyncio.to_thread(schema.check, url)
        else:
            # not at the top: it needs a Unix, and those who bring their own database may not have one
            from maitred.storage.embedded import EmbeddedServer

            server = EmbeddedServer(settings.data_dir)
            # registered first: a start that fails half-way gives its lease back too
            stack.push_async_callback(asyncio.to_thread, server.release)
            url = await asyncio.to_thread(server.start)
            await asyncio.to_thread(schema.upgrade, url)

        database = Database(
            url,
            pool_size=settings.pool_size,
            pool_timeout_s=settings.pool_timeout_s,
            statement_timeout_ms=settings.statement_timeout_ms,
            pooler=settings.database_pooler,
        )
        stack.push_async_callback(database.close)
        await database.open()
        if kind == "server":
            await database.keep_open()
        recorder = Recorder(
            url,
            queue_size=settings.event_queue_size,
            pooler=settings.database_pooler,
            kind=kind or "other",
            spill_dir=settings.spill_dir or default_spill_dir(settings.data_dir),
        )
        stack.push_async_callback(recorder.close)
        if kind is not None:
            await recorder.start()
        metrics = None
        if settings.metrics_address is not None or settings.http_metrics:
            from maitred.observability.metrics_page import MetricsPage

            metrics = MetricsPage(settings.metrics_address, recorder, database)
        events: EventSink = recorder if metrics is None else metrics.counted
        if settings.otel_endpoint is not None and kind is not None:
            telemetry = _telemetry(settings.otel_endpoint, events, kind)
            await stack.enter_async_context(telemetry.sending())
            if metrics is not None:
                metrics.show_telemetry(telemetry.sent, telemetry.dropped)
            events = telemetry
        desk = Desk(
            database=database,
            venues=Venues(database),
            events=events,
            lock_timeout_ms=settings.lock_timeout_ms,
            quote_replans=settings.quote_replans,
        )
        sweeper = None
        if kind is not None:
            sweeper = asyncio.create_task(
                keep_sweeping(database, every_s=settings.sweep_every_s), name="maitred-sweeper"
            )
            stack.push_async_callback(_stop, sweeper)
        if kind in ("worker", "server"):
            pricing = asyncio.create_task(
                keep_prices_fresh(
                    database, desk.prices, now=lambda: datetime.now(UTC), every_s=settings.prices_every_s
                ),
                name="maitred-prices",
            )
            stack.push_async_callback(_stop, pricing)
        direct = settings.worker_database_url
        yield Application(
            settings=settings,
            database=database,
            recorder=recorder,
            desk=desk,
            metrics=metrics,
            embedded=settings.database_url is None,
            worker_url=url if direct is None else direct.get_secret_value(),
            sweeper=sweeper,
        )


def _telemetry(endpoint: str, sink: EventSink, kind: ProcessKind) -> Telemetry:
    try:
        from maitred.observability.otel import Telemetry
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "settings", "MAITRED_OTEL_ENDPOINT", "needs the extra: pip install 'maitred[otel]'"
        ) from error
    return Telemetry(endpoint, sink, kind=kind)


async def _stop(task: asyncio.Task[NoReturn]) -> None:
    task.cancel()
    await asyncio.wait({task})
