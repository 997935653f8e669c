"""`maitred serve`: the HTTP interface, and on wish a worker in the same process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maitred.bootstrap import Application


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 8080,
    worker: Annotated[bool, typer.Option("--worker", help="Make queued attempts and deliver messages too.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=200, help="Attempts at once, with --worker.")] = 4,
    grace_s: Annotated[
        float, typer.Option("--grace-s", min=0, max=3600, help="Seconds for what is under way, when told to stop.")
    ] = 10.0,
) -> None:
    """Serves the HTTP interface until SIGTERM or Ctrl-C. A second signal ends the grace.

    For more than one core run several, each with a port of its own behind a proxy; they need nothing of each other.
    """
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(host, port, worker=worker, concurrency=concurrency, grace_s=grace_s))


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ModuleNotFoundError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(host: str, port: int, *, worker: bool, concurrency: int, grace_s: float) -> None:
    import logging

    import structlog

    from maitred.cli.start import application
    from maitred.errors import InvalidInput
    from maitred.http.app import build_app
    from maitred.http.server import listen, serving
    from maitred.settings import Settings

    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ]
    )
    settings = Settings()
    try:
        bound = listen(host, port)
    except OSError as error:
        raise InvalidInput("serve", "--host, --port", f"{host}:{port} can't be had: {error.strerror}") from error
    stop = asyncio.Event()
    async with application(settings, kind="server") as app, contextlib.AsyncExitStack() as stack:
        stack.enter_context(_told_by_signals(stop))
        if worker:
            stack.push_async_callback(_end, asyncio.create_task(_work(app, concurrency, grace_s, stop)))
        elif app.metrics is not None:
            await stack.enter_async_context(app.metrics.served())
        web = build_app(app)
        web.openapi()  # made once, and not while the first request waits for it
        serves = await stack.enter_async_context(serving(web, settings, bound, grace_s=grace_s))
        # what was made by now stays: looking through it again and again for garbage would hold up requests
        gc.collect()
        gc.freeze()
        typer.echo(f"maitred serves {_url(bound)}{' with a worker' if worker else ''}")
        while not stop.is_set() and serves():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
        stop.set()
    typer.echo("maitred has stopped")


async def _work(app: Application, concurrency: int, grace_s: float, stop: asyncio.Event) -> None:
    """The worker, cancelled when told to stop: it then ends what it holds, or hands it back."""
    import structlog

    from maitred.worker import run_worker

    working = asyncio.create_task(
        run_worker(app, concurrency=concurrency, grace_s=grace_s, install_signal_handlers=False), name="maitred-worker"
    )
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working}, timeout=grace_s + 20)
        if working.done() and not working.cancelled() and (error := working.exception()) is not None:
            structlog.get_logger(__name__).error("serve.worker_ended", error=type(error).__name__)
            stop.set()


async def _end(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task}, timeout=60)


@contextlib.contextmanager
def _told_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def told() -> None:
        if stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, told)
    try:
        yield
    finally:
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(each)


def _url(bound: socket.socket) -> str:
    host, port, *_ = bound.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
