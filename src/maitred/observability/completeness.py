"""Whether the events of a window are all there, and if not, how many of whose are missing.

A recorder numbers everything it is handed, what it drops too, and tells the table `event_producers` how far it got. A
number that was given out and has no row is an event that was lost. What no number can tell: what a process recorded
between its last word and being killed. So a process that fell silent without closing makes a window incomplete even
when no number is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, LiteralString, TypeAlias
from uuid import UUID, uuid5

from maitred.storage.database import Database, Row, Session, Statement

SUMMARY = "auto_assign.summary"

# What is followed by something else of its run, at the latest by the run's summary.
_UNFINISHED = (
    "auto_assign.started",
    "auto_assign.quote",
    "auto_assign.attempt",
    "auto_assign.attempt_error",
    "auto_assign.planner_cache_hit",
    "auto_assign.inline_skip_attempt",
    "auto_assign.inline_timeout_adjustment",
)
# So long nothing is heard of a run that waits for its next attempt within a process.
_BROKEN_OFF_S = 3_600

# A living recorder writes at least every 10 seconds.
SILENT_AFTER_S = 30

ProducerState: TypeAlias = Literal["closed", "open", "silent"]

_BEGIN = Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
_PATIENCE = Statement(
    "SELECT set_config('statement_timeout', '120s', true), set_config('work_mem', '64MB', true)",
    {},
)
_COMMIT = Statement("COMMIT", {})

# What is missing lies between two numbers that are there. `before` and `after` are the neighbours of the window's own
# numbers, so that a hole at the window's edge counts: it may belong to the window.
_PRODUCERS: LiteralString = """
WITH seen AS MATERIALIZED (
    SELECT producer, count(*) AS events, min(seq) AS first, max(seq) AS last
      FROM observability_events
     WHERE created_at >= %(since)s AND created_at < %(until)s AND producer IS NOT NULL
     GROUP BY producer
), known AS NOT MATERIALIZED (
    SELECT producer, kind, started_at, last_seen, closed_at, dropped, nulled, last_seq, removed_to
      FROM event_producers
    UNION ALL
    -- rows of a producer that has no word of its own here, as in a table that was copied without the other: how far it
    -- got nobody knows, which is what one that fell silent is like
    SELECT s.producer, 'other', e.created_at, e.created_at, NULL, '{}', 0, s.last, 0
      FROM seen s JOIN observability_events e ON e.producer = s.producer AND e.seq = s.last
     WHERE NOT EXISTS (SELECT FROM event_producers p WHERE p.producer = s.producer)
), concerned AS (
    SELECT p.*, coalesce(s.events, 0) AS events, s.first, s.last
      FROM known p
      LEFT JOIN seen s USING (producer)
     WHERE s.producer IS NOT NULL
        OR (p.started_at < %(until)s AND coalesce(p.closed_at, p.last_seen) >= %(since)s)
), edged AS (
    SELECT c.*,
           coalesce(CASE WHEN c.first IS NULL
               THEN (SELECT max(seq) FROM observability_events e
                      WHERE e.producer = c.producer AND e.created_at < %(since)s)
               ELSE (SELECT max(seq) FROM observability_events e WHERE e.producer = c.producer AND e.seq < c.first)
           END, 0) AS before,
           CASE WHEN c.last IS NULL
               THEN (SELECT min(seq) FROM observability_events e
                      WHERE e.producer = c.producer AND e.created_at >= %(until)s)
               ELSE (SELECT min(seq) FROM observability_events e WHERE e.producer = c.producer AND e.seq > c.last)
           END AS after
      FROM concerned c
), counted AS (
    SELECT e.*, greatest(e.before, e.removed_to) AS low,
           (SELECT count(*) FROM observability_events o
             WHERE o.producer = e.producer AND o.seq > greatest(e.before, e.removed_to)
               AND o.seq < coalesce(e.after, e.last_seq + 1)) AS present
      FROM edged e
)
SELECT producer, kind, started_at, last_seen, closed_at, dropped, nulled, events,
       extract(epoch FROM clock_timestamp() - last_seen)::float8 AS heard_ago_s,
       CASE WHEN closed_at IS NOT NULL THEN 'closed'
            WHEN last_seen < clock_timestamp() - make_interval(secs => %(silent_s)s) THEN 'silent'
            ELSE 'open' END AS state,
       greatest(coalesce(after, last_seq + 1) - low - 1 - present, 0) AS missing,
       CASE WHEN after IS NULL THEN greatest(last_seq - greatest(low, coalesce(last, 0)), 0) ELSE 0 END AS tail
  FROM counted
 ORDER BY started_at, producer
"""

_UNNUMBERED: LiteralString = """
SELECT count(*) AS n
  FROM observability_events
 WHERE created_at >= %(since)s AND created_at < %(until)s AND producer IS NULL
   AND event_type <> ALL ('{auto_assign.started,auto_assign.succeeded,auto_assign.failed,auto_assign.summary}')
   AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)
"""

# Days that are rolled up have lost their events, wholly: a window that reaches back to them says so.
_ROLLED_UP: LiteralString = """
SELECT coalesce(sum(events), 0)::bigint AS events, max(day) AS day
  FROM event_rollups
 WHERE day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date
   AND day < %(until)s::timestamptz AT TIME ZONE 'UTC'
   AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)
"""

# A summary is written in the transaction that ends its run, which takes seconds at most. Of days that are rolled up
# nobody can tell any more.
_RUNS: LiteralString = """
WITH ended AS NOT MATERIALIZED (
    SELECT id, booking_id, ended_at
      FROM runs
     WHERE ended_at >= %(since)s AND ended_at < %(until)s
       AND ended_at >= coalesce((SELECT max(day) + 1 FROM event_rollups)::timestamp AT TIME ZONE 'UTC', '-infinity')
       AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)
)
SELECT (SELECT count(*) FROM ended) AS ended,
       (SELECT count(*) FROM runs
         WHERE ended_at IS NULL AND due_at < clock_timestamp() - interval '10 minutes'
           AND created_at < %(until)s AND due_at >= %(since)s
           AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)) AS overdue,
       ARRAY(SELECT e.id FROM ended e
              WHERE NOT EXISTS (
                    SELECT FROM observability_events s
                     WHERE s.event_type = 'auto_assign.summary' AND s.booking_id = e.booking_id
                       AND s.created_at BETWEEN e.ended_at - interval '1 minute' AND e.ended_at + interval '1 minute')
       ) AS suspects
"""

# The last that was heard of a booking says whether something was still to come. Looks at quotes that staff made by
# hand, and at bookings that were over already, have no attempt to follow. Clocks may differ by a minute.
_COURSES: LiteralString = """
WITH last AS MATERIALIZED (
    SELECT DISTINCT ON (booking_id) booking_id, created_at, event_type
      FROM observability_events
     WHERE booking_id IS NOT NULL AND created_at >= %(since)s
       AND created_at < least(%(until)s, clock_timestamp() - make_interval(secs => %(broken_off_s)s))
     ORDER BY booking_id DESC, created_at DESC
), broken_off AS MATERIALIZED (
    SELECT * FROM last WHERE event_type = ANY (%(unfinished)s::text[])
)
SELECT b.booking_id, b.event_type = 'auto_assign.quote' AS after_quote
  FROM broken_off b
 WHERE EXISTS (
       SELECT FROM observability_events e
        WHERE (e.booking_id, e.created_at, e.event_type) = (b.booking_id, b.created_at, b.event_type)
          AND (%(restaurant_id)s::uuid IS NULL OR e.restaurant_id = %(restaurant_id)s::uuid)
          AND (e.event_type <> 'auto_assign.quote'
               OR (e.context->>'trigger' IS DISTINCT FROM 'manual'
                   AND e.context->>'planner_reason_code' IS DISTINCT FROM 'hard.not_pending')))
   AND NOT EXISTS (SELECT FROM runs r WHERE r.booking_id = b.booking_id AND r.ended_at IS NULL)
   AND NOT EXISTS (
       SELECT FROM observability_events e
        WHERE e.booking_id = b.booking_id AND e.created_at > b.created_at - interval '1 minute'
          AND e.event_type <> ALL (%(unfinished)s::text[]))
 LIMIT 10000
"""

_KNOWN: LiteralString = "SELECT id FROM observability_events WHERE id = ANY (%(ids)s::uuid[])"


@dataclass(frozen=True, slots=True)
class Producer:
    """One process's recorder, as far as the window concerns it.

    `missing` numbers were given out and have no row; at the window's edges they may belong to its neighbours.
    `on_their_way` are those of them that an open producer may still write; of what it recorded since it was heard of,
    `heard_ago_s` seconds before this was looked up, nobody knows yet. `dropped` counts by reason over the producer's
    whole life. `nulled` are values that the registry didn't allow and that were left out.
    """

    producer: UUID
    kind: str
    state: ProducerState
    started_at: datetime
    last_seen: datetime
    heard_ago_s: float
    events: int
    missing: int
    on_their_way: int
    dropped: Mapping[str, int]
    nulled: int

    @property
    def name(self) -> str:
        """Kind and the first digits of the id."""
        return f"{self.kind} {self.producer.hex[:8]}"


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is known of the events of [since, until). `missing` of producers is over all restaurants.

    `unnumbered` are measurements that no recorder of ours wrote: nobody can tell whether others of theirs are missing.
    `rolled_up` are events of the window that were deleted and are kept as daily roll-ups, up to the day `rolled_up_to`.
    `runs_ended` counts rows of runs; `summaries_missing` are the ids of those that have no summary, and `runs_overdue`
    counts those that should have gone on 10 minutes ago or earlier and did not. `quotes_unfollowed` and `runs_unended`
    are bookings of which nothing more was heard after a quote, or after another step of a run that was to go on; of
    each booking only the last that was heard is looked at, an hour later at the earliest.
    """

    since: datetime
    until: datetime
    restaurant_id: UUID | None
    producers: tuple[Producer, ...] = ()
    unnumbered: int = 0
    rolled_up: int = 0
    rolled_up_to: date | None = None
    runs_ended: int = 0
    summaries_missing: tuple[UUID, ...] = field(default=())
    runs_overdue: int = 0
    quotes_unfollowed: tuple[UUID, ...] = ()
    runs_unended: tuple[UUID, ...] = ()

    @property
    def missing(self) -> int:
        """Numbered events that are not there, those on their way included."""
        return sum(each.missing for each in self.producers)

    @property
    def complete(self) -> bool:
        """Whether everything that should be there is known to be there."""
        broken_off = self.runs_overdue or self.quotes_unfollowed or self.runs_unended
        return not (self._gaps() or self.unnumbered or self.rolled_up or self.summaries_missing or broken_off)

    @property
    def sentence(self) -> str:
        """One sentence that a report can print."""
        if self.complete:
            events = sum(each.events for each in self.producers)
            return (
                f"Complete: {_of(events, 'numbered event')} of {_of(len(self.producers), 'process', 'es')}, none "
                f"missing; {_of(self.runs_ended, 'ended run')}, each with its summary{self._still_open()}."
            )
        parts = [_gap(each) for each in self._gaps()]
        if self.unnumbered:
            parts.append(f"{_of(self.unnumbered, 'measurement')} without a number, so nobody can tell what is missing")
        if self.rolled_up:
            parts.append(f"{_of(self.rolled_up, 'event')} up to {self.rolled_up_to} kept as daily roll-ups only")
        if self.summaries_missing:
            parts.append(f"{len(self.summaries_missing)} of {_of(self.runs_ended, 'ended run')} without a summary")
        if self.runs_overdue:
            parts.append(f"{_of(self.runs_overdue, 'run')} overdue without an end")
        if self.runs_unended:
            parts.append(f"{_of(len(self.runs_unended), 'run')} broken off without an end")
        if self.quotes_unfollowed:
            parts.append(f"{_of(len(self.quotes_unfollowed), 'quote')} without an attempt")
        return f"Incomplete: {'; '.join(parts)}."

    def _still_open(self) -> str:
        ago = [each.heard_ago_s for each in self.producers if each.state == "open"]
        if not ago:
            return ""
        return f"; {_of(len(ago), 'process', 'es')} still open, last heard of {max(0.0, *ago):.0f} s ago"

    def _gaps(self) -> list[Producer]:
        return [each for each in self.producers if each.missing or each.state == "silent"]


async def completeness(
    db: Database, *, since: datetime, until: datetime, restaurant_id: UUID | None = None
) -> Completeness:
    """Compares what should be there for [since, until) with what is; two round trips, on one snapshot.

    Raises ValueError for instants without a zone or a window without length, and what `Database` raises.
    """
    if since.tzinfo is None or until.tzinfo is None or since >= until:
        raise ValueError("completeness needs a window of instants with a zone, the end after the start")
    window = {
        "since": since,
        "until": until,
        "restaurant_id": restaurant_id,
        "silent_s": SILENT_AFTER_S,
        "unfinished": list(_UNFINISHED),
        "broken_off_s": _BROKEN_OFF_S,
    }
    asked = [Statement(sql, window) for sql in (_PRODUCERS, _UNNUMBERED, _ROLLED_UP, _RUNS, _COURSES)]
    async with db.session() as session:
        _, _, producers, unnumbered, rolled_up, runs, courses = await session.send([_BEGIN, _PATIENCE, *asked])
        missing = await _without_summary(session, runs[0]["suspects"])
    return Completeness(
        since=since,
        until=until,
        restaurant_id=restaurant_id,
        producers=tuple(_producer(row) for row in producers),
        unnumbered=unnumbered[0]["n"],
        rolled_up=rolled_up[0]["events"],
        rolled_up_to=rolled_up[0]["day"],
        runs_ended=runs[0]["ended"],
        summaries_missing=missing,
        runs_overdue=runs[0]["overdue"],
        quotes_unfollowed=tuple(row["booking_id"] for row in courses if row["after_quote"]),
        runs_unended=tuple(row["booking_id"] for row in courses if not row["after_quote"]),
    )


def summary_id(run_id: UUID) -> UUID:
    """The id of the summary of a run that has a row: it follows from the run's, so that there can only be one."""
    return uuid5(run_id, SUMMARY)


async def _without_summary(session: Session, suspects: Sequence[UUID]) -> tuple[UUID, ...]:
    """Those of the suspects that really have no summary, wherever in time it may stand."""
    by_summary = {summary_id(run_id): run_id for run_id in suspects}
    known, _ = await session.send([Statement(_KNOWN, {"ids": list(by_summary)}), _COMMIT])
    found = {row["id"] for row in known}
    return tuple(run_id for summary, run_id in by_summary.items() if summary not in found)


def _producer(row: Row) -> Producer:
    state: ProducerState = row["state"]
    dropped: dict[str, Any] = row["dropped"]
    return Producer(
        producer=row["producer"],
        kind=row["kind"],
        state=state,
        started_at=row["started_at"],
        last_seen=row["last_seen"],
        heard_ago_s=row["heard_ago_s"],
        events=row["events"],
        missing=row["missing"],
        on_their_way=min(row["tail"], row["missing"]) if state == "open" else 0,
        dropped={reason: int(count) for reason, count in dropped.items() if count},
        nulled=row["nulled"],
    )


def _gap(producer: Producer) -> str:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(producer.dropped.items()))
    lost = producer.missing - producer.on_their_way
    words = []
    if lost:
        words.append(f"{_of(lost, 'event')} of {producer.name} missing" + (f" ({reasons})" if reasons else ""))
    if producer.on_their_way:
        words.append(f"{_of(producer.on_their_way, 'event')} of {producer.name} on the way")
    if producer.state == "silent":
        last = producer.last_seen.astimezone(UTC)
        words.append(
            f"{producer.name} ended without closing after {last:%Y-%m-%d %H:%M:%S} UTC, its last events unknown"
        )
    return "; ".join(words)


def _of(count: int, thing: str, plural: str = "s") -> str:
    return f"{count:,} {thing}{'' if count == 1 else plural}"
