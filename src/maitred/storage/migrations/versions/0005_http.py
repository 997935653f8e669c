"""Keys, idempotency records, row-level security, the write path of bookings."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing yet."""
