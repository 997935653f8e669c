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

ALL = (KEYS, INSTANTS)
