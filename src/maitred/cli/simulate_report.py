"""A study as people read it in a terminal. Pure."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maitred.simulate.figures import figures
from maitred.simulate.picture import HEADINGS, cells, heading, summary
from maitred.simulate.study import Study


def render(study: Study) -> RenderableType:
    """A table for each load."""
    parts: list[RenderableType] = [Text(summary(study)), Text()]
    for found in figures(study):
        table = Table(box=SIMPLE_HEAD, title=heading(found, study.plan.days), title_justify="left", title_style="bold")
        for place, name in enumerate(HEADINGS):
            table.add_column(name, justify="right" if place else "left")
        for row in found.rows:
            table.add_row(*cells(row))
        parts.append(table)
    return Group(*parts)
