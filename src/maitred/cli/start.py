"""The application as the commands open it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from maitred.bootstrap import Application
    from maitred.observability.producer import ProcessKind
    from maitred.settings import Settings

_WIDTH_WITHOUT_TERMINAL = 120


@asynccontextmanager
async def application(settings: Settings, *, kind: ProcessKind | None = "cli") -> AsyncIterator[Application]:
    """Opens the application; its log lines go to stderr, because stdout is what the command was asked for.

    SIGTERM ends it as Ctrl-C does: what was recorded is written or spilled. `kind` None: the command only reads.
    Raises what `open_application` raises.
    """
    import logging
    import sys

    import structlog

    from maitred.bootstrap import open_application
    from maitred.observability.ending import ended_by_sigterm

    # each lost or cancelled connection in its own words, the pool's too; the command says it once, at its end
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with ended_by_sigterm():
        async with open_application(settings, kind=kind) as app:
            yield app


def console() -> Console:
    """A console on stdout: colours in a terminal, plain text in a pipe."""
    import os
    import sys

    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_WIDTH_WITHOUT_TERMINAL if piped else None, highlight=False)
