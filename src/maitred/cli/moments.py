"""Dates and instants as they are typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from maitred.errors import InvalidInput

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EDGE_YEARS = frozenset({1, 9999})


def day_of(text: str, command: str) -> date:
    """The day that was typed as YYYY-MM-DD. Raises InvalidInput for anything else."""
    try:
        if _DATE.fullmatch(text.strip()):
            day = date.fromisoformat(text.strip())
            if day.year not in _EDGE_YEARS:  # the days around it must exist too
                return day
    except ValueError:
        pass
    raise InvalidInput(command, "--date", "must be a day that exists, for example 2025-11-06")


def clock(as_of: str | None, command: str) -> Callable[[], datetime]:
    """The business's clock: the real one, or one that stands still at the instant that was typed.

    Raises InvalidInput for what is no instant with its zone.
    """
    if as_of is None:
        return lambda: datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(as_of.strip())
        if instant.tzinfo is not None:
            still = instant.astimezone(UTC)
            return lambda: still
    except (ValueError, OverflowError):
        pass
    raise InvalidInput(command, "--as-of", "must be an instant with its zone, for example 2025-11-06T00:00Z")
