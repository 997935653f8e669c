"""What fields of requests and answers are made of, with their bounds. All rooms' models are built from these."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

FIRST_YEAR, LAST_YEAR = 2000, 2100
MOST_COVERS = 1_000
MOST_ROWS = 500

_FIRST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_LAST = datetime(LAST_YEAR, 12, 31, tzinfo=UTC)


class Given(BaseModel):
    """Base of what is sent to us: an unknown field is a mistake, and a number is no text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(frozen=True)


def _in_reach(instant: datetime) -> datetime:
    # compared before anything is computed with it: near the ends of the calendar a change of zone overflows
    if not _FIRST <= instant <= _LAST:
        raise ValueError(f"must be from {FIRST_YEAR} to {LAST_YEAR}")
    return instant.astimezone(UTC)


def _day_in_reach(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"must be from {FIRST_YEAR} to {LAST_YEAR}")
    return day


def _written_out(given: object) -> object:
    # pydantic takes numbers too, as seconds since 1970 or as milliseconds, by their size
    if not isinstance(given, (str, date)) or (isinstance(given, str) and given.lstrip("+-").replace(".", "").isdigit()):
        raise ValueError("must be written out, as RFC 3339 has it")
    return given


def _plain(text: str) -> str:
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\t" for each in text):
        raise ValueError("must not have control characters")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be one line")
    return _plain(text).strip()


Instant: TypeAlias = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(_in_reach),
    Field(description="RFC 3339 with a zone, as 2030-06-05T19:30:00+02:00.", examples=["2030-06-05T19:30:00+02:00"]),
]
"""An instant, in UTC once it is read. Without a zone it is refused."""

Day: TypeAlias = Annotated[
    date,
    BeforeValidator(_written_out),
    AfterValidator(_day_in_reach),
    Field(description="A day of the venue's calendar.", examples=["2030-06-05"]),
]

Covers: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MOST_COVERS, description="Guests in the party.")]
"""A party's size in a body."""

CoversAsked: TypeAlias = Annotated[int, Query(ge=1, le=MOST_COVERS, description="Guests in the party.")]
"""The same in a query."""

Line: TypeAlias = Annotated[str, AfterValidator(_one_line)]
"""Text of one line, without control characters; give it a `Field` with its lengths."""

Text: TypeAlias = Annotated[str, AfterValidator(_plain)]
"""Text of several lines."""

Limit: TypeAlias = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most rows of the answer.")]


def in_zone(instant: datetime, zone: str) -> datetime:
    """The instant with the offset that the venue's clocks have then: how all answers tell it."""
    return instant.astimezone(ZoneInfo(zone))
