"""A table of events as months of work leave it, made by PostgreSQL itself: runs, their bookings, their events."""

from __future__ import annotations

import psycopg

from maitred.observability.completeness import summary_id

PRODUCERS = 10

_BOOKINGS = """
WITH venue AS (
    INSERT INTO restaurants (slug, name, timezone) VALUES ('busy', 'Busy', 'UTC') RETURNING id
)
INSERT INTO bookings (restaurant_id, reference, party_size, starts_at, status)
SELECT venue.id, 'B' || n, 2 + n %% 6, now() + interval '1 day', 'completed'
  FROM venue, generate_series(1, %(runs)s) AS n
"""

_RUNS = """
INSERT INTO runs (id, restaurant_id, booking_id, trigger, policy, max_attempts, expected_attempt, party_size, due_at,
                  created_at, started_at, ended_at, result)
SELECT gen_random_uuid(), b.restaurant_id, b.id, 'creation', 2, 4, b.attempts - 1, b.party_size, b.began,
       b.began, b.began, b.began + interval '30 s', CASE WHEN b.n %% 5 = 0 THEN 'exhausted' ELSE 'succeeded' END
  FROM (SELECT *, now() - %(days)s * interval '1 day' * (1 - n::float8 / (%(runs)s + 1)) - interval '1 minute' AS began,
               1 + (n * 7 %% 3)::int AS attempts
          FROM (SELECT *, row_number() OVER () AS n FROM bookings) AS numbered) AS b
"""

_QUOTES = """
INSERT INTO observability_events (id, created_at, source, event_type, context, restaurant_id, booking_id, producer, seq)
SELECT gen_random_uuid(), at, 'auto_assign', 'auto_assign.quote', jsonb_build_object(
           'planner_duration_ms', round((3 + 20 * random() ^ 6)::numeric, 3), 'planner_success', good,
           'planner_reason', CASE WHEN good THEN NULL
               ELSE 'No capacity: tables that fit this party exist, and all are taken at this time.' END,
           'planner_reason_code', CASE WHEN good THEN NULL ELSE 'hard.no_capacity' END,
           'planner_reason_category', CASE WHEN good THEN NULL ELSE 'hard' END,
           'planner_strategy', jsonb_build_object('requireAdjacency', NULL, 'maxTables', NULL),
           'planner_internal', jsonb_build_object('plan_ms', 0.05, 'read_ms', 2.2, 'hold_ms', 1.9, 'candidates', 12,
               'sets_in_catalogue', 140, 'exact', true, 'relaxed', '[]'::jsonb, 'replans', 0, 'alternates', 2,
               'round_trips', 2),
           'planner_error', NULL, 'trigger', 'creation', 'attempt_index', attempt, 'attemptId', NULL,
           'cache_hit', false, 'release', '0.1.0', 'planner_record', NULL),
       restaurant_id, booking_id, ('00000000-0000-4000-8000-00000000000' || turn %% 10)::uuid, turn / 10 + 1
  FROM (SELECT r.*, attempt, r.created_at + attempt * interval '5 s' AS at,
               attempt = r.expected_attempt AND r.result = 'succeeded' AS good,
               row_number() OVER (ORDER BY r.created_at, attempt) - 1 AS turn
          FROM runs r, generate_series(0, r.expected_attempt) AS attempt) AS q
"""

_ATTEMPTS = """
INSERT INTO observability_events (id, created_at, source, event_type, context, restaurant_id, booking_id, producer, seq)
SELECT gen_random_uuid(), at, 'auto_assign', 'auto_assign.attempt', jsonb_build_object(
           'attempt_index', attempt, 'success', false,
           'reason', 'No capacity: tables that fit this party exist, and all are taken at this time.',
           'reasonCode', 'hard.no_capacity', 'alternates', 0, 'trigger', 'creation', 'cache_hit', false),
       restaurant_id, booking_id, ('00000000-0000-4000-8000-00000000001' || turn %% 10)::uuid, turn / 10 + 1
  FROM (SELECT r.*, attempt, r.created_at + attempt * interval '5 s' AS at,
               row_number() OVER (ORDER BY r.created_at, attempt) - 1 AS turn
          FROM runs r, generate_series(0, r.expected_attempt) AS attempt
         WHERE r.result = 'exhausted' OR attempt < r.expected_attempt) AS q
"""

_CHANGES = """
INSERT INTO observability_events (id, created_at, source, event_type, severity, context, restaurant_id, booking_id)
SELECT gen_random_uuid(), r.created_at, 'auto_assign', 'auto_assign.started', 'info',
       jsonb_build_object('status', 'pending', 'trigger', 'creation'), r.restaurant_id, r.booking_id FROM runs r
UNION ALL
SELECT gen_random_uuid(), r.ended_at, 'auto_assign',
       CASE r.result WHEN 'succeeded' THEN 'auto_assign.succeeded' ELSE 'auto_assign.failed' END,
       CASE r.result WHEN 'succeeded' THEN 'info' ELSE 'warning' END,
       CASE r.result WHEN 'succeeded'
           THEN jsonb_build_object('attempt_index', r.expected_attempt, 'durationMs', 30000, 'trigger', 'creation')
           ELSE jsonb_build_object('attempts', r.expected_attempt + 1, 'trigger', 'creation', 'hardStopReason', NULL)
       END,
       r.restaurant_id, r.booking_id FROM runs r
"""

_SUMMARIES = """
INSERT INTO observability_events (id, created_at, source, event_type, context, restaurant_id, booking_id)
SELECT told.id, r.ended_at, 'auto_assign', 'auto_assign.summary', jsonb_build_object(
           'attemptsUsed', r.expected_attempt + 1, 'maxAttempts', 4, 'result', r.result,
           'totalDurationMs', 30000 + 1000 * random(), 'trigger', 'creation', 'skippedInitialAttempt', false,
           'inlineSkipReason', NULL, 'hardStopReason', NULL, 'inline_attempt_id', NULL, 'inline_reason', NULL,
           'inline_trigger', NULL), r.restaurant_id, r.booking_id
  FROM runs r JOIN told ON told.run_id = r.id
"""

_PRODUCERS = """
INSERT INTO event_producers (producer, kind, started_at, last_seen, last_seq, accepted, closed_at)
SELECT producer, 'worker', min(created_at), max(created_at), max(seq), max(seq), max(created_at)
  FROM observability_events WHERE producer IS NOT NULL GROUP BY producer
"""


def fill(url: str, events: int, days: int = 60) -> int:
    """Fills an empty database of our schema with about so many events, all of them accounted for; returns how many."""
    runs = round(events / 6.2)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_BOOKINGS, {"runs": runs})
        connection.execute(_RUNS, {"runs": runs, "days": days})
        for statement in (_QUOTES, _ATTEMPTS, _CHANGES):
            connection.execute(statement.replace("%%", "%"))
        with connection.transaction():
            connection.execute("CREATE TEMPORARY TABLE told (run_id uuid, id uuid)")
            ids = connection.execute("SELECT id FROM runs").fetchall()
            with connection.cursor().copy("COPY told FROM STDIN") as copy:
                for (run_id,) in ids:
                    copy.write_row((run_id, summary_id(run_id)))
            connection.execute(_SUMMARIES)
            connection.execute("DROP TABLE told")
        connection.execute(_PRODUCERS)
        connection.execute("VACUUM ANALYZE")  # as the server's own would have done by then
        found = connection.execute("SELECT count(*) FROM observability_events").fetchone()
    return 0 if found is None else int(found[0])
