"""Reads what reports need of a window's events: one scan in the database, arrays out of it.

A million events are too many to hand over row by row: the waiting would be for the rows and not for the database. So
the database packs what is needed of each event into a record of fixed length and hands the records of one hour, source
and type over as one value. Words are handed over as hashes; what they stand for is looked up once for each hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt

from maitred.errors import InvalidInput
from maitred.storage.database import Row, Session, Statement

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

QUOTE = "auto_assign.quote"
SUMMARY = "auto_assign.summary"
SUCCEEDED = "auto_assign.succeeded"
INLINE_SUCCEEDED = "inline_auto_assign.succeeded"
INLINE_TIMEOUT = "inline_auto_assign.timeout"

NO_RESTAURANT = "NO_RESTAURANT"

# What fits into memory with room to spare: some 0.7 GB on this side.
MOST_EVENTS = 10_000_000

_MOST = 1e290
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's own, whose timestamps count microseconds from here

BEGIN = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
COMMIT = Statement("COMMIT", {})
# A report over a month may take longer than a booking may. The number of hours is estimated far too high, and sorting a
# million events instead of hashing them takes five times as long.
PATIENCE = Statement(
    "SELECT set_config('statement_timeout', '120s', true), set_config('work_mem', '256MB', true),"
    " set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true)",
    {},
)

_WINDOW: LiteralString = """
 WHERE created_at >= %(since)s AND created_at < %(until)s
   AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)
"""

# Counting takes a tenth of a second for a million, so a table that isn't half as large as allowed isn't counted.
_COUNT: LiteralString = """
SELECT CASE WHEN reltuples BETWEEN 0 AND %(most)s::bigint / 2 THEN 0
            ELSE (SELECT count(*) FROM (SELECT FROM observability_events $window LIMIT %(most)s::bigint + 1) AS counted)
       END AS n
  FROM pg_class WHERE oid = 'observability_events'::regclass
""".replace("$window", _WINDOW)


def _number(key: LiteralString) -> LiteralString:
    """A key's value as a double, NaN for what is no number. Digits that no double has room for are cut off."""
    number: LiteralString = (
        "coalesce(CASE jsonb_typeof(context->'KEY') WHEN 'number' THEN left(context->>'KEY', 300)::float8 END, 'NaN')"
    )
    return number.replace("KEY", key)


def _hash(*texts: LiteralString) -> LiteralString:
    """A hash over all of them, each starting from the hash of those before it."""
    so_far: LiteralString = "0"
    for text in texts:
        so_far = "hashtextextended(coalesce(" + text + ", ''), " + so_far + ")"
    return so_far


_OF_BOOKING: LiteralString = "coalesce(uuid_hash_extended(booking_id, 0), 0)"
_OF_VENUE: LiteralString = "coalesce(uuid_hash_extended(restaurant_id, 0), 0)"
_OF_ATTEMPT: LiteralString = "coalesce(hashtextextended(context->>'attemptId', 0), 0)"

_QUOTE_WORDS: LiteralString = _hash(
    "context->>'trigger'",
    "context->>'planner_success'",
    "context->>'planner_reason_code'",
    "context->>'planner_error'",
    "context->>'cache_hit'",
    "context->>'planner_strategy'",
    "context->>'attempt_index'",
    "context->>'release'",
    "context->'planner_internal'->>'replans'",
)
_SUMMARY_WORDS: LiteralString = _hash(
    "context->>'trigger'", "context->>'result'", "context->>'skippedInitialAttempt'", "context->>'inlineSkipReason'"
)
_SUCCEEDED_WORDS: LiteralString = _hash("context->>'trigger'")


# What is sent of each type of event. `x` and `y` are its numbers.
_INTS = ("at", "booking", "venue", "words", "attempt")
_FIELDS = {
    QUOTE: ("at", "booking", "venue", "words", "attempt", "x"),
    SUMMARY: ("at", "booking", "venue", "words", "x", "y"),
    SUCCEEDED: ("at", "booking", "venue", "words", "x"),
    INLINE_SUCCEEDED: ("at", "booking", "venue", "attempt", "x", "y"),
    INLINE_TIMEOUT: ("attempt", "x"),
}


def _record(
    event_type: str, *, x: LiteralString, y: LiteralString = "'NaN'", words: LiteralString = "0"
) -> LiteralString:
    """The fields of a type, packed in their order."""
    sent: dict[str, LiteralString] = {
        "at": "timestamptz_send(created_at)",
        "booking": "int8send(" + _OF_BOOKING + ")",
        "venue": "int8send(" + _OF_VENUE + ")",
        "words": "int8send(" + words + ")",
        "attempt": "int8send(" + _OF_ATTEMPT + ")",
        "x": "float8send(" + x + ")",
        "y": "float8send(" + y + ")",
    }
    return "(" + " || ".join([sent[field] for field in _FIELDS[event_type]]) + ")"


_EACH_RECORD: LiteralString = (
    """
    CASE event_type
        WHEN 'auto_assign.quote' THEN $quote
        WHEN 'auto_assign.summary' THEN $summary
        WHEN 'auto_assign.succeeded' THEN $succeeded
        WHEN 'inline_auto_assign.succeeded' THEN $inline
        WHEN 'inline_auto_assign.timeout' THEN $timeout
    END
""".replace("$quote", _record(QUOTE, x=_number("planner_duration_ms"), words=_QUOTE_WORDS))
    .replace(
        "$summary", _record(SUMMARY, x=_number("attemptsUsed"), y=_number("totalDurationMs"), words=_SUMMARY_WORDS)
    )
    .replace("$succeeded", _record(SUCCEEDED, x=_number("durationMs"), words=_SUCCEEDED_WORDS))
    .replace("$inline", _record(INLINE_SUCCEEDED, x=_number("quoteDurationMs"), y=_number("confirmDurationMs")))
    .replace("$timeout", _record(INLINE_TIMEOUT, x=_number("timeoutMs")))
)

_SCAN: LiteralString = """
SELECT date_bin('1 hour', created_at, '2000-01-01 00:00Z') AS hour, source, event_type, count(*) AS events,
       string_agg($record, '') AS records
  FROM observability_events
 $window
 GROUP BY 1, 2, 3
""".replace("$record", _EACH_RECORD).replace("$window", _WINDOW)

# For each hash the moment of one event that has it is known, and there is an index on moments.
_LOOK_UP: LiteralString = (
    """
SELECT DISTINCT event_type,
       CASE event_type
           WHEN 'auto_assign.quote' THEN $quote
           WHEN 'auto_assign.summary' THEN $summary
           WHEN 'auto_assign.succeeded' THEN $succeeded
           ELSE 0
       END AS words,
       $venue AS venue, restaurant_id, (SELECT slug FROM restaurants r WHERE r.id = e.restaurant_id) AS slug,
       context->>'trigger' AS trigger,
       context->>'planner_success' AS success,
       context->>'planner_reason_code' AS reason,
       context->>'planner_error' AS error,
       context->>'cache_hit' AS cache_hit,
       context->'planner_strategy'->>'requireAdjacency' AS adjacency,
       context->'planner_strategy'->>'maxTables' AS tables,
       context->>'attempt_index' AS attempt_index,
       context->>'release' AS release,
       context->'planner_internal'->>'replans' AS replans,
       context->>'result' AS result,
       context->>'skippedInitialAttempt' AS skipped,
       context->>'inlineSkipReason' AS skip_reason
  FROM observability_events e
 WHERE created_at = ANY (%(moments)s)
   AND event_type IN ('auto_assign.quote', 'auto_assign.summary', 'auto_assign.succeeded',
                      'inline_auto_assign.succeeded')
""".replace("$quote", _QUOTE_WORDS)
    .replace("$summary", _SUMMARY_WORDS)
    .replace("$succeeded", _SUCCEEDED_WORDS)
    .replace("$venue", _OF_VENUE)
)


@dataclass(frozen=True, slots=True)
class Records:
    """The events of one type, one place in each array for each. `source` and `words` are codes of the scan's tables.

    `at` counts microseconds; 0 in `booking` or `attempt` stands for none. What `x` and `y` are depends on the type;
    NaN is what isn't known.
    """

    at: Ints
    booking: Ints
    venue: Ints
    words: Ints
    attempt: Ints
    source: Ints
    x: Floats
    y: Floats

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class HourCount:
    """Events of one type and source in the hour that starts at `hour`, in UTC."""

    hour: datetime
    event_type: str
    events: int
    source: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan brought. `words` of a type's records are places in its list of rows, `venue` in `venues`."""

    hours: tuple[HourCount, ...]
    sources: tuple[str, ...]
    venues: tuple[str, ...]
    words: Mapping[str, Sequence[Row]]
    records: Mapping[str, Records]


async def scan(session: Session, *, since: datetime, until: datetime, restaurant_id: UUID | None) -> Scan:
    """Reads the window [since, until); three round trips, inside the transaction that the session is in.

    Raises InvalidInput for a window with more events than fit into memory.
    """
    window = {"since": since, "until": until, "restaurant_id": restaurant_id}
    (counted,) = await session.send([Statement(_COUNT, {**window, "most": MOST_EVENTS})])
    if counted[0]["n"] > MOST_EVENTS:
        raise InvalidInput("window", "since", f"more than {MOST_EVENTS:,} events; choose a shorter window")
    (rows,) = await session.send([Statement(_SCAN, window)])
    raw = await asyncio.to_thread(_Raw, rows)
    (looked_up,) = await session.send([Statement(_LOOK_UP, {"moments": raw.moments()})])
    return await asyncio.to_thread(raw.with_words, looked_up)


class _Raw:
    """Records whose words are hashes still."""

    def __init__(self, rows: Iterable[Row]) -> None:
        ordered = sorted(rows, key=lambda row: (row["hour"], row["source"], row["event_type"]))
        self._hours = tuple(
            HourCount(row["hour"].astimezone(UTC), row["event_type"], row["events"], row["source"]) for row in ordered
        )
        self._sources = tuple(sorted({row["source"] for row in ordered}))
        self._records = {
            event_type: self._unpack(event_type, [row for row in ordered if row["event_type"] == event_type])
            for event_type in _FIELDS
        }
        self._hashed = {
            event_type: (_Hashed(found.words), _Hashed(found.venue)) for event_type, found in self._records.items()
        }

    def _unpack(self, event_type: str, rows: Sequence[Row]) -> Records:
        fields = _FIELDS[event_type]
        layout = np.dtype([(name, ">i8" if name in _INTS else ">f8") for name in fields])
        packed = [row["records"] or b"" for row in rows]
        table = np.frombuffer(b"".join(packed), dtype=layout)
        none, unknown = np.zeros(len(table), dtype=np.int64), np.full(len(table), np.nan)

        def ints(name: str) -> Ints:
            return table[name].astype(np.int64) if name in fields else none

        def floats(name: str) -> Floats:
            return _known(table[name]) if name in fields else unknown

        codes = {source: code for code, source in enumerate(self._sources)}
        source = np.repeat(
            np.array([codes[row["source"]] for row in rows], dtype=np.int64),
            [len(each) // layout.itemsize for each in packed],
        )
        return Records(
            at=ints("at"),
            booking=ints("booking"),
            venue=ints("venue"),
            words=ints("words"),
            attempt=ints("attempt"),
            source=source,
            x=floats("x"),
            y=floats("y"),
        )

    def moments(self) -> list[datetime]:
        """One moment for each different hash."""
        found: set[int] = set()
        for event_type, records in self._records.items():
            if event_type != INLINE_TIMEOUT:  # of those only the attempt and the limit are wanted
                for hashed in self._hashed[event_type]:
                    found.update(records.at[hashed.first].tolist())
        return [_EPOCH + timedelta(microseconds=at) for at in sorted(found)]

    def with_words(self, rows: Sequence[Row]) -> Scan:
        slugs: dict[int, str] = {
            row["venue"]: row["slug"] or (NO_RESTAURANT if row["restaurant_id"] is None else str(row["restaurant_id"]))
            for row in rows
        }
        venues = tuple(sorted(set(slugs.values())))
        place = {slug: code for code, slug in enumerate(venues)}
        venue_of = {hashed: place[slug] for hashed, slug in slugs.items()}
        words: dict[str, list[Row]] = {}
        records: dict[str, Records] = {}
        for event_type, found in self._records.items():
            of_type = {row["words"]: row for row in rows if row["event_type"] == event_type}
            words[event_type] = list(of_type.values())
            word_of = {hashed: code for code, hashed in enumerate(of_type)}
            if event_type == INLINE_TIMEOUT:
                records[event_type] = found
                continue
            of_words, of_venue = self._hashed[event_type]
            records[event_type] = replace(found, words=of_words.coded(word_of), venue=of_venue.coded(venue_of))
        return Scan(self._hours, self._sources, venues, words, records)


def _known(numbers: npt.NDArray[Any]) -> Floats:
    """As doubles of this machine; what had digits cut off, and so more than any time has, isn't known."""
    native = numbers.astype(np.float64)
    native[np.abs(native) > _MOST] = np.nan
    return native


class _Hashed:
    """Hashes of which few are different."""

    def __init__(self, hashes: Ints) -> None:
        self._different, self._places = np.unique(hashes, return_inverse=True)
        self.first = np.zeros(len(self._different), dtype=np.int64)
        self.first[self._places[::-1]] = np.arange(len(hashes) - 1, -1, -1)  # the last one written stays

    def coded(self, code_of: Mapping[int, int]) -> Ints:
        """The code of each, in the order of the hashes."""
        codes = np.array([code_of[hashed] for hashed in self._different.tolist()], dtype=np.int64)
        return codes[self._places]
