"""The schema's version: looking at it, refusing what doesn't fit, and moving it forward when told to."""

from __future__ import annotations

from pathlib import Path

import psycopg

from maitred.errors import DatabaseUnavailable, RoleMissing, SchemaMismatch
from maitred.storage import second_wall
from maitred.storage.database import is_unavailable

NEEDED = "0009"
OLDEST_SERVER = 15


def found_version(url: str) -> str | None:
    """The version in the database; None where there is no schema of ours. Changes nothing.

    Raises DatabaseUnavailable when it can't be reached or is older than PostgreSQL 15.
    """
    try:
        with psycopg.connect(url, connect_timeout=10, autocommit=True, prepare_threshold=None) as connection:
            major = connection.info.server_version // 10_000
            if major < OLDEST_SERVER:
                raise DatabaseUnavailable(f"PostgreSQL {major} is too old: {OLDEST_SERVER} or newer is needed")
            exists = connection.execute("SELECT to_regclass('maitred_schema_version')").fetchone()
            if exists is None or exists[0] is None:
                return None
            row = connection.execute("SELECT version_num FROM maitred_schema_version").fetchone()
            return None if row is None else str(row[0])
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"the database can't be reached: {str(error).strip()}") from error


def check(url: str) -> None:
    """Raises SchemaMismatch unless the database has exactly the schema that this release works with."""
    found = found_version(url)
    if found != NEEDED:
        raise SchemaMismatch(found, NEEDED)


def upgrade(url: str) -> tuple[str | None, str]:
    """Brings the database to this release's schema, in one transaction; returns the versions before and after.

    Raises SchemaMismatch when the database is newer than this release, DatabaseUnavailable when it can't be reached,
    and RoleMissing where an administrator has to make the role of the second wall first.
    """
    found = found_version(url)
    if found is not None and found > NEEDED:
        raise SchemaMismatch(found, NEEDED)
    if found == NEEDED:
        return found, found

    # Alembic and SQLAlchemy take half a second to import: only those who migrate pay for them.
    import sqlalchemy
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sqlalchemy.NullPool
    )
    try:
        with engine.begin() as connection:
            # two starts at once: the second waits, and finds nothing left to do
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtext('maitred_schema_version'))"))
            config.attributes["connection"] = connection
            command.upgrade(config, NEEDED)
            # last, so that it stands around whatever tables the migrations have made
            for statement in second_wall.statements():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    except (sqlalchemy.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
        if isinstance(cause, psycopg.Error) and cause.sqlstate == second_wall.NO_ROLE:
            raise RoleMissing(second_wall.SETUP) from error
        if isinstance(cause, psycopg.Error) and is_unavailable(cause):
            raise DatabaseUnavailable(str(cause).strip()) from error
        raise
    finally:
        engine.dispose()
    return found, NEEDED
