"""Old events go, a batch at a time, and leave a daily roll-up: how many of which kind, and sketches of their numbers.

An event is in the table or in a roll-up, never in both and never in neither: it is deleted and added up in one
transaction. So an event that arrives late, from a file, is added to its day's roll-up the next time.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from maitred.observability.catalogue import REGISTRY
from maitred.observability.registry import Declaration, Key
from maitred.observability.sketch import Sketch, sketch_from_json
from maitred.observability.values import Count, Number, Refused
from maitred.storage.database import Database, Row, Session, Statement

BATCH = 2_000

_BEGIN = Statement("BEGIN", {})
_COMMIT = Statement("COMMIT", {})
_ROLLBACK = Statement("ROLLBACK", {})
_NUMBER = Number("of any unit")

# One at a time: whoever finds another one at work has nothing to do.
_ALONE: LiteralString = "SELECT pg_try_advisory_xact_lock(hashtext('maitred_retention')) AS alone"

_TAKE: LiteralString = """
DELETE FROM observability_events
 WHERE id IN (SELECT id FROM observability_events WHERE created_at < %(before)s ORDER BY created_at LIMIT %(most)s)
RETURNING created_at, event_type, source, context, restaurant_id, producer, seq
"""

_KEPT: LiteralString = "SELECT * FROM event_rollups WHERE day = ANY (%(days)s::date[])"

_KEEP: LiteralString = """
INSERT INTO event_rollups AS kept (day, event_type, source, trigger, restaurant_id, outcome, events, measures)
SELECT day, event_type, source, trigger, restaurant_id, outcome, events, measures
  FROM jsonb_to_recordset(%(rollups)s::jsonb) AS rollup (
    day date, event_type text, source text, trigger text, restaurant_id uuid, outcome text, events bigint,
    measures jsonb)
ON CONFLICT (day, event_type, source, trigger, restaurant_id, outcome)
   DO UPDATE SET events = excluded.events, measures = excluded.measures
"""

_REMOVED: LiteralString = """
UPDATE event_producers p
   SET removed = p.removed + gone.events, removed_to = greatest(p.removed_to, gone.last)
  FROM unnest(%(producers)s::uuid[], %(events)s::bigint[], %(last)s::bigint[]) AS gone (producer, events, last)
 WHERE p.producer = gone.producer
"""

_FORGET: LiteralString = """
DELETE FROM event_producers p
 WHERE coalesce(closed_at, last_seen) < %(before)s
   AND NOT EXISTS (SELECT FROM observability_events e WHERE e.producer = p.producer)
"""

_READ: LiteralString = """
SELECT * FROM event_rollups
 WHERE day >= %(since)s AND day < %(until)s
   AND (%(restaurant_id)s::uuid IS NULL OR restaurant_id = %(restaurant_id)s::uuid)
 ORDER BY day, event_type, source, trigger, restaurant_id, outcome
"""


class Group(NamedTuple):
    """What a day's events are added up by. `outcome` is a success, a result or a reason, as the event's type has it."""

    day: date
    event_type: str
    source: str
    trigger: str | None
    restaurant_id: UUID | None
    outcome: str | None


@dataclass(slots=True)
class Rollup:
    """The events of one group: how many, and the distribution of each measured number."""

    group: Group
    events: int = 0
    measures: dict[str, Sketch] = field(default_factory=dict)

    def merge(self, other: Rollup) -> None:
        """Adds the other's events, of whatever group."""
        self.events += other.events
        for name, sketch in other.measures.items():
            self.measures.setdefault(name, Sketch()).merge(sketch)


@dataclass(frozen=True, slots=True)
class Retained:
    """What `retain` did: so many events deleted and added to roll-ups. `finished`: none that old are left."""

    deleted: int
    finished: bool


async def retain(
    db: Database,
    *,
    days: int,
    now: datetime | None = None,
    batch: int = BATCH,
    pause_s: float = 0.05,
    most: int | None = None,
) -> Retained:
    """Deletes the events of days, in UTC, that lie more than `days` days back, and adds them to the days' roll-ups.

    `days` 0 keeps everything. Goes in batches with a pause between them, up to `most` events, and stops at once when
    another one is at work. `now` None is this process's clock. Raises what `Database` raises; what was done stays done.
    """
    if days == 0:
        return Retained(0, finished=True)
    before = ((now or datetime.now(UTC)).astimezone(UTC) - timedelta(days=days)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    deleted = 0
    while most is None or deleted < most:
        wanted = batch if most is None else min(batch, most - deleted)
        async with db.session() as session:
            found = await _take(session, before, wanted)
        if found is None:
            return Retained(deleted, finished=False)
        deleted += found
        if found < wanted:
            await db.fetch(_FORGET, {"before": before})
            return Retained(deleted, finished=True)
        await asyncio.sleep(pause_s)
    return Retained(deleted, finished=False)


async def rollups(db: Database, *, since: date, until: date, restaurant_id: UUID | None = None) -> list[Rollup]:
    """The roll-ups of the days [since, until), in UTC; of one restaurant, or of all."""
    rows = await db.fetch(_READ, {"since": since, "until": until, "restaurant_id": restaurant_id})
    return [_from_row(row) for row in rows]


async def _take(session: Session, before: datetime, most: int) -> int | None:
    """Moves the oldest events into roll-ups; how many there were, None when another one is at work."""
    _, (turn,) = await session.send([_BEGIN, Statement(_ALONE, {})])
    if not turn["alone"]:
        await session.send([_ROLLBACK])
        return None
    rows = await session.fetch(Statement(_TAKE, {"before": before, "most": most}))
    if not rows:
        await session.send([_COMMIT])
        return 0
    added = _added_up(rows)
    kept = await session.fetch(Statement(_KEPT, {"days": sorted({group.day for group in added})}))
    for row in kept:
        earlier = _from_row(row)
        if earlier.group in added:
            added[earlier.group].merge(earlier)
    await session.send(
        [
            Statement(_KEEP, {"rollups": json.dumps([_as_json(each) for each in added.values()])}),
            Statement(_REMOVED, _removed(rows)),
            _COMMIT,
        ]
    )
    return len(rows)


def _added_up(rows: Iterable[Row]) -> dict[Group, Rollup]:
    added: dict[Group, Rollup] = {}
    for row in rows:
        declaration = REGISTRY.get(row["event_type"])
        context = row["context"] if isinstance(row["context"], dict) else {}
        group = Group(
            row["created_at"].astimezone(UTC).date(),
            row["event_type"],
            row["source"],
            _word(declaration, "trigger", context),
            row["restaurant_id"],
            _word(declaration, None if declaration is None else declaration.outcome, context),
        )
        rollup = added.setdefault(group, Rollup(group))
        rollup.events += 1
        for name in () if declaration is None else declaration.measures:
            number = context.get(name)
            if isinstance(number, (int, float)) and not isinstance(_NUMBER.admit(number), Refused):
                rollup.measures.setdefault(name, Sketch()).add(number)
    return added


def _word(declaration: Declaration | None, name: str | None, context: Mapping[str, Any]) -> str | None:
    """The value of a key if the registry allows it; rows may come from other systems and hold anything."""
    key = None if declaration is None or name is None else _keys(declaration).get(name)
    value = context.get(name) if name is not None else None
    if key is None or value is None or isinstance(key.holds, (Number, Count)):
        return None
    admitted = key.holds.admit(value)
    return (
        None if isinstance(admitted, Refused) else str(admitted).lower() if admitted in (True, False) else str(admitted)
    )


def _keys(declaration: Declaration) -> Mapping[str, Key]:
    return {key.name: key for key in declaration.keys}


def _removed(rows: Sequence[Row]) -> Mapping[str, list[Any]]:
    events: Counter[UUID] = Counter()
    last: dict[UUID, int] = {}
    for row in rows:
        if (producer := row["producer"]) is not None:
            events[producer] += 1
            last[producer] = max(last.get(producer, 0), row["seq"])
    return {
        "producers": list(events),
        "events": list(events.values()),
        "last": [last[producer] for producer in events],
    }


def _as_json(rollup: Rollup) -> dict[str, Any]:
    group = rollup.group
    return {
        **group._asdict(),
        "day": group.day.isoformat(),
        "restaurant_id": None if group.restaurant_id is None else str(group.restaurant_id),
        "events": rollup.events,
        "measures": {name: sketch.as_json() for name, sketch in rollup.measures.items()},
    }


def _from_row(row: Row) -> Rollup:
    group = Group(*(row[name] for name in Group._fields))
    return Rollup(group, row["events"], {name: sketch_from_json(kept) for name, kept in row["measures"].items()})
