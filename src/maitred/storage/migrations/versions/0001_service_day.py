"""Restaurants, floors, services, bookings, holds, allocations, events."""

from alembic import op

revision = "0001"
down_revision = None

_VENUES = """
CREATE TABLE restaurants (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug            text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$'),
    name            text NOT NULL,
    timezone        text NOT NULL,
    outside_service text NOT NULL DEFAULT 'first_service' CHECK (outside_service IN ('first_service', 'refuse')),
    scoring         jsonb NOT NULL DEFAULT '{}',
    demand          jsonb NOT NULL DEFAULT '[]',
    policy_version  bigint NOT NULL DEFAULT 1,
    floor_version   bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE zones (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    name          text NOT NULL,
    UNIQUE (restaurant_id, id)
);
CREATE UNIQUE INDEX zones_name ON zones (restaurant_id, lower(name));

CREATE TABLE tables (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id  uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    zone_id        bigint NOT NULL,
    number         text NOT NULL CHECK (number <> ''),
    capacity       integer NOT NULL CHECK (capacity > 0),
    min_party_size integer NOT NULL DEFAULT 1 CHECK (min_party_size > 0),
    max_party_size integer CHECK (max_party_size >= min_party_size),
    category       text NOT NULL DEFAULT 'dining'
                   CHECK (category IN ('bar', 'dining', 'lounge', 'patio', 'private')),
    seating_type   text NOT NULL DEFAULT 'standard'
                   CHECK (seating_type IN ('standard', 'sofa', 'booth', 'high_top')),
    mobility       text NOT NULL DEFAULT 'movable' CHECK (mobility IN ('movable', 'fixed')),
    status         text NOT NULL DEFAULT 'available'
                   CHECK (status IN ('available', 'reserved', 'occupied', 'out_of_service')),
    active         boolean NOT NULL DEFAULT true,
    UNIQUE (restaurant_id, id),
    FOREIGN KEY (restaurant_id, zone_id) REFERENCES zones (restaurant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX tables_number ON tables (restaurant_id, lower(number));

CREATE TABLE table_adjacency (
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    table_a       bigint NOT NULL,
    table_b       bigint NOT NULL,
    PRIMARY KEY (table_a, table_b),
    CHECK (table_a < table_b),
    FOREIGN KEY (restaurant_id, table_a) REFERENCES tables (restaurant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (restaurant_id, table_b) REFERENCES tables (restaurant_id, id) ON DELETE CASCADE
);
CREATE INDEX table_adjacency_restaurant ON table_adjacency (restaurant_id);

CREATE TABLE table_scarcity (
    restaurant_id uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    capacity      integer NOT NULL,
    category      text NOT NULL,
    seating_type  text NOT NULL,
    scarcity      double precision NOT NULL CHECK (scarcity >= 0 AND scarcity < 'infinity'),
    PRIMARY KEY (restaurant_id, capacity, category, seating_type)
);

CREATE TABLE services (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id     uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    key               text NOT NULL,
    position          integer NOT NULL,
    starts            time NOT NULL,
    ends              time NOT NULL,
    buffer_before_min integer NOT NULL DEFAULT 0 CHECK (buffer_before_min BETWEEN 0 AND 120),
    buffer_after_min  integer NOT NULL DEFAULT 5 CHECK (buffer_after_min BETWEEN 0 AND 120),
    allow_overrun     boolean NOT NULL DEFAULT false,
    UNIQUE (restaurant_id, key),
    UNIQUE (restaurant_id, position)
);

CREATE TABLE turn_bands (
    service_id  bigint NOT NULL REFERENCES services ON DELETE CASCADE,
    up_to_party integer NOT NULL CHECK (up_to_party > 0),
    minutes     integer NOT NULL CHECK (minutes BETWEEN 1 AND 600),
    PRIMARY KEY (service_id, up_to_party)
);
"""

# Whoever changes a floor or a policy, by whatever way, changes its version: plans and holds made before are recognised.
# What staff do to a table all evening (available, reserved, occupied) is no change of the floor. Once per statement, so
# that a large floor is imported in one go and not in one update of its restaurant per row.
_VERSIONS = """
CREATE FUNCTION bump_floor_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE restaurants SET floor_version = floor_version + 1 WHERE id IN (SELECT restaurant_id FROM changed);
    RETURN NULL;
END $$;

CREATE FUNCTION bump_floor_version_of_tables() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE restaurants SET floor_version = floor_version + 1
     WHERE id IN (SELECT n.restaurant_id FROM changed n JOIN former o ON o.id = n.id
                   WHERE (n.status = 'out_of_service') <> (o.status = 'out_of_service')
                      OR (n.zone_id, n.number, n.capacity, n.min_party_size, n.max_party_size, n.category,
                          n.seating_type, n.mobility, n.active)
                         IS DISTINCT FROM
                         (o.zone_id, o.number, o.capacity, o.min_party_size, o.max_party_size, o.category,
                          o.seating_type, o.mobility, o.active));
    RETURN NULL;
END $$;

CREATE FUNCTION bump_policy_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE restaurants SET policy_version = policy_version + 1 WHERE id IN (SELECT restaurant_id FROM changed);
    RETURN NULL;
END $$;

CREATE FUNCTION bump_policy_version_of_service() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE restaurants SET policy_version = policy_version + 1
     WHERE id IN (SELECT s.restaurant_id FROM services s JOIN changed c ON c.service_id = s.id);
    RETURN NULL;
END $$;

CREATE FUNCTION bump_own_policy_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.policy_version := OLD.policy_version + 1;
    RETURN NEW;
END $$;

CREATE TRIGGER zones_version_insert AFTER INSERT ON zones REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER zones_version_update AFTER UPDATE ON zones REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER zones_version_delete AFTER DELETE ON zones REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER tables_version_insert AFTER INSERT ON tables REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER tables_version_delete AFTER DELETE ON tables REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER tables_version_update AFTER UPDATE ON tables REFERENCING NEW TABLE AS changed OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version_of_tables();
CREATE TRIGGER table_adjacency_version_insert AFTER INSERT ON table_adjacency REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER table_adjacency_version_update AFTER UPDATE ON table_adjacency REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER table_adjacency_version_delete AFTER DELETE ON table_adjacency REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER table_scarcity_version_insert AFTER INSERT ON table_scarcity REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER table_scarcity_version_update AFTER UPDATE ON table_scarcity REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER table_scarcity_version_delete AFTER DELETE ON table_scarcity REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER services_version_insert AFTER INSERT ON services REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER services_version_update AFTER UPDATE ON services REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER services_version_delete AFTER DELETE ON services REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version();
CREATE TRIGGER turn_bands_version_insert AFTER INSERT ON turn_bands REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version_of_service();
CREATE TRIGGER turn_bands_version_update AFTER UPDATE ON turn_bands REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version_of_service();
CREATE TRIGGER turn_bands_version_delete AFTER DELETE ON turn_bands REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_policy_version_of_service();
CREATE TRIGGER restaurants_version BEFORE UPDATE ON restaurants
    FOR EACH ROW WHEN (
        (OLD.timezone, OLD.outside_service, OLD.scoring, OLD.demand)
        <> (NEW.timezone, NEW.outside_service, NEW.scoring, NEW.demand))
    EXECUTE FUNCTION bump_own_policy_version();
"""

_BOOKINGS = """
CREATE TABLE bookings (
    id                      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    restaurant_id           uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    reference               text NOT NULL CHECK (reference <> ''),
    party_size              integer NOT NULL CHECK (party_size > 0),
    starts_at               timestamptz NOT NULL CHECK (isfinite(starts_at)),
    status                  text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'confirmed', 'checked_in', 'completed', 'cancelled', 'no_show')),
    auto_assign_last_result jsonb,
    created_at              timestamptz NOT NULL DEFAULT now(),
    confirmed_at            timestamptz,
    UNIQUE (restaurant_id, reference),
    UNIQUE (restaurant_id, id)
);
CREATE INDEX bookings_reference ON bookings (reference);
CREATE INDEX bookings_start ON bookings (restaurant_id, starts_at);

CREATE TABLE booking_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id  uuid NOT NULL REFERENCES bookings ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_status text,
    to_status   text NOT NULL,
    cause       text NOT NULL,
    table_ids   bigint[]
);
CREATE INDEX booking_history_booking ON booking_history (booking_id);
"""

_ALLOCATIONS = """
CREATE TABLE holds (
    id                uuid PRIMARY KEY,
    restaurant_id     uuid NOT NULL,
    booking_id        uuid NOT NULL UNIQUE,
    expires_at        timestamptz NOT NULL,
    policy_version    bigint NOT NULL,
    floor_version     bigint NOT NULL,
    require_adjacency boolean NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (restaurant_id, booking_id) REFERENCES bookings (restaurant_id, id) ON DELETE CASCADE
);
CREATE INDEX holds_expiry ON holds (expires_at);

-- A hold and a seat are the same kind of row, so a hold is protected exactly like a seat. Confirming only takes the
-- hold's name off: the constraint reads no column that confirming changes. btree_gist is not needed (ADR 5).
CREATE TABLE allocations (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id uuid NOT NULL,
    table_id      bigint NOT NULL,
    booking_id    uuid NOT NULL,
    hold_id       uuid REFERENCES holds ON DELETE CASCADE,
    period        tstzrange NOT NULL,
    UNIQUE (booking_id, table_id),
    FOREIGN KEY (restaurant_id, table_id) REFERENCES tables (restaurant_id, id),
    FOREIGN KEY (restaurant_id, booking_id) REFERENCES bookings (restaurant_id, id) ON DELETE CASCADE,
    -- a check that comes out null passes, so open ends are named and not left to isfinite(null)
    CHECK (NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)
           AND lower_inc(period) AND NOT upper_inc(period)
           AND isfinite(lower(period)) AND isfinite(upper(period))
           AND upper(period) - lower(period) <= interval '24 hours'),
    CONSTRAINT allocations_no_overlap
        EXCLUDE USING gist (int8range(table_id, table_id, '[]') WITH &&, period WITH &&)
);
CREATE INDEX allocations_by_time ON allocations (restaurant_id, lower(period));
CREATE INDEX allocations_hold ON allocations (hold_id) WHERE hold_id IS NOT NULL;

CREATE TABLE confirmations (
    id              uuid PRIMARY KEY,
    booking_id      uuid NOT NULL REFERENCES bookings ON DELETE CASCADE,
    idempotency_key text NOT NULL,
    hold_id         uuid NOT NULL UNIQUE,
    table_ids       bigint[] NOT NULL,
    period          tstzrange NOT NULL,
    confirmed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (booking_id, idempotency_key)
);

CREATE FUNCTION free_tables_of_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- the hold first, as everybody who ends one: its tables go with it
    DELETE FROM holds WHERE booking_id = NEW.id;
    DELETE FROM allocations WHERE booking_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER bookings_free_tables AFTER UPDATE OF status ON bookings
    FOR EACH ROW WHEN (NEW.status IN ('completed', 'cancelled', 'no_show'))
    EXECUTE FUNCTION free_tables_of_booking();
"""

# Columns as the original's reports know them (none renamed or retyped).
_EVENTS = """
CREATE TABLE observability_events (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at    timestamptz NOT NULL DEFAULT now(),
    source        text NOT NULL,
    event_type    text NOT NULL,
    severity      text NOT NULL DEFAULT 'info'
                  CHECK (severity IN ('info', 'notice', 'warning', 'error', 'critical')),
    context       jsonb,
    restaurant_id uuid,
    booking_id    uuid
);
CREATE INDEX observability_events_created_at ON observability_events (created_at DESC);
CREATE INDEX observability_events_source ON observability_events (source);
CREATE INDEX observability_events_booking_id ON observability_events (booking_id);
"""


def upgrade() -> None:
    for statements in (_VENUES, _VERSIONS, _BOOKINGS, _ALLOCATIONS, _EVENTS):
        op.execute(statements)
