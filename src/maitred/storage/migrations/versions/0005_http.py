"""Keys, idempotency records, row-level security, the write path of bookings."""

from alembic import op

from maitred.storage.migrations import http_access, write_path

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    connection = op.get_bind()
    for statements in (*http_access.ALL, *write_path.ALL, *http_access.AFTER_BOOKINGS):
        connection.exec_driver_sql(statements.replace("%", "%%"))
