"""Log lines of the recorder's. A log that can't be written, on a closed stream or full disk, must not end its work."""

from __future__ import annotations

from contextlib import suppress

import structlog

_log = structlog.get_logger("maitred.observability")


def tell(event: str, **fields: object) -> None:
    """A line that nobody has to act on. Never an event's content."""
    with suppress(OSError, ValueError):
        _log.info(event, **fields)


def warn(event: str, **fields: object) -> None:
    """A line that says that something is lost or away."""
    with suppress(OSError, ValueError):
        _log.warning(event, **fields)
