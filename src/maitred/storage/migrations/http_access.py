"""Who may ask over HTTP, and what was asked already (migration 0005)."""

# Of a key its hash alone is kept. A key of `every_venue` is the installation's, any other one names its venues.
KEYS = """
CREATE TABLE api_keys (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    prefix         text NOT NULL UNIQUE,
    hash           bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    name           text NOT NULL,
    role           text NOT NULL CHECK (role IN ('guest_site', 'staff', 'operator')),
    restaurant_ids uuid[] NOT NULL DEFAULT '{}',
    every_venue    boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at     timestamptz,
    revoked_at     timestamptz,
    CHECK (every_venue = (restaurant_ids = '{}'))
);
"""

# Under row-level security PostgreSQL looks by an index only with operators that can't tell anything of the rows they
# refuse: those of ranges are not among them, those of instants are. So an allocation's ends are columns too, for
# queries of scoped callers that ask by time.
INSTANTS = """
ALTER TABLE allocations
    ADD COLUMN starts_at timestamptz GENERATED ALWAYS AS (lower(period)) STORED,
    ADD COLUMN ends_at   timestamptz GENERATED ALWAYS AS (upper(period)) STORED;
CREATE INDEX allocations_starts ON allocations (restaurant_id, starts_at);
"""

# One row a write with an Idempotency-Key, for as long as its answer is kept. While somebody works on it, until
# `held_until`, it is his (`holder`); a process that was killed leaves it to the next who asks, who goes on under the
# same `operation_id`. `caller` is a key's id, or a booking's where its token was shown.
RECORDS = """
CREATE TABLE idempotency_records (
    caller       uuid NOT NULL,
    key          text NOT NULL,
    fingerprint  bytea NOT NULL,
    operation_id uuid NOT NULL,
    holder       uuid,
    held_until   timestamptz NOT NULL,
    status       smallint,
    headers      text[],
    body         bytea,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (caller, key),
    CHECK ((status IS NULL) = (body IS NULL) AND (status IS NULL) = (headers IS NULL))
);
CREATE INDEX idempotency_records_expiry ON idempotency_records (expires_at);

-- Takes the record for this holder, or tells what is in the way: done, running, or other (another request's key).
CREATE FUNCTION take_record(whose uuid, wanted_key text, print bytea, new_operation uuid, new_holder uuid,
                            hold_s double precision, keep_s double precision)
    RETURNS TABLE (outcome text, operation_id uuid, status smallint, headers text[], body bytea)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    found_record idempotency_records;
    operation    uuid;
BEGIN
    LOOP
        INSERT INTO idempotency_records AS r (caller, key, fingerprint, operation_id, holder, held_until, expires_at)
        VALUES (whose, wanted_key, print, new_operation, new_holder,
                clock_timestamp() + make_interval(secs => hold_s), clock_timestamp() + make_interval(secs => keep_s))
        ON CONFLICT (caller, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, holder = excluded.holder, held_until = excluded.held_until,
               operation_id = CASE WHEN r.expires_at <= clock_timestamp() THEN excluded.operation_id
                                   ELSE r.operation_id END,
               expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
         WHERE r.expires_at <= clock_timestamp()
            OR (r.status IS NULL AND r.held_until <= clock_timestamp() AND r.fingerprint = excluded.fingerprint)
        RETURNING r.operation_id INTO operation;
        IF FOUND THEN
            RETURN QUERY SELECT 'taken', operation, NULL::smallint, NULL::text[], NULL::bytea;
            RETURN;
        END IF;
        SELECT * INTO found_record FROM idempotency_records r WHERE r.caller = whose AND r.key = wanted_key;
        IF NOT FOUND THEN
            CONTINUE;  -- swept away between the two
        END IF;
        RETURN QUERY SELECT CASE WHEN found_record.fingerprint <> print THEN 'other'
                                 WHEN found_record.status IS NULL THEN 'running' ELSE 'done' END,
                            found_record.operation_id, found_record.status, found_record.headers, found_record.body;
        RETURN;
    END LOOP;
END $$;

-- Keeps it, unless there is one already: that one is told. It was kept by this holder too, together with what it tells
-- of, when nobody heard whether that came about.
CREATE FUNCTION keep_answer(whose uuid, wanted_key text, mine uuid, new_status smallint, new_headers text[],
                            new_body bytea)
    RETURNS TABLE (status smallint, headers text[], body bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- Not flushed by itself: should the server crash just now, the record is found without its answer, and the request
    -- goes on under the same operation.
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE idempotency_records r
       SET status = new_status, headers = new_headers, body = new_body, holder = NULL
     WHERE r.caller = whose AND r.key = wanted_key AND r.holder = mine AND r.status IS NULL;
    IF NOT FOUND THEN
        RETURN QUERY SELECT r.status, r.headers, r.body FROM idempotency_records r
                      WHERE r.caller = whose AND r.key = wanted_key AND r.holder = mine AND r.status IS NOT NULL;
    END IF;
END $$;

-- Nothing to keep: the next one with this key goes on at once.
CREATE FUNCTION let_record_go(whose uuid, wanted_key text, mine uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE idempotency_records SET held_until = clock_timestamp(), holder = NULL
     WHERE caller = whose AND key = wanted_key AND holder = mine AND status IS NULL;
END $$;
"""

# When each has used up what it may (the generic cell rate algorithm): one row and one write a request, right for
# however many processes. What a crash of the server forgets of it is no harm.
RATES = """
CREATE UNLOGGED TABLE request_rates (
    subject text PRIMARY KEY,
    free_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Counts one, and gives 0; or the seconds to wait, and counts nothing. `every_s` is what one costs; 0: no limit.
CREATE FUNCTION count_request(whose text, every_s double precision, burst integer) RETURNS double precision
    LANGUAGE plpgsql AS $$
DECLARE
    cost  interval := make_interval(secs => every_s);
    until timestamptz;
BEGIN
    IF every_s = 0 THEN
        RETURN 0;
    END IF;
    INSERT INTO request_rates AS r VALUES (whose, clock_timestamp() + cost)
    ON CONFLICT (subject) DO UPDATE SET free_at = greatest(r.free_at, clock_timestamp()) + cost
     WHERE r.free_at - clock_timestamp() <= cost * (burst - 1);
    IF FOUND THEN
        RETURN 0;
    END IF;
    SELECT free_at INTO until FROM request_rates WHERE subject = whose;
    RETURN greatest(extract(epoch FROM until - clock_timestamp() - cost * (burst - 1)), 0.001);
END $$;
"""

# All that has to be known before a request is let in, in one statement: who it is, whether it is one too many, and
# whether it was done before. No row: nobody has this key or token. Nothing of it waits for the disk: a write that
# follows is later in the log, so what is left of it after a crash has its record too.
ADMIT = """
CREATE FUNCTION admit(key_hash bytea, shown_token_hash bytea, every_s double precision, burst integer,
                      scarce uuid, scarce_every_s double precision, scarce_burst integer,
                      wanted_key text, print bytea, new_operation uuid, new_holder uuid,
                      hold_s double precision, keep_s double precision)
    RETURNS TABLE (caller uuid, role text, restaurant_ids uuid[], every_venue boolean, booking_id uuid,
                   wait_s double precision, outcome text, operation_id uuid, status smallint, headers text[],
                   body bytea)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    who  record;
    wait double precision;
    took record;
BEGIN
    IF key_hash IS NOT NULL THEN
        SELECT k.id, k.role, k.restaurant_ids, k.every_venue, NULL::uuid AS booking_id INTO who FROM api_keys k
         WHERE k.hash = key_hash AND k.revoked_at IS NULL
           AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp());
    ELSE
        SELECT b.id, 'guest' AS role, ARRAY[b.restaurant_id] AS restaurant_ids, false AS every_venue,
               b.id AS booking_id
          INTO who FROM bookings b WHERE b.token_hash = shown_token_hash;
    END IF;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    wait := count_request('caller ' || who.id, every_s, burst);
    -- only of those who may: nobody else uses up what they have
    IF wait = 0 AND scarce IS NOT NULL AND who.role IN ('staff', 'operator')
       AND EXISTS (SELECT FROM bookings b
                    WHERE b.id = scarce AND (who.every_venue OR b.restaurant_id = ANY (who.restaurant_ids))) THEN
        wait := count_request('holds of ' || scarce, scarce_every_s, scarce_burst);
    END IF;
    IF wait = 0 AND wanted_key IS NOT NULL THEN
        SELECT * INTO took FROM take_record(who.id, wanted_key, print, new_operation, new_holder, hold_s, keep_s);
    ELSE
        SELECT 'taken' AS outcome, new_operation AS operation_id, NULL::smallint AS status, NULL::text[] AS headers,
               NULL::bytea AS body INTO took;
    END IF;
    RETURN QUERY SELECT who.id, who.role, who.restaurant_ids, who.every_venue, who.booking_id, wait,
                        took.outcome, took.operation_id, took.status, took.headers, took.body;
END $$;
"""

ALL = (KEYS, INSTANTS, RECORDS, RATES)
AFTER_BOOKINGS = (ADMIT,)
