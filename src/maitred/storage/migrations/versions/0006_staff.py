"""What staff do to a booking and its tables."""

from alembic import op

revision = "0006"
down_revision = "0005"

# `locked`: nobody but staff takes the booking's tables away. `by_hand`: no run takes the booking up by itself.
# Whoever changes a status, by whatever way, ends what only means something before the change.
_BOOKINGS = """
ALTER TABLE bookings
    ADD COLUMN locked boolean NOT NULL DEFAULT false,
    ADD COLUMN by_hand boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT bookings_locked_to_tables CHECK (NOT locked OR status IN ('confirmed', 'checked_in')),
    ADD CONSTRAINT bookings_by_hand_wait CHECK (NOT by_hand OR status = 'pending');
ALTER TABLE booking_history ADD COLUMN key_id uuid;

CREATE FUNCTION end_what_staff_said() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.locked := NEW.locked AND NEW.status IN ('confirmed', 'checked_in');
    NEW.by_hand := NEW.by_hand AND NEW.status = 'pending';
    RETURN NEW;
END $$;
CREATE TRIGGER bookings_staff BEFORE UPDATE OF status ON bookings
    FOR EACH ROW WHEN (NEW.locked OR NEW.by_hand) EXECUTE FUNCTION end_what_staff_said();
"""

# Each transaction that changes what a venue's day shows leaves one row for the day; the day's version is how many there
# are. Nobody waits for anybody, unlike for a counter, and a transaction that commits late counts all the same, unlike
# with the largest number of a sequence. Rows that have served are folded into `day_versions` now and then: the sum
# stays. The day is the local date of a booking's start; what concerns the whole venue counts for every day.
_VERSIONS = """
CREATE TABLE day_changes (
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    day           date NOT NULL,
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (restaurant_id, day, xid)
);
CREATE TABLE day_versions (
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    day           date NOT NULL,
    folded        bigint NOT NULL,
    PRIMARY KEY (restaurant_id, day)
);
-- Whose changes somebody waits for right now: only then are they announced, since announcing makes commits queue up.
CREATE TABLE day_watchers (
    restaurant_id uuid PRIMARY KEY REFERENCES restaurants ON DELETE CASCADE,
    until         timestamptz NOT NULL
);

-- What a board shows: the day itself, the date after it (a service may cross midnight), the venue as a whole.
CREATE FUNCTION day_version(of_restaurant uuid, of_day date) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM day_changes c
             WHERE c.restaurant_id = of_restaurant AND c.day IN (of_day, of_day + 1, '-infinity'))
         + (SELECT coalesce(sum(v.folded), 0)::bigint FROM day_versions v
             WHERE v.restaurant_id = of_restaurant AND v.day IN (of_day, of_day + 1, '-infinity'))
$$;

-- Each change of a booking asks what date it is at the venue: with a zone that nobody knows none could be made at all.
ALTER TABLE restaurants
    ADD CONSTRAINT restaurants_timezone_known CHECK (timestamp '2000-01-01' AT TIME ZONE timezone IS NOT NULL);

CREATE FUNCTION note_day(of_restaurant uuid, starts timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO day_changes (restaurant_id, day)
    SELECT r.id, CASE WHEN starts IS NULL THEN '-infinity' ELSE (starts AT TIME ZONE r.timezone)::date END
      FROM restaurants r WHERE r.id = of_restaurant
    ON CONFLICT DO NOTHING;
    IF FOUND AND EXISTS (SELECT FROM day_watchers w
                          WHERE w.restaurant_id = of_restaurant AND w.until > clock_timestamp()) THEN
        PERFORM pg_notify('maitred_days', of_restaurant::text);
    END IF;
END $$;

CREATE FUNCTION note_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM note_day(OLD.restaurant_id, OLD.starts_at);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM note_day(NEW.restaurant_id, NEW.starts_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bookings_note_new AFTER INSERT OR DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION note_booking();
CREATE TRIGGER bookings_note AFTER UPDATE ON bookings FOR EACH ROW WHEN (
        (OLD.reference, OLD.party_size, OLD.starts_at, OLD.status, OLD.locked, OLD.by_hand, OLD.guest_name,
         OLD.guest_phone, OLD.notes)
        IS DISTINCT FROM
        (NEW.reference, NEW.party_size, NEW.starts_at, NEW.status, NEW.locked, NEW.by_hand, NEW.guest_name,
         NEW.guest_phone, NEW.notes))
    EXECUTE FUNCTION note_booking();

-- Of rows that belong to a booking: holds, allocations, runs.
CREATE FUNCTION note_bookings_of() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_day(b.restaurant_id, b.starts_at)
       FROM bookings b WHERE b.id IN (SELECT booking_id FROM changed);
    RETURN NULL;
END $$;
CREATE TRIGGER holds_note_insert AFTER INSERT ON holds REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER holds_note_update AFTER UPDATE ON holds REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER holds_note_delete AFTER DELETE ON holds REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER allocations_note_insert AFTER INSERT ON allocations REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER allocations_note_update AFTER UPDATE ON allocations REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER allocations_note_delete AFTER DELETE ON allocations REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER runs_note_insert AFTER INSERT ON runs REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();
CREATE TRIGGER runs_note_update AFTER UPDATE ON runs REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_bookings_of();

CREATE FUNCTION note_venue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_day(NEW.id, NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER restaurants_note AFTER UPDATE ON restaurants
    FOR EACH ROW WHEN ((OLD.name, OLD.timezone, OLD.policy_version, OLD.floor_version)
                       IS DISTINCT FROM (NEW.name, NEW.timezone, NEW.policy_version, NEW.floor_version))
    EXECUTE FUNCTION note_venue();

CREATE FUNCTION note_venues_of_tables() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_day(t.restaurant_id, NULL) FROM (
        SELECT DISTINCT n.restaurant_id FROM changed n JOIN former o ON o.id = n.id WHERE n.status <> o.status) t;
    RETURN NULL;
END $$;
CREATE TRIGGER tables_note AFTER UPDATE ON tables REFERENCING NEW TABLE AS changed OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION note_venues_of_tables();
"""


def upgrade() -> None:
    connection = op.get_bind()
    for statements in (_BOOKINGS, _VERSIONS):
        connection.exec_driver_sql(statements)
