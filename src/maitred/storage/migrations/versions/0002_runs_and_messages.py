"""Durable runs on Procrastinate's queue, the cache of failures, what is to be told to whom."""

from importlib import resources

from alembic import op

revision = "0002"
down_revision = "0001"

# The queue's schema, from the migrations of its own package: up to and including the one named here, whichever
# newer release is installed. A newer schema is a migration of ours that goes on from there.
_QUEUE_UP_TO = "03.04.00_50"

_RUNS = """
ALTER TABLE restaurants
    ADD COLUMN inline_timeout_ms integer CHECK (inline_timeout_ms BETWEEN 100 AND 60000),
    ADD COLUMN keep_tables_until_moved boolean NOT NULL DEFAULT false,
    ADD COLUMN contact_email text;

ALTER TABLE bookings
    ADD COLUMN guest_name text,
    ADD COLUMN guest_email text,
    ADD COLUMN guest_phone text,
    ADD COLUMN notes text,
    ADD COLUMN revision integer NOT NULL DEFAULT 1;

-- One row a run. `expected_attempt` is the index of the attempt that comes next: a job for any other one is stale.
CREATE TABLE runs (
    id                 uuid PRIMARY KEY,
    restaurant_id      uuid NOT NULL,
    booking_id         uuid NOT NULL,
    trigger            text NOT NULL,
    policy             integer NOT NULL CHECK (policy IN (1, 2)),
    max_attempts       integer NOT NULL CHECK (max_attempts BETWEEN 1 AND 11),
    expected_attempt   integer NOT NULL DEFAULT 0,
    require_adjacency  boolean,
    max_tables         integer CHECK (max_tables BETWEEN 1 AND 5),
    mail_variant       text NOT NULL DEFAULT 'standard' CHECK (mail_variant IN ('standard', 'modified')),
    inline_attempt_id  uuid,
    inline_reason      text,
    inline_trigger     text,
    inline_at          timestamptz,
    skipped_initial    boolean NOT NULL DEFAULT false,
    inline_skip_reason text,
    last_reason        text,
    hard_stop_reason   text,
    waits_for          tstzrange,
    party_size         integer NOT NULL,
    job_id             bigint,
    due_at             timestamptz NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at         timestamptz,
    ended_at           timestamptz,
    result             text CHECK (result IN ('succeeded', 'cutoff', 'already_confirmed', 'exhausted', 'error')),
    CHECK ((ended_at IS NULL) = (result IS NULL)),
    FOREIGN KEY (restaurant_id, booking_id) REFERENCES bookings (restaurant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX runs_one_live ON runs (booking_id) WHERE ended_at IS NULL;
CREATE INDEX runs_of_booking ON runs (booking_id, created_at DESC);
CREATE INDEX runs_live ON runs (restaurant_id) WHERE ended_at IS NULL;
CREATE INDEX bookings_pending ON bookings (starts_at) WHERE status = 'pending';

-- How often tables of a venue came free. Whoever concludes from what he read that there is no table locks this row and
-- compares: a "no" that was read before a table came free is not written down after it.
CREATE TABLE release_marks (
    restaurant_id uuid PRIMARY KEY REFERENCES restaurants ON DELETE CASCADE,
    seq           bigint NOT NULL DEFAULT 0
);
INSERT INTO release_marks (restaurant_id) SELECT id FROM restaurants;
CREATE FUNCTION mark_new_restaurant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO release_marks (restaurant_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER restaurants_mark AFTER INSERT ON restaurants FOR EACH ROW EXECUTE FUNCTION mark_new_restaurant();

-- A question that was answered with no a moment ago, and the mark under which it was asked.
CREATE TABLE planner_failures (
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    question      text NOT NULL,
    release_seq   bigint NOT NULL,
    reason        text NOT NULL,
    failed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (restaurant_id, question)
);
CREATE INDEX planner_failures_age ON planner_failures (failed_at);

-- Raises, and so undoes the whole transaction, unless the condition holds: for statements that travel together.
CREATE FUNCTION must_hold(condition boolean, otherwise text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF condition IS NOT TRUE THEN
        RAISE EXCEPTION '%', otherwise USING ERRCODE = 'MD001';
    END IF;
END $$;
"""

# A table that comes free (cancellation, end of a hold, a booking moved) makes waiting runs due at once whose window
# touches the freed one, wakes the workers, and outdates what was answered before it came free. Whoever frees it.
_SIGNAL = """
CREATE FUNCTION tables_came_free() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    woken record;
BEGIN
    IF NOT EXISTS (SELECT FROM freed) THEN  -- a statement's trigger fires for nothing too, as in every confirmation
        RETURN NULL;
    END IF;
    -- The mark first: it is the lock that orders this against a run that is just writing down its "no".
    PERFORM FROM release_marks WHERE restaurant_id IN (SELECT restaurant_id FROM freed)
      ORDER BY restaurant_id FOR NO KEY UPDATE;
    UPDATE release_marks SET seq = seq + 1 WHERE restaurant_id IN (SELECT restaurant_id FROM freed);
    FOR woken IN WITH touched AS (  -- in one order, so that two who free tables at once don't wait for each other
        SELECT r.id FROM runs r
         WHERE r.ended_at IS NULL
           AND r.due_at > clock_timestamp()
           AND EXISTS (SELECT FROM freed d JOIN tables t ON t.id = d.table_id
                        WHERE d.restaurant_id = r.restaurant_id
                          AND d.booking_id <> r.booking_id
                          AND t.min_party_size <= r.party_size
                          AND (r.waits_for IS NULL OR d.period && r.waits_for))
         ORDER BY r.id FOR NO KEY UPDATE
    ), due AS (
        UPDATE runs r SET due_at = clock_timestamp() FROM touched WHERE r.id = touched.id RETURNING r.job_id
    ), moved AS (
        UPDATE procrastinate_jobs j SET scheduled_at = clock_timestamp()
          FROM due WHERE j.id = due.job_id AND j.status = 'todo'
        RETURNING j.id, j.queue_name
    )
    SELECT queue_name, json_build_object('type', 'job_inserted', 'job_id', id)::text AS payload FROM moved
    LOOP
        PERFORM pg_notify('procrastinate_any_queue_v1', woken.payload);
        PERFORM pg_notify('procrastinate_queue_v1#' || woken.queue_name, woken.payload);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER allocations_came_free AFTER DELETE ON allocations
    REFERENCING OLD TABLE AS freed FOR EACH STATEMENT EXECUTE FUNCTION tables_came_free();
"""

# What is to be told to whom, written with the change it tells of. `once` names the fact: it is never told twice.
# Guests' names and addresses stay with the booking; a message only refers to it.
_MESSAGES = """
CREATE TABLE webhook_endpoints (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    url           text NOT NULL,
    secret        text NOT NULL,
    active        boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_endpoints_restaurant ON webhook_endpoints (restaurant_id);

CREATE TABLE messages (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    restaurant_id   uuid NOT NULL,
    booking_id      uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('confirmation', 'needs_attention')),
    variant         text CHECK (variant IN ('standard', 'modified')),
    channel         text NOT NULL CHECK (channel IN ('mail', 'webhook')),
    endpoint_id     uuid REFERENCES webhook_endpoints ON DELETE CASCADE,
    confirmation_id uuid,
    reason          text,
    once            text NOT NULL UNIQUE,
    state           text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dropped', 'dead')),
    attempts        integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_until   timestamptz,
    last_error      text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at        timestamptz,
    CHECK ((channel = 'webhook') = (endpoint_id IS NOT NULL)),
    FOREIGN KEY (restaurant_id, booking_id) REFERENCES bookings (restaurant_id, id) ON DELETE CASCADE
);
CREATE INDEX messages_due ON messages (channel, due_at) WHERE state = 'waiting';
CREATE INDEX messages_dead ON messages (ended_at) WHERE state = 'dead';
CREATE INDEX messages_booking ON messages (booking_id);

-- At most one row: what the last try to reach the mail server came to, whichever process made it. While the pause
-- lasts no process tries again.
CREATE TABLE mail_server (
    single       boolean PRIMARY KEY DEFAULT true CHECK (single),
    problem      text,
    tried_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    paused_until timestamptz
);
"""


def upgrade() -> None:
    connection = op.get_bind()
    folder = resources.files("procrastinate") / "sql" / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    for name in names:
        if name[: len(_QUEUE_UP_TO)] <= _QUEUE_UP_TO:
            connection.exec_driver_sql((folder / name).read_text().replace("%", "%%"))
    for statements in (_RUNS, _SIGNAL, _MESSAGES):
        connection.exec_driver_sql(statements.replace("%", "%%"))
