"""Alembic's entry. The connection is always passed in (see maitred.storage.schema): no URL lives in a file."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="maitred_schema_version", transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
