"""What staff do to a booking and its tables."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing yet."""
