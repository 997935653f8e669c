"""Who recorded which event and how far it got; daily roll-ups of events that were deleted."""

from alembic import op

revision = "0003"
down_revision = "0002"

# A recorder numbers what it is handed, what it drops too, so a number that isn't here is an event that was lost.
# Events that state a change have no producer: they are there when the change is. `derived` marks what wasn't told at
# the time but follows from other rows.
_EVENTS = """
ALTER TABLE observability_events
    ADD COLUMN producer uuid,
    ADD COLUMN seq      bigint,
    ADD COLUMN version  smallint NOT NULL DEFAULT 1,
    ADD COLUMN derived  boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT observability_events_numbered CHECK ((producer IS NULL) = (seq IS NULL));
CREATE UNIQUE INDEX observability_events_producer_seq ON observability_events (producer, seq) INCLUDE (created_at)
    WHERE producer IS NOT NULL;

-- The course of a booking in order, without looking at the rows.
DROP INDEX observability_events_booking_id;
CREATE INDEX observability_events_booking_id ON observability_events (booking_id, created_at, event_type);
CREATE INDEX observability_events_summaries ON observability_events (booking_id, created_at)
    WHERE event_type = 'auto_assign.summary';
-- Normally empty: measurements that no recorder of ours has numbered.
CREATE INDEX observability_events_unnumbered ON observability_events (created_at)
    WHERE producer IS NULL
      AND event_type <> ALL ('{auto_assign.started,auto_assign.succeeded,auto_assign.failed,auto_assign.summary}');

-- One row for each process that records, written together with its events. `last_seq` is the last number given out,
-- `removed` and `removed_to` tell what retention deleted: so many, up to this number.
CREATE TABLE event_producers (
    producer   uuid PRIMARY KEY,
    kind       text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seq   bigint NOT NULL DEFAULT 0,
    accepted   bigint NOT NULL DEFAULT 0,
    dropped    jsonb NOT NULL DEFAULT '{}',
    nulled     bigint NOT NULL DEFAULT 0,
    spilled    bigint NOT NULL DEFAULT 0,
    closed_at  timestamptz,
    removed    bigint NOT NULL DEFAULT 0,
    removed_to bigint NOT NULL DEFAULT 0
);
CREATE INDEX event_producers_last_seen ON event_producers (last_seen);

CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;
"""

# An event is in the table or in one roll-up, never in both: what is deleted is added here in the same transaction.
# `measures` holds a sketch for each measured key.
_ROLLUPS = """
CREATE TABLE event_rollups (
    day           date NOT NULL,
    event_type    text NOT NULL,
    source        text NOT NULL,
    trigger       text,
    restaurant_id uuid,
    outcome       text,
    events        bigint NOT NULL,
    measures      jsonb NOT NULL DEFAULT '{}',
    UNIQUE NULLS NOT DISTINCT (day, event_type, source, trigger, restaurant_id, outcome)
);
"""


def upgrade() -> None:
    connection = op.get_bind()
    for statements in (_EVENTS, _ROLLUPS):
        connection.exec_driver_sql(statements.replace("%", "%%"))
