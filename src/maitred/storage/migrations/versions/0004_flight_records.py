"""What a venue's floor and policy were in each version that a quote was decided under."""

from alembic import op

revision = "0004"
down_revision = "0003"

# Written by the statement with which a process reads a version to plan by, so no plan is made by a version that isn't
# here. The document is the row that was read, word for word. A quote's own record is in its event.
_VENUE_VERSIONS = """
CREATE TABLE venue_versions (
    restaurant_id  uuid NOT NULL REFERENCES restaurants ON DELETE CASCADE,
    policy_version bigint NOT NULL,
    floor_version  bigint NOT NULL,
    document       jsonb NOT NULL,
    seen_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (restaurant_id, policy_version, floor_version)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(_VENUE_VERSIONS)
