"""What operators set: closures, pacing, versions."""

from alembic import op

revision = "0007"
down_revision = "0006"

# Days are service days and inclusive, instants are half-open. A table that goes stays in `table_ids`: a closure of
# tables must not turn into one of the venue.
_CLOSURES = """
CREATE TABLE closures (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    service       text,
    zone_id       bigint,
    table_ids     bigint[] NOT NULL DEFAULT '{}',
    first_day     date,
    last_day      date,
    starts_at     timestamptz,
    ends_at       timestamptz,
    note          text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (zone_id IS NULL OR table_ids = '{}'),
    CHECK (num_nulls(first_day, last_day, starts_at, ends_at) = 2),
    CHECK ((first_day IS NULL) = (last_day IS NULL)),
    CHECK (first_day <= last_day AND last_day - first_day <= 1000),
    CHECK (isfinite(starts_at) AND isfinite(ends_at)
           AND starts_at < ends_at AND ends_at - starts_at <= interval '1000 days'),
    FOREIGN KEY (restaurant_id, service) REFERENCES services (restaurant_id, key)
        ON DELETE CASCADE ON UPDATE CASCADE,
    FOREIGN KEY (restaurant_id, zone_id) REFERENCES zones (restaurant_id, id) ON DELETE CASCADE
);
CREATE INDEX closures_restaurant ON closures (restaurant_id);

CREATE TRIGGER closures_version_insert AFTER INSERT ON closures REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER closures_version_update AFTER UPDATE ON closures REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER closures_version_delete AFTER DELETE ON closures REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
"""

# What is no part of the policy or the floor has a version too, for those who change it at the same time.
_SETTINGS_VERSION = """
ALTER TABLE restaurants ADD COLUMN settings_version bigint NOT NULL DEFAULT 1;
CREATE FUNCTION bump_settings_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.settings_version := OLD.settings_version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER restaurants_settings_version BEFORE UPDATE ON restaurants
    FOR EACH ROW WHEN (
        (OLD.slug, OLD.name, OLD.timezone, OLD.contact_email, OLD.inline_timeout_ms, OLD.keep_tables_until_moved)
        IS DISTINCT FROM
        (NEW.slug, NEW.name, NEW.timezone, NEW.contact_email, NEW.inline_timeout_ms, NEW.keep_tables_until_moved))
    EXECUTE FUNCTION bump_settings_version();
"""

# The service going on at an instant and the day it began on, by the rules of `VenuePolicy`: the first service in the
# venue's order counts, today's before yesterday's; an opening time that comes twice means its first occurrence, a
# closing time its last, and a time in a gap means that much after the gap began. Outside every service: the first one,
# on the local date.
_SERVICE_DAYS = """
CREATE FUNCTION first_instant(clock timestamp, zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN early.instant < usual.instant AND early.instant AT TIME ZONE zone = clock
                THEN early.instant ELSE usual.instant END
      FROM (SELECT clock AT TIME ZONE zone AS instant) usual
     CROSS JOIN LATERAL (SELECT usual.instant - interval '24 hours' AS before) day
     CROSS JOIN LATERAL (SELECT (clock - ((day.before AT TIME ZONE zone) - (day.before AT TIME ZONE 'UTC')))
                                AT TIME ZONE 'UTC' AS instant) early
$$;

CREATE FUNCTION service_days(venue uuid, instants timestamptz[])
RETURNS TABLE (at timestamptz, service text, day date) LANGUAGE sql STABLE AS $$
    WITH asked AS MATERIALIZED (
        SELECT i.at, r.timezone, (i.at AT TIME ZONE r.timezone)::date AS today
          FROM restaurants r CROSS JOIN (SELECT DISTINCT unnest(instants) AS at) i WHERE r.id = venue
    ), days AS (
        SELECT DISTINCT timezone, today - back AS day FROM asked CROSS JOIN generate_series(0, 1) AS back
    ), periods AS MATERIALIZED (
        SELECT s.key, s.position, d.day, first_instant(d.day + s.starts, d.timezone) AS opens,
               (d.day + s.ends + CASE WHEN s.ends > s.starts THEN interval '0' ELSE interval '1 day' END)
                   AT TIME ZONE d.timezone AS closes
          FROM days d CROSS JOIN services s WHERE s.restaurant_id = venue
    )
    SELECT a.at, coalesce(found.key, first.key), coalesce(found.day, a.today)
      FROM asked a
      LEFT JOIN (SELECT s.key FROM services s WHERE s.restaurant_id = venue ORDER BY s.position LIMIT 1) first ON true
      LEFT JOIN LATERAL (
          SELECT p.key, p.day FROM periods p
           WHERE p.day IN (a.today, a.today - 1) AND p.opens <= a.at AND a.at < p.closes
           ORDER BY p.position, p.day DESC LIMIT 1) found ON true
$$;
"""

# Covers and parties per slot of so many minutes (null: per service day), of one service or of the whole venue. A slot
# is counted from local midnight in real minutes, so an hour that comes twice has its slots twice.
#
# Counted from the bookings themselves, so nothing can drift. What is written is only a turnstile for each slot, which
# whoever adds to the slot passes before counting; places are used again, so there is a bounded number of them.
_PACING = """
CREATE TABLE pacing_limits (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    service       text,
    slot_minutes  integer CHECK (slot_minutes IN (5, 10, 15, 20, 30, 60)),
    most_covers   integer CHECK (most_covers >= 0),
    most_parties  integer CHECK (most_parties >= 0),
    CHECK (num_nonnulls(most_covers, most_parties) > 0),
    UNIQUE NULLS NOT DISTINCT (restaurant_id, service, slot_minutes),
    FOREIGN KEY (restaurant_id, service) REFERENCES services (restaurant_id, key)
        ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TRIGGER pacing_limits_version_insert AFTER INSERT ON pacing_limits REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER pacing_limits_version_update AFTER UPDATE ON pacing_limits REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER pacing_limits_version_delete AFTER DELETE ON pacing_limits REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();

CREATE TABLE pacing_turnstiles (
    restaurant_id uuid NOT NULL,
    limit_id      bigint NOT NULL REFERENCES pacing_limits ON DELETE CASCADE,
    place         integer NOT NULL,
    passed        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (limit_id, place)
) WITH (fillfactor = 50);

-- The slots (or, for a limit per service day, the day) that these starts fall into, one for each limit that applies.
-- `opens` and `closes` bound where the bookings of the slot can be.
CREATE FUNCTION pacing_slots(venue uuid, starts timestamptz[])
RETURNS TABLE (limit_id bigint, service text, slot_minutes integer, most_covers integer, most_parties integer,
               day date, opens timestamptz, closes timestamptz) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pacing_limits l WHERE l.restaurant_id = venue) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT a.at, a.service, a.day, date_trunc('day', a.at, r.timezone) AS midnight,
               a.day::timestamp AT TIME ZONE r.timezone AS begins,
               (a.day + 2)::timestamp AT TIME ZONE r.timezone AS ends
          FROM restaurants r, service_days(venue, starts) a WHERE r.id = venue
    )
    SELECT DISTINCT l.id, l.service, l.slot_minutes, l.most_covers, l.most_parties,
           CASE WHEN l.slot_minutes IS NULL OR l.service IS NOT NULL THEN a.day END,
           CASE WHEN l.slot_minutes IS NULL THEN a.begins - interval '3 hours' ELSE s.opens END,
           CASE WHEN l.slot_minutes IS NULL THEN a.ends + interval '3 hours'
                ELSE s.opens + make_interval(mins => l.slot_minutes) END
      FROM pacing_limits l
      JOIN asked a ON l.service IS NULL OR l.service = a.service
     CROSS JOIN LATERAL (
           SELECT date_bin(make_interval(mins => coalesce(l.slot_minutes, 60)), a.at, a.midnight) AS opens) s
     WHERE l.restaurant_id = venue;
END $$;

-- What a slot has now, without the one booking that may be named.
CREATE FUNCTION pacing_load(venue uuid, of_service text, of_day date, opens timestamptz, closes timestamptz,
                            without uuid DEFAULT NULL, OUT covers bigint, OUT parties bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF of_day IS NULL THEN
        SELECT coalesce(sum(b.party_size), 0), count(*) INTO covers, parties
          FROM bookings b
         WHERE b.restaurant_id = venue AND b.starts_at >= opens AND b.starts_at < closes
           AND b.status NOT IN ('cancelled', 'no_show') AND b.id IS DISTINCT FROM without;
    ELSE
        WITH near AS MATERIALIZED (
            SELECT b.starts_at, sum(b.party_size) AS covers, count(*) AS parties
              FROM bookings b
             WHERE b.restaurant_id = venue AND b.starts_at >= opens AND b.starts_at < closes
               AND b.status NOT IN ('cancelled', 'no_show') AND b.id IS DISTINCT FROM without
             GROUP BY b.starts_at)
        SELECT coalesce(sum(n.covers), 0), coalesce(sum(n.parties), 0) INTO covers, parties
          FROM near n
          JOIN service_days(venue, ARRAY(SELECT starts_at FROM near)) d ON d.at = n.starts_at
         WHERE d.day = of_day AND (of_service IS NULL OR d.service = of_service);
    END IF;
END $$;

-- Raises MD007, with the limit as JSON in the detail, when a slot that these starts were just added to holds too much.
-- `was` is where a booking that was moved stood before (null: nowhere): it doesn't add to the slot that it was in.
CREATE FUNCTION keep_pace(venue uuid, starts timestamptz[], was timestamptz DEFAULT NULL, grew boolean DEFAULT true)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    slot record;
    load record;
BEGIN
    IF NOT EXISTS (SELECT FROM pacing_limits l WHERE l.restaurant_id = venue) THEN
        RETURN;
    END IF;
    -- all turnstiles before any counting, in one order
    FOR slot IN
        SELECT DISTINCT s.limit_id,
               (CASE WHEN s.slot_minutes IS NULL THEN s.day - date '1970-01-01'
                     ELSE (extract(epoch FROM s.opens) / 300)::bigint END % 4096)::integer AS place
          FROM pacing_slots(venue, starts) s ORDER BY 1, 2
    LOOP
        INSERT INTO pacing_turnstiles AS t (restaurant_id, limit_id, place)
        VALUES (venue, slot.limit_id, slot.place)
        ON CONFLICT (limit_id, place) DO UPDATE SET passed = t.passed + 1;
    END LOOP;
    FOR slot IN
        SELECT s.*, w.limit_id IS NULL AS came
          FROM pacing_slots(venue, starts) s
          LEFT JOIN pacing_slots(venue, CASE WHEN was IS NOT NULL THEN ARRAY[was] ELSE '{}' END) w
            ON (w.limit_id, w.opens) = (s.limit_id, s.opens) AND w.day IS NOT DISTINCT FROM s.day
         ORDER BY s.limit_id, s.opens
    LOOP
        CONTINUE WHEN NOT slot.came AND NOT grew;
        SELECT * INTO load FROM pacing_load(venue, slot.service, slot.day, slot.opens, slot.closes);
        IF load.covers > slot.most_covers OR (slot.came AND load.parties > slot.most_parties) THEN
            RAISE EXCEPTION 'more than the pacing limit allows' USING ERRCODE = 'MD007', DETAIL = json_build_object(
                'of', CASE WHEN load.covers > slot.most_covers THEN 'covers' ELSE 'parties' END,
                'limit', CASE WHEN load.covers > slot.most_covers THEN slot.most_covers ELSE slot.most_parties END,
                'service', slot.service,
                'slot_minutes', slot.slot_minutes,
                'slot', CASE WHEN slot.slot_minutes IS NOT NULL
                             THEN to_char(slot.opens AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"') END,
                'day', CASE WHEN slot.slot_minutes IS NULL THEN slot.day END)::text;
        END IF;
    END LOOP;
END $$;

-- What would stand against a party starting then, as in the detail above; no row: nothing. Looks, and locks nothing.
CREATE FUNCTION pacing_refusals(venue uuid, starts timestamptz[], party integer, without uuid DEFAULT NULL)
RETURNS TABLE (at timestamptz) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pacing_limits l WHERE l.restaurant_id = venue) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT i.start, s.* FROM (SELECT DISTINCT unnest(starts) AS start) i
         CROSS JOIN LATERAL pacing_slots(venue, ARRAY[i.start]) s
    ), full_slots AS MATERIALIZED (
        SELECT s.limit_id, s.opens, s.day
          FROM (SELECT DISTINCT a.limit_id, a.service, a.day, a.opens, a.closes, a.most_covers, a.most_parties
                  FROM asked a) s
         CROSS JOIN LATERAL pacing_load(venue, s.service, s.day, s.opens, s.closes, without) load
         WHERE load.covers + party > s.most_covers OR load.parties + 1 > s.most_parties
    )
    SELECT DISTINCT a.start FROM asked a
      JOIN full_slots f ON (f.limit_id, f.opens) = (a.limit_id, a.opens) AND f.day IS NOT DISTINCT FROM a.day;
END $$;

CREATE FUNCTION keep_pace_of_new_bookings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_pace(a.restaurant_id, array_agg(DISTINCT a.starts_at))
       FROM added a
      WHERE a.status NOT IN ('cancelled', 'no_show')
        AND EXISTS (SELECT FROM pacing_limits l WHERE l.restaurant_id = a.restaurant_id)
      GROUP BY a.restaurant_id ORDER BY a.restaurant_id;
    RETURN NULL;
END $$;

CREATE FUNCTION keep_pace_of_changed_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keep_pace(
        NEW.restaurant_id, ARRAY[NEW.starts_at],
        CASE WHEN OLD.status NOT IN ('cancelled', 'no_show') AND OLD.restaurant_id = NEW.restaurant_id
             THEN OLD.starts_at END,
        NEW.party_size > OLD.party_size);
    RETURN NULL;
END $$;

-- The names make them fire before the triggers that free tables, while only bookings are locked.
CREATE TRIGGER bookings_a_pace_insert AFTER INSERT ON bookings REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_pace_of_new_bookings();
CREATE TRIGGER bookings_a_pace_update AFTER UPDATE OF starts_at, party_size, status, restaurant_id ON bookings
    FOR EACH ROW WHEN (
        NEW.status NOT IN ('cancelled', 'no_show')
        AND (OLD.status IN ('cancelled', 'no_show') OR NEW.starts_at <> OLD.starts_at
             OR NEW.party_size > OLD.party_size OR NEW.restaurant_id <> OLD.restaurant_id))
    EXECUTE FUNCTION keep_pace_of_changed_booking();
"""


def upgrade() -> None:
    connection = op.get_bind()
    for statements in (_CLOSURES, _SETTINGS_VERSION, _SERVICE_DAYS, _PACING):
        connection.exec_driver_sql(statements.replace("%", "%%"))
