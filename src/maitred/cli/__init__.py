"""The command line. Commands import what they need when they run, so that `--help` and `--version` answer at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from maitred import __version__
from maitred.cli import (
    assign,
    baseline,
    compare,
    db,
    demo,
    events,
    explain,
    export,
    imports,
    keys,
    messages,
    optimise,
    quote,
    replay,
    runs,
    serve,
    simulate,
    size,
    webhooks,
    worker,
)

# Without rich's markup the help costs no import of rich; pretty exceptions would print the values of local variables.
app = typer.Typer(
    name="maitred",
    help="Assigns restaurant tables to bookings: automatically, exactly and observably.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(name="import")(imports.import_file)
app.command()(export.export)
app.command()(demo.demo)
app.command()(quote.quote)
app.command()(assign.assign)
app.command()(optimise.optimise)
app.command()(simulate.simulate)
app.command()(worker.worker)
app.command()(serve.serve)
app.command()(explain.explain)
app.command()(replay.replay)
app.command()(baseline.baseline)
app.command()(compare.compare)
app.add_typer(runs.runs_app, name="runs")
app.add_typer(keys.keys_app, name="keys")
app.add_typer(messages.messages_app, name="messages")
app.add_typer(webhooks.webhooks_app, name="webhooks")
app.add_typer(events.events_app, name="events")
db.app.command()(size.size)
app.add_typer(db.app, name="db")


def main() -> None:
    """Runs the command line and exits: 0 done, 1 it failed, 2 bad input or usage, 130 interrupted.

    Whatever a command raises is told here, in one line on stderr.
    """
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the one place that renders all errors
        from maitred.cli.errors import told

        text, code = told(error)
        sys.stderr.write(f"maitred: {text}\n")
        sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"maitred {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
