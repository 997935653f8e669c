"""Moves, and the whole service at once."""

from alembic import op

from maitred.storage.migrations import moves

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    connection = op.get_bind()
    for statements in moves.ALL:
        connection.exec_driver_sql(statements.replace("%", "%%"))
