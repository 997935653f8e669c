"""The write path of bookings as functions of the database (migration 0005).

One short statement calls one of them, so a booking costs two round trips, and the server plans each query once for a
connection and not once for a call. That holds behind a pooler in transaction mode too, where nothing can be prepared.

What a scoped caller calls runs with the owner's rights and looks by itself whether the venue is the caller's
(`sees`), once at its beginning. Row-level security would ask at each row, and before it asks, no index on a period
may be used: its operators are not leakproof, and every look would read all that a venue ever had.
"""

GATE = """
-- Whether the venue is one of the caller's; an unscoped caller sees all.
CREATE FUNCTION sees(venue uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN current_setting('role') <> 'maitred_http'
        OR coalesce(current_setting('maitred.every_venue', true), '') = 'on'
        OR venue = ANY (coalesce(nullif(current_setting('maitred.venues', true), ''), '{}')::uuid[]);
END $$;

-- Takes on a scope for the rest of its transaction, for a statement that has no room for another one before it: what
-- depends on the answer comes after. No role: no scope.
CREATE FUNCTION take_on(scope_role text, venues text, every text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF scope_role IS NOT NULL THEN
        PERFORM set_config('maitred.venues', venues, true), set_config('maitred.every_venue', every, true),
                set_config('role', scope_role, true);
    END IF;
    RETURN true;
END $$;
"""

# `token_hash` is the SHA-256 of the token that the guest was given; the token itself is nowhere.
COLUMNS = """
ALTER TABLE bookings
    ADD COLUMN token_hash bytea CHECK (octet_length(token_hash) = 32),
    ADD COLUMN source     text NOT NULL DEFAULT 'staff' CHECK (source <> '' AND length(source) <= 60);
CREATE UNIQUE INDEX bookings_token ON bookings (token_hash) WHERE token_hash IS NOT NULL;
"""

# What stands around a start: the tables that are taken, the parties that wait for tables, the covers where they sit.
# Windows reach at most 12 hours past a start (turn 600 min, buffers 120) and bookings that look-ahead asks for start at
# most 240 min later; an allocation is at most 24 hours long. So this reads everything that could matter, by an index.
_TAKEN = """
           (SELECT coalesce(jsonb_agg(jsonb_build_array(
                       a.table_id, micros(lower(a.period)), micros(upper(a.period)))), '[]')
              FROM allocations a LEFT JOIN holds h ON h.id = a.hold_id
             WHERE a.restaurant_id = <venue>
               AND a.booking_id <> <id>
               AND lower(a.period) >= <start> - interval '27 hours'
               AND lower(a.period) < <start> + interval '16 hours'
               AND upper(a.period) > <start> - interval '3 hours'
               AND (a.hold_id IS NULL OR h.expires_at > clock_timestamp()))
"""
_WAITING = """
           (SELECT coalesce(jsonb_agg(jsonb_build_array(w.party_size, micros(w.starts_at))
                                      ORDER BY w.starts_at, w.id), '[]')
              FROM bookings w
             WHERE w.restaurant_id = <venue>
               AND w.id <> <id>
               AND w.status = 'pending'
               AND w.starts_at > <start>
               AND w.starts_at <= <start> + interval '240 minutes'
               AND NOT EXISTS (SELECT FROM allocations x WHERE x.booking_id = w.id))
"""
_SEATED = """
                   (SELECT jsonb_agg(jsonb_build_array(
                               s.party_size, micros(s.starts_at), s.starts, s.ends, s.table_ids))
                      FROM (SELECT o.party_size, o.starts_at, micros(min(lower(a.period))) AS starts,
                                   micros(max(upper(a.period))) AS ends, jsonb_agg(a.table_id) AS table_ids
                              FROM allocations a JOIN bookings o ON o.id = a.booking_id
                              LEFT JOIN holds h ON h.id = a.hold_id
                             WHERE a.restaurant_id = <venue>
                               AND a.booking_id <> <id>
                               AND lower(a.period) >= <start> - interval '27 hours'
                               AND lower(a.period) < <start> + interval '16 hours'
                               AND upper(a.period) > <start> - interval '3 hours'
                               AND (a.hold_id IS NULL OR h.expires_at > clock_timestamp())
                             GROUP BY o.id) s)
"""


def _around(function: str, *, venue: str, booking: str, start: str) -> str:
    """The function with these three in the places of <taken>, <waiting> and <seated>."""
    for place, query in (("<taken>", _TAKEN), ("<waiting>", _WAITING), ("<seated>", _SEATED)):
        function = function.replace(place, query.strip())
    return function.replace("<venue>", venue).replace("<id>", booking).replace("<start>", start)


# What one quote needs to know, at one moment.
SNAPSHOT = _around(
    """
CREATE FUNCTION micros(instant timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (extract(epoch FROM instant) * 1000000)::bigint;

CREATE FUNCTION look_at_booking(wanted uuid)
    RETURNS TABLE (booking_id uuid, restaurant_id uuid, reference text, party_size integer, starts_at timestamptz,
                   status text, inline_timeout_ms integer, policy_version bigint, floor_version bigint,
                   release_seq bigint, old_seats jsonb, taken jsonb, waiting jsonb, asks jsonb)
    LANGUAGE plpgsql VOLATILE  -- its one query sees what the calling statement has written just before
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    venue uuid := (SELECT b.restaurant_id FROM bookings b WHERE b.id = wanted);
BEGIN
    IF venue IS NULL OR NOT sees(venue) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT b.id, b.restaurant_id, b.reference, b.party_size, b.starts_at, b.status, r.inline_timeout_ms,
           r.policy_version, r.floor_version,
           (SELECT m.seq FROM release_marks m WHERE m.restaurant_id = r.id) + r.policy_version + r.floor_version,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(
                       o.table_id, micros(lower(o.period)), micros(upper(o.period)))), '[]')
              FROM allocations o WHERE o.booking_id = b.id AND o.hold_id IS NULL),
           <taken>,
           <waiting>,
           CASE WHEN b.vip OR b.preferences <> '{}' OR r.weighs_covers THEN jsonb_build_object(
               'vip', b.vip,
               'preferences', b.preferences,
               'seated', CASE WHEN r.weighs_covers THEN <seated> END) END
      FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
     WHERE b.id = wanted;
END $$;
""",
    venue="b.restaurant_id",
    booking="b.id",
    start="b.starts_at",
)

# The same for a booking that is not there yet: asked together with whether the request may come in.
LOOK_AHEAD = _around(
    """
CREATE FUNCTION look_at_start(venue uuid, start timestamptz)
    RETURNS TABLE (inline_timeout_ms integer, policy_version bigint, floor_version bigint, release_seq bigint,
                   paced boolean, taken jsonb, waiting jsonb, asks jsonb)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    IF venue IS NULL OR NOT sees(venue) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT r.inline_timeout_ms, r.policy_version, r.floor_version,
           (SELECT m.seq FROM release_marks m WHERE m.restaurant_id = r.id) + r.policy_version + r.floor_version,
           EXISTS (SELECT FROM pacing_limits l WHERE l.restaurant_id = r.id),
           <taken>,
           <waiting>,
           CASE WHEN r.weighs_covers THEN jsonb_build_object('seated', <seated>) END
      FROM restaurants r WHERE r.id = look_at_start.venue;
END $$;
""",
    venue="r.id",
    booking="'00000000-0000-0000-0000-000000000000'",
    start="look_at_start.start",
)

# What decides about all starts of a day, and the version it has: by it an answer that was worked out before is known to
# hold still. `known` is that version. The version is read first, so that what is newer than it is only ever the rest.
# It has every change of bookings, holds and seats from the day before to the day after, as their windows touch, every
# change of the venue's rules, and the first hold to run out, since nobody writes when that happens.
DAY = """
CREATE FUNCTION look_at_day(venue uuid, day date, known text)
    RETURNS TABLE (version text, policy_version bigint, floor_version bigint, release_seq bigint, timezone text,
                   taken jsonb, waiting jsonb, seated jsonb)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    changes   bigint;
    zone      text := (SELECT r.timezone FROM restaurants r WHERE r.id = venue);
    opens     timestamptz;
    closes    timestamptz;
    next_end  timestamptz;
    now_known text;
BEGIN
    IF zone IS NULL OR NOT sees(venue) THEN
        RETURN;
    END IF;
    opens := day::timestamp AT TIME ZONE zone;
    closes := (day + 2)::timestamp AT TIME ZONE zone;
    changes := day_version(venue, day - 1) + day_version(venue, day);
    SELECT min(h.expires_at) INTO next_end
      FROM holds h WHERE h.restaurant_id = venue AND h.expires_at > clock_timestamp();
    now_known := concat_ws('.', changes, coalesce(micros(next_end), 0));
    IF now_known = known THEN
        RETURN QUERY SELECT now_known, NULL::bigint, NULL::bigint, NULL::bigint, zone, NULL::jsonb, NULL::jsonb,
                            NULL::jsonb;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT now_known, r.policy_version, r.floor_version,
           (SELECT m.seq FROM release_marks m WHERE m.restaurant_id = r.id) + r.policy_version + r.floor_version, zone,
           (SELECT coalesce(jsonb_agg(jsonb_build_array(
                       a.table_id, micros(lower(a.period)), micros(upper(a.period)))), '[]')
              FROM allocations a LEFT JOIN holds h ON h.id = a.hold_id
             WHERE a.restaurant_id = venue
               AND lower(a.period) >= opens - interval '27 hours'
               AND lower(a.period) < closes + interval '16 hours'
               AND upper(a.period) > opens - interval '3 hours'
               AND (a.hold_id IS NULL OR h.expires_at > clock_timestamp())),
           (SELECT coalesce(jsonb_agg(jsonb_build_array(w.party_size, micros(w.starts_at))
                                      ORDER BY w.starts_at, w.id), '[]')
              FROM bookings w
             WHERE w.restaurant_id = venue
               AND w.status = 'pending'
               AND w.starts_at > opens
               AND w.starts_at <= closes + interval '240 minutes'
               AND NOT EXISTS (SELECT FROM allocations x WHERE x.booking_id = w.id)),
           CASE WHEN r.weighs_covers THEN
               (SELECT jsonb_agg(jsonb_build_array(s.party_size, micros(s.starts_at), s.starts, s.ends, s.table_ids))
                  FROM (SELECT o.party_size, o.starts_at, micros(min(lower(a.period))) AS starts,
                               micros(max(upper(a.period))) AS ends, jsonb_agg(a.table_id) AS table_ids
                          FROM allocations a JOIN bookings o ON o.id = a.booking_id
                          LEFT JOIN holds h ON h.id = a.hold_id
                         WHERE a.restaurant_id = venue
                           AND lower(a.period) >= opens - interval '27 hours'
                           AND lower(a.period) < closes + interval '16 hours'
                           AND upper(a.period) > opens - interval '3 hours'
                           AND (a.hold_id IS NULL OR h.expires_at > clock_timestamp())
                         GROUP BY o.id) s) END
      FROM restaurants r WHERE r.id = venue;
END $$;
"""

# Made twice under one id it is there once, with the later token: whoever asks again has not seen the first one.
# What only a crash of the server could take back may wait for the next flush: nobody is told of the booking before the
# attempt that follows has been written, and that comes later in the log.
CREATE = """
CREATE FUNCTION create_booking(new_id uuid, venue uuid, new_reference text, covers integer, start timestamptz,
                               new_token_hash bytea, made_by text, name text, email text, phone text, remarks text,
                               flushed_later boolean, wishes jsonb DEFAULT '{}', for_vip boolean DEFAULT false)
    RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT sees(venue) OR NOT EXISTS (SELECT FROM restaurants WHERE id = venue) THEN
        RETURN NULL;
    END IF;
    IF flushed_later THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    INSERT INTO bookings AS b (id, restaurant_id, reference, party_size, starts_at, token_hash, source,
                               guest_name, guest_email, guest_phone, notes, preferences, vip)
    VALUES (new_id, venue, new_reference, covers, start, new_token_hash, made_by, name, email, phone, remarks, wishes,
            for_vip)
    ON CONFLICT (id) DO UPDATE SET token_hash = excluded.token_hash WHERE b.restaurant_id = excluded.restaurant_id;
    RETURN new_id;
END $$;
"""

# Seating a booking in one transaction: what a hold and its confirmation do, without the hold between them that nobody
# could see. Locks in everybody's order: the venue's day, the booking, holds, allocations, the venue's release mark.
SEAT = """
-- Everybody who takes tables of a venue's day comes through here first.
CREATE FUNCTION lock_day(venue uuid, day integer, wait_ms integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', wait_ms::text, true);
    PERFORM pg_advisory_xact_lock(hashtext(venue::text), day);
END $$;

-- Whether nobody else has these tables at that time. Expired holds in the way give way at once, and so does whatever
-- the booking itself had.
CREATE FUNCTION clear_way(seated uuid, wanted bigint[], wanted_for tstzrange) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    others   boolean;
    in_way   uuid[];
BEGIN
    SELECT coalesce(bool_or(a.hold_id IS NULL OR h.expires_at > clock_timestamp()), false),
           array_agg(a.hold_id) FILTER (WHERE a.hold_id IS NOT NULL)
      INTO others, in_way
      FROM unnest(wanted) AS t (id)
      JOIN allocations a ON int8range(a.table_id, a.table_id, '[]') && int8range(t.id, t.id, '[]')
                        AND a.period && wanted_for
      LEFT JOIN holds h ON h.id = a.hold_id
     WHERE a.booking_id <> seated;
    IF others THEN
        RETURN false;
    END IF;
    IF in_way IS NOT NULL OR EXISTS (SELECT FROM holds WHERE booking_id = seated) THEN
        DELETE FROM holds
         WHERE booking_id = seated OR (id = ANY (in_way) AND expires_at <= clock_timestamp());
    END IF;
    IF EXISTS (SELECT FROM allocations WHERE booking_id = seated) THEN
        DELETE FROM allocations WHERE booking_id = seated;
    END IF;
    RETURN true;
END $$;

-- `outcome` is confirmed; repeated: this key has confirmed it before; taken: somebody else has one of the tables;
-- changed: the booking or the venue's rules are not what was planned for; gone: there is no such booking.
CREATE FUNCTION seat_booking(seated uuid, venue uuid, day integer, wait_ms integer,
                             planned_covers integer, planned_start timestamptz,
                             planned_policy bigint, planned_floor bigint,
                             wanted bigint[], wanted_from timestamptz, wanted_to timestamptz,
                             new_id uuid, new_hold uuid, key text, why text,
                             result jsonb, mail_variant text, suppressed boolean)
    RETURNS TABLE (outcome text, at timestamptz) LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    found_booking record;
    earlier       timestamptz;
    wanted_for    tstzrange := tstzrange(wanted_from, wanted_to);
    now_confirmed timestamptz;
BEGIN
    IF NOT sees(venue) THEN
        RETURN QUERY SELECT 'gone', NULL::timestamptz;
        RETURN;
    END IF;
    PERFORM lock_day(venue, day, wait_ms);
    SELECT b.status, b.party_size, b.starts_at, r.policy_version, r.floor_version
      INTO found_booking
      FROM bookings b JOIN restaurants r ON r.id = b.restaurant_id
     WHERE b.id = seated AND b.restaurant_id = venue
       FOR NO KEY UPDATE OF b;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'gone', NULL::timestamptz;
        RETURN;
    END IF;
    IF found_booking.status <> 'pending' THEN
        SELECT c.confirmed_at INTO earlier FROM confirmations c WHERE c.booking_id = seated AND c.idempotency_key = key;
        IF earlier IS NOT NULL AND found_booking.status = 'confirmed' THEN
            RETURN QUERY SELECT 'repeated', earlier;
        ELSE
            RETURN QUERY SELECT 'changed', NULL::timestamptz;
        END IF;
        RETURN;
    END IF;
    IF (found_booking.party_size, found_booking.starts_at, found_booking.policy_version, found_booking.floor_version)
       <> (planned_covers, planned_start, planned_policy, planned_floor) THEN
        RETURN QUERY SELECT 'changed', NULL::timestamptz;
        RETURN;
    END IF;
    IF NOT clear_way(seated, wanted, wanted_for) THEN
        RETURN QUERY SELECT 'taken', NULL::timestamptz;
        RETURN;
    END IF;
    INSERT INTO allocations (restaurant_id, table_id, booking_id, period)
    SELECT venue, t.id, seated, wanted_for FROM unnest(wanted) AS t (id) ORDER BY t.id;
    INSERT INTO confirmations (id, booking_id, idempotency_key, hold_id, table_ids, period)
    VALUES (new_id, seated, key, new_hold, wanted, wanted_for)
    RETURNING confirmed_at INTO now_confirmed;
    UPDATE bookings SET status = 'confirmed', confirmed_at = now_confirmed, auto_assign_last_result = result
     WHERE id = seated;
    INSERT INTO booking_history (booking_id, from_status, to_status, cause, table_ids)
    VALUES (seated, 'pending', 'confirmed', why, wanted);
    PERFORM tell_of_confirmation(new_id, mail_variant, suppressed);
    RETURN QUERY SELECT 'confirmed', now_confirmed;
END $$;

-- Writes the messages that tell of a confirmation, once: to the guest's address if there is one, and to each of the
-- venue's active endpoints.
CREATE FUNCTION tell_of_confirmation(confirmed uuid, mail_variant text, suppressed boolean) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO messages (restaurant_id, booking_id, kind, variant, channel, endpoint_id, confirmation_id, once, state,
                          last_error, ended_at)
    SELECT b.restaurant_id, b.id, 'confirmation', mail_variant, w.channel, w.endpoint_id, c.id,
           concat_ws(':', 'confirmation', c.id, w.channel, w.endpoint_id),
           CASE WHEN suppressed THEN 'dropped' ELSE 'waiting' END,
           CASE WHEN suppressed THEN 'suppressed' END,
           CASE WHEN suppressed THEN clock_timestamp() END
      FROM confirmations c
      JOIN bookings b ON b.id = c.booking_id
     CROSS JOIN LATERAL (
           SELECT 'mail' AS channel, NULL::uuid AS endpoint_id WHERE btrim(b.guest_email) <> ''
           UNION ALL
           SELECT 'webhook', e.id FROM webhook_endpoints e WHERE e.restaurant_id = b.restaurant_id AND e.active
           ) w
     WHERE c.id = confirmed
    ON CONFLICT (once) DO NOTHING;
END $$;
"""

# Creating and seating in one, for whoever knows that the booking isn't there yet. The answer that tells of it, where it
# is to be kept, is kept with it: after a crash either all of it is there or nothing. `outcome` as above.
SEAT_NEWCOMER = """
CREATE FUNCTION seat_newcomer(new_id uuid, venue uuid, new_reference text, covers integer, start timestamptz,
                              new_token_hash bytea, made_by text, name text, email text, phone text, remarks text,
                              day integer, wait_ms integer, planned_policy bigint, planned_floor bigint,
                              wanted bigint[], wanted_from timestamptz, wanted_to timestamptz,
                              confirmation uuid, new_hold uuid, key text, why text,
                              result jsonb, mail_variant text, suppressed boolean,
                              record_caller uuid, record_key text, record_holder uuid,
                              answer_status smallint, answer_headers text[], answer_body bytea,
                              wishes jsonb, for_vip boolean)
    RETURNS TABLE (outcome text, at timestamptz) LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    found_venue record;
    wanted_for  tstzrange := tstzrange(wanted_from, wanted_to);
    confirmed   timestamptz;
BEGIN
    IF NOT sees(venue) THEN
        RETURN QUERY SELECT 'gone', NULL::timestamptz;
        RETURN;
    END IF;
    PERFORM lock_day(venue, day, wait_ms);
    SELECT r.policy_version, r.floor_version INTO found_venue FROM restaurants r WHERE r.id = venue;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'gone', NULL::timestamptz;
        RETURN;
    END IF;
    IF (found_venue.policy_version, found_venue.floor_version) <> (planned_policy, planned_floor) THEN
        RETURN QUERY SELECT 'changed', NULL::timestamptz;
        RETURN;
    END IF;
    IF NOT clear_way(new_id, wanted, wanted_for) THEN
        RETURN QUERY SELECT 'taken', NULL::timestamptz;
        RETURN;
    END IF;
    confirmed := clock_timestamp();
    INSERT INTO bookings (id, restaurant_id, reference, party_size, starts_at, token_hash, source, guest_name,
                          guest_email, guest_phone, notes, preferences, vip, status, confirmed_at,
                          auto_assign_last_result)
    VALUES (new_id, venue, new_reference, covers, start, new_token_hash, made_by, name, email, phone, remarks, wishes,
            for_vip, 'confirmed', confirmed, result);
    INSERT INTO allocations (restaurant_id, table_id, booking_id, period)
    SELECT venue, t.id, new_id, wanted_for FROM unnest(wanted) AS t (id) ORDER BY t.id;
    INSERT INTO confirmations (id, booking_id, idempotency_key, hold_id, table_ids, period, confirmed_at)
    VALUES (confirmation, new_id, key, new_hold, wanted, wanted_for, confirmed);
    INSERT INTO booking_history (booking_id, from_status, to_status, cause, table_ids)
    VALUES (new_id, 'pending', 'confirmed', why, wanted);
    IF email IS NOT NULL OR EXISTS (SELECT FROM webhook_endpoints e WHERE e.restaurant_id = venue AND e.active) THEN
        PERFORM tell_of_confirmation(confirmation, mail_variant, suppressed);
    END IF;
    IF record_key IS NOT NULL THEN
        UPDATE idempotency_records r SET status = answer_status, headers = answer_headers, body = answer_body
         WHERE r.caller = record_caller AND r.key = record_key AND r.holder = record_holder AND r.status IS NULL;
    END IF;
    RETURN QUERY SELECT 'confirmed', confirmed;
END $$;
"""

ALL = (COLUMNS, GATE, SNAPSHOT, LOOK_AHEAD, DAY, CREATE, SEAT, SEAT_NEWCOMER)
