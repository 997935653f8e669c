"""What a venue asks of the choice: joined sets, preferences, priorities, weights."""

from alembic import op

revision = "0008"
down_revision = "0007"

# `priority` is by service, '*' for all that are not named. A table's section is its server's.
_FLOOR = """
ALTER TABLE tables
    ADD COLUMN features text[] NOT NULL DEFAULT '{}' CHECK (features <@ '{high_chair,step_free,vip}'),
    ADD COLUMN section  text CHECK (section <> ''),
    ADD COLUMN priority jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(priority) = 'object');
ALTER TABLE table_adjacency ADD COLUMN lost_seats integer NOT NULL DEFAULT 0 CHECK (lost_seats >= 0);

CREATE TABLE joined_sets (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restaurant_id  uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    table_ids      bigint[] NOT NULL CHECK (cardinality(table_ids) BETWEEN 2 AND 5),
    capacity       integer CHECK (capacity > 0),
    min_party_size integer CHECK (min_party_size > 0),
    max_party_size integer CHECK (max_party_size > 0 AND max_party_size >= min_party_size),
    rank           integer CHECK (rank > 0),
    forbidden      boolean NOT NULL DEFAULT false
);
CREATE INDEX joined_sets_restaurant ON joined_sets (restaurant_id);

-- Of its own tables, each once, all in one zone, and no set twice: whoever writes, and whatever becomes of the tables.
CREATE FUNCTION check_joined_sets(venues uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM joined_sets j
         WHERE j.restaurant_id = ANY (venues)
           AND (SELECT count(*) <> cardinality(j.table_ids) OR count(DISTINCT t.zone_id) <> 1
                  FROM tables t WHERE t.restaurant_id = j.restaurant_id AND t.id = ANY (j.table_ids))) THEN
        RAISE EXCEPTION 'a joined set names a table twice, spans zones or has tables of another venue'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'joined_sets_tables';
    END IF;
    IF EXISTS (
        SELECT FROM joined_sets j JOIN joined_sets k ON k.restaurant_id = j.restaurant_id AND k.id > j.id
                                 AND k.table_ids @> j.table_ids AND j.table_ids @> k.table_ids
         WHERE j.restaurant_id = ANY (venues)) THEN
        RAISE EXCEPTION 'a joined set comes twice'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'joined_sets_once';
    END IF;
END $$;
CREATE FUNCTION joined_sets_checked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_joined_sets(ARRAY(SELECT DISTINCT restaurant_id FROM changed));
    RETURN NULL;
END $$;
-- a set goes with the first of its tables that goes
CREATE FUNCTION joined_sets_without_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM joined_sets j USING changed t
     WHERE j.restaurant_id = t.restaurant_id AND t.id = ANY (j.table_ids);
    RETURN NULL;
END $$;
CREATE TRIGGER joined_sets_check_insert AFTER INSERT ON joined_sets REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION joined_sets_checked();
CREATE TRIGGER joined_sets_check_update AFTER UPDATE ON joined_sets REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION joined_sets_checked();
CREATE TRIGGER joined_sets_table_moved AFTER UPDATE ON tables REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION joined_sets_checked();
CREATE TRIGGER joined_sets_table_gone AFTER DELETE ON tables REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION joined_sets_without_table();

CREATE TRIGGER joined_sets_version_insert AFTER INSERT ON joined_sets REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER joined_sets_version_update AFTER UPDATE ON joined_sets REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();
CREATE TRIGGER joined_sets_version_delete AFTER DELETE ON joined_sets REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION bump_floor_version();

CREATE OR REPLACE FUNCTION bump_floor_version_of_tables() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE restaurants SET floor_version = floor_version + 1
     WHERE id IN (SELECT n.restaurant_id FROM changed n JOIN former o ON o.id = n.id
                   WHERE (n.status = 'out_of_service') <> (o.status = 'out_of_service')
                      OR (n.zone_id, n.number, n.capacity, n.min_party_size, n.max_party_size, n.category,
                          n.seating_type, n.mobility, n.active, n.features, n.section, n.priority)
                         IS DISTINCT FROM
                         (o.zone_id, o.number, o.capacity, o.min_party_size, o.max_party_size, o.category,
                          o.seating_type, o.mobility, o.active, o.features, o.section, o.priority));
    RETURN NULL;
END $$;
"""

# `weighs_covers`: only then does a quote read how many covers sit where.
_BOOKINGS = """
ALTER TABLE bookings
    ADD COLUMN preferences jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(preferences) = 'object'
               AND preferences - '{zone,seating_type,high_chair,step_free,must}'::text[] = '{}'
               AND length(preferences::text) <= 1000),
    ADD COLUMN vip boolean NOT NULL DEFAULT false;
ALTER TABLE restaurants ADD COLUMN weighs_covers boolean NOT NULL GENERATED ALWAYS AS (
    coalesce(scoring #> '{weights,section}' > '0'::jsonb, false)
    OR coalesce(scoring #> '{weights,pacing}' > '0'::jsonb, false)) STORED;
"""


def upgrade() -> None:
    """Everything in one transaction."""
    op.execute(_FLOOR)
    op.execute(_BOOKINGS)
