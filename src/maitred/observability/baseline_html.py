"""The baseline as one HTML page that needs nothing else: no script, no font, no network. Pure."""

from __future__ import annotations

from html import escape

from maitred.observability.baseline import Baseline
from maitred.observability.baseline_pictures import pictures
from maitred.observability.baseline_sections import (
    LEGEND,
    Bounded,
    Section,
    bounded,
    completeness_sentence,
    heading,
    ms,
    percent,
    sections,
)
from maitred.observability.page import page


def render_html(baseline: Baseline) -> str:
    """The whole page. Follows the reader's colour scheme."""
    since, until = (f"{each:%Y-%m-%d %H:%M}" for each in (baseline.since, baseline.until))
    body = [f"<h1>Baseline</h1><p>{escape(heading(baseline))}</p>", _completeness(baseline)]
    if baseline.events:
        figures = "".join(
            f"<figure><h2>{escape(title)}</h2><figcaption>{escape(caption)}</figcaption>{svg}</figure>"
            for title, caption, svg in pictures(baseline)
        )
        body += [_tiles(baseline), f'<div class="pictures">{figures}</div>']
        body += [_table(section) for section in sections(baseline)]
        body.append(f'<p class="dim">{escape(LEGEND)}</p>')
    return page(f"Baseline {since} to {until}", "".join(body))


def _completeness(baseline: Baseline) -> str:
    complete = baseline.completeness is not None and baseline.completeness.complete
    return f'<p class="{"complete" if complete else "incomplete"}">{escape(completeness_sentence(baseline))}</p>'


def _tiles(baseline: Baseline) -> str:
    overall = baseline.planner.overall
    tiles = [("planner calls", f"{overall.n:,}", f"of {overall.bookings:,} bookings")]
    for name, percentile in (("median", overall.median), ("p95", overall.p95), ("p99", overall.p99)):
        shown = bounded(percentile, ms)
        tiles.append((name, *((shown.value, shown.bound) if isinstance(shown, Bounded) else (shown, ""))))
    share, _, interval = percent(baseline.seated).partition(" ")
    tiles.append(("bookings seated", share, interval.strip("()")))
    return (
        '<dl class="tiles">'
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
            for name, value, more in tiles
        )
        + "</dl>"
    )


def _table(section: Section) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in section.columns)
    rows = "".join(f"<tr>{''.join(_cell(each) for each in row)}</tr>" for row in section.rows)
    note = f'<p class="dim">{escape(section.note)}</p>' if section.note else ""
    return (
        f"<section><h2>{escape(section.title)}</h2>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}</section>"
    )


def _cell(content: str | Bounded) -> str:
    if isinstance(content, str):
        return f"<td>{escape(content)}</td>"
    return f"<td>{escape(content.value)}<small>{escape(content.bound)}</small></td>"
