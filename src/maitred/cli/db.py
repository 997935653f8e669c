"""`maitred db`: the database, and the embedded server's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from maitred.errors import InvalidInput

if TYPE_CHECKING:
    from maitred.settings import Settings
    from maitred.storage.embedded import EmbeddedServer

app = typer.Typer(
    help="The database: its schema, its address, and the embedded server's data.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def check() -> None:
    """Says which database is used, whether it can be reached, and whether its schema fits. Changes nothing."""
    from maitred.settings import Settings
    from maitred.storage import schema

    settings = Settings()
    if settings.database_url is not None:
        typer.echo("database: the one in MAITRED_DATABASE_URL")
        _report(settings.database_url.get_secret_value())
        schema.check(settings.database_url.get_secret_value())
        return
    server = _embedded(settings)
    status = server.status()
    typer.echo(f"database: embedded, in {status.base}")
    if not status.data_bytes:
        typer.echo("not set up yet: the first command that needs it does that")
        return
    with server:
        url = server.start()
        _report(url)
        schema.check(url)


@app.command()
def upgrade() -> None:
    """Brings the database's schema to the version of this release. The only command that changes a given schema."""
    from maitred.settings import Settings
    from maitred.storage import schema

    settings = Settings()
    if settings.database_url is not None:
        before, after = schema.upgrade(settings.database_url.get_secret_value())
    else:
        with _embedded(settings) as server:
            before, after = schema.upgrade(server.start())
    if before == after:
        typer.echo(f"schema {after}: nothing to do")
    else:
        typer.echo(f"schema {before or 'none'} -> {after}")


@app.command()
def url() -> None:
    """Prints the address to connect with. Starts nothing; a given address is printed without its password."""
    from maitred.cli.errors import without_passwords
    from maitred.settings import Settings

    settings = Settings()
    if settings.database_url is not None:
        given = settings.database_url.get_secret_value()
        shown = without_passwords(given)
        typer.echo(shown)
        if shown != given:
            typer.echo("the password is in MAITRED_DATABASE_URL", err=True)
        return
    server = _embedded(settings)
    status = server.status()
    if not status.data_bytes:
        raise InvalidInput("embedded server", "folder", f"nothing is set up in {status.base} yet: there is no address")
    from maitred.storage.embedded_cluster import OWNER

    typer.echo(server.database_url(OWNER))
    typer.echo(
        "the server is running" if status.running else "the server is not running: it runs while a command uses it",
        err=True,
    )


@app.command()
def folder() -> None:
    """Shows the embedded server's folder: where it is, how large, and whether the server runs."""
    status = _own_server("folder").status()
    typer.echo(f"folder:  {status.base}")
    typer.echo(f"data:    {_size(status.data_bytes) if status.data_bytes else 'none'}")
    typer.echo(f"server:  {f'running, process {status.pid}' if status.running else 'not running'}")
    typer.echo(f"version: PostgreSQL {status.postgresql_version}")


@app.command()
def remove(
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Deletes the embedded server with all its data. Refuses while a command uses it."""
    server = _own_server("remove")
    status = server.status()
    if not yes:
        typer.confirm(
            f"Delete {status.base} with {_size(status.data_bytes)} of data: all restaurants, bookings and events?",
            abort=True,
            err=True,
        )
    server.remove()
    typer.echo(f"removed {status.base}")


def _embedded(settings: Settings) -> EmbeddedServer:
    from maitred.storage.embedded import EmbeddedServer

    return EmbeddedServer(settings.data_dir)


def _own_server(command: str) -> EmbeddedServer:
    from maitred.settings import Settings

    settings = Settings()
    if settings.database_url is not None:
        raise InvalidInput(
            f"db {command}",
            "MAITRED_DATABASE_URL",
            "is set: the command is for the embedded server only, unset it first",
        )
    return _embedded(settings)


def _report(url: str) -> None:
    """Prints the server's version and the schema's. Raises DatabaseUnavailable when it can't be reached."""
    import psycopg

    from maitred.storage import schema

    found = schema.found_version(url)
    with psycopg.connect(url, connect_timeout=10, autocommit=True) as connection:
        version = connection.execute("SHOW server_version").fetchone()
    typer.echo(f"server:   reachable, PostgreSQL {version[0] if version else 'unknown'}")
    typer.echo(f"schema:   {found or 'none'}, needed: {schema.NEEDED}")


def _size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
