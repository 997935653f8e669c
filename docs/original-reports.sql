-- The original system's reports, in the words of its dialect. They run unchanged on our table:
--   psql -v since='2025-11-06' -v until='2025-11-07' -f docs/original-reports.sql
-- Times are UTC where the session's are. A test compares each answer with that of `maitred baseline`.

-- name: per_result
-- runs by result: attempts, total time, first attempts skipped
SELECT context->>'result' AS result,
       COUNT(*) AS jobs,
       AVG((context->>'attemptsUsed')::numeric) AS attempts_mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (context->>'attemptsUsed')::numeric) AS attempts_median,
       PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY (context->>'attemptsUsed')::numeric) AS attempts_p95,
       PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY (context->>'attemptsUsed')::numeric) AS attempts_p99,
       MAX((context->>'attemptsUsed')::numeric) AS attempts_max,
       AVG((context->>'totalDurationMs')::numeric) AS total_mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (context->>'totalDurationMs')::numeric) AS total_median,
       PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY (context->>'totalDurationMs')::numeric) AS total_p95,
       PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY (context->>'totalDurationMs')::numeric) AS total_p99,
       MAX((context->>'totalDurationMs')::numeric) AS total_max,
       COUNT(*) FILTER (WHERE (context->>'skippedInitialAttempt')::boolean) AS skipped_first,
       COUNT(DISTINCT context->>'inlineSkipReason') AS skip_reasons
  FROM observability_events
 WHERE source = 'auto_assign' AND event_type = 'auto_assign.summary'
   AND created_at >= :'since' AND created_at < :'until'
 GROUP BY 1
 ORDER BY jobs DESC, 1;

-- name: quotes_by_success
-- planner times by success
SELECT context->>'planner_success' AS success,
       COUNT(*) AS quotes,
       AVG((context->>'planner_duration_ms')::numeric) AS mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::numeric) AS median,
       PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::numeric) AS p95,
       PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY (context->>'planner_duration_ms')::numeric) AS p99,
       MAX((context->>'planner_duration_ms')::numeric) AS max
  FROM observability_events
 WHERE event_type = 'auto_assign.quote' AND created_at >= :'since' AND created_at < :'until'
 GROUP BY 1
 ORDER BY 1;

-- name: attempts_against_time
-- attempts against total time
SELECT context->>'result' AS result, (context->>'attemptsUsed')::int AS attempts, COUNT(*) AS jobs,
       AVG((context->>'totalDurationMs')::numeric) AS total_mean
  FROM observability_events
 WHERE event_type = 'auto_assign.summary' AND created_at >= :'since' AND created_at < :'until'
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: events_per_hour
-- events per hour, in all and by family
SELECT date_trunc('hour', created_at AT TIME ZONE 'UTC') AS hour, split_part(event_type, '.', 1) AS family,
       COUNT(*) AS events
  FROM observability_events
 WHERE created_at >= :'since' AND created_at < :'until'
 GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: failures
-- why planner calls failed
SELECT COALESCE(context->>'planner_reason_code', 'NO_REASON') AS reason, COUNT(*) AS quotes
  FROM observability_events
 WHERE event_type = 'auto_assign.quote' AND context->>'planner_success' = 'false'
   AND created_at >= :'since' AND created_at < :'until'
 GROUP BY 1
 ORDER BY quotes DESC, 1;

-- name: inline_against_job
-- inline against job: each run with the inline quote of its booking in the 5 minutes before it
SELECT s.context->>'result' AS result,
       COUNT(*) AS jobs,
       COUNT(q.id) AS with_inline,
       COUNT(*) FILTER (WHERE (q.context->>'hasHold')::boolean) AS inline_held,
       AVG((q.context->>'durationMs')::numeric) AS inline_mean,
       PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY (q.context->>'durationMs')::numeric) AS inline_median,
       AVG((s.context->>'totalDurationMs')::numeric) FILTER (WHERE q.id IS NOT NULL) AS job_mean
  FROM observability_events s
  LEFT JOIN LATERAL (
       SELECT id, context FROM observability_events i
        WHERE i.booking_id = s.booking_id AND i.source = 'bookings.inline_auto_assign'
          AND i.event_type = 'inline_auto_assign.quote_result'
          AND i.created_at <= s.created_at AND i.created_at > s.created_at - INTERVAL '5 minutes'
        ORDER BY i.created_at DESC LIMIT 1) q ON TRUE
 WHERE s.source = 'auto_assign' AND s.event_type = 'auto_assign.summary'
   AND s.created_at >= :'since' AND s.created_at < :'until'
 GROUP BY 1
 ORDER BY jobs DESC, 1;
