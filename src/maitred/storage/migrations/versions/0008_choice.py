"""What a venue asks of the choice: joined sets, preferences, priorities, weights."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing yet."""
