"""A span of time, half-open: the start belongs to it, the end does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def as_micros(instant: datetime) -> int:
    """Microseconds since 1970 in UTC: exact, unlike a float timestamp. The instant must carry a zone."""
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """[start, end) in UTC; never empty. Raises ValueError for naive instants or an end that isn't after the start."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a period needs instants with a zone")
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.start >= self.end:
            raise ValueError("a period needs an end after its start")

    @property
    def minutes(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds() / 60

    def overlaps(self, other: Period) -> bool:
        """Whether they share a moment; periods that only touch do not."""
        return self.start < other.end and other.start < self.end
