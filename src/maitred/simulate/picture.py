"""A study as one HTML page that needs nothing else: no script, no font, no network. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from maitred.observability.page import page
from maitred.simulate.figures import LoadFigures, Row, figures
from maitred.simulate.study import Load, Study

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _ROW, _GAP = 900, 130, 70, 34, 34, 26, 30
_STEPS = (0.01, 0.02, 0.05, 0.1)

HEADINGS = (
    "policy",
    "of the bound",
    "5th percentile",
    "regret removed",
    "seated",
    "covers",
    "came",
    "waste",
    "moves",
    "declined",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, for HEADINGS."""
    return (
        row.policy,
        f"{row.share:.1%}",
        f"{row.share_p5:.1%}",
        "-" if row.regret_removed is None else f"{row.regret_removed:.0%}",
        f"{row.seated:.1f}",
        f"{row.covers:.1f}",
        f"{row.came:.1f}",
        f"{row.waste:.1f}",
        f"{row.moves:.1f}",
        f"{row.declined:.1f}",
    )


def heading(found: LoadFigures, days: int) -> str:
    """What is above the rows of a load."""
    proved = "proved" if found.proved == days else f"proved on {found.proved} of {days} days"
    return (
        f"load {found.load:g}: {found.bookings:.1f} bookings, {found.wanted:.1f} covers wanted; "
        f"at most {found.bound:.1f} ({proved})"
    )


def summary(study: Study) -> str:
    """What was simulated, in one sentence."""
    plan = study.plan
    return (
        f"{study.venue}: {study.tables} tables, {study.seats} seats; {plan.days} days at each load, "
        f"from seed {plan.seed}; drawn from {study.source}"
    )


def render_html(study: Study) -> str:
    """The whole page. Follows the reader's colour scheme."""
    found = figures(study)
    body = [
        f"<h1>Simulated service days</h1><p>{escape(summary(study))}</p>",
        (
            "<figure><h2>Covers seated, as a share of what a clairvoyant could seat</h2>"
            "<figcaption>Each small mark is a day, the large one the mean; the line is the 5th percentile of days."
            f"</figcaption>{shares(study, found)}</figure>"
        ),
    ]
    for each in found:
        head = "".join(f"<th>{escape(name)}</th>" for name in HEADINGS)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells(row))}</tr>" for row in each.rows)
        body.append(
            f"<section><h2>{escape(heading(each, study.plan.days))}</h2>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
        )
    body.append(
        '<p class="dim">Means by day. Waste: seats left over at taken tables. Came: covers without no-shows. Regret '
        "removed: the share of best fit's distance to the bound, all days of a load together.</p>"
    )
    return page("Simulated service days", "".join(body))


def shares(study: Study, found: Sequence[LoadFigures]) -> str:
    """The days' shares of the bound as marks, a row for each load and policy."""
    lowest = min(share for load in study.loads for name in _names(study) for share in _share(load, name))
    low = min(0.98, int(lowest * 50) / 50)
    height = _TOP + sum(_GAP + _ROW * len(each.rows) for each in found) + _BOTTOM
    parts = _ticks(low, height)
    top = float(_TOP)
    for load, each in zip(study.loads, found, strict=True):
        parts.append(_text(8, top + 18, f"load {each.load:g}", "name"))
        top += _GAP
        for row in each.rows:
            middle = top + _ROW / 2
            parts.append(_text(8, middle + 4, row.policy, "tick"))
            for place, share in enumerate(_share(load, row.policy)):
                title = f"load {each.load:g}, {row.policy}, day {place + 1}: {share:.1%}"
                parts.append(_dot(_at(share, low), middle, 3, "first at-least", title))
            at = _at(row.share_p5, low)
            parts.append(
                f'<line class="line second" x1="{at:.1f}" y1="{middle - 8:.1f}" x2="{at:.1f}" y2="{middle + 8:.1f}">'
                f"<title>{escape(f'{row.policy}: 5th percentile {row.share_p5:.1%}')}</title></line>"
            )
            parts.append(_dot(_at(row.share, low), middle, 6, "second", f"{row.policy}: mean {row.share:.1%}"))
            parts.append(_text(_WIDTH - 8, middle + 4, f"{row.share:.1%}", "end"))
            top += _ROW
    label = "Shares of the clairvoyant's covers by load and policy"
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {height}">{"".join(parts)}</svg>'


def _share(load: Load, name: str) -> tuple[float, ...]:
    return tuple(day.outcomes[name].covers / day.best.bound if day.best.bound else 1.0 for day in load.days)


def _names(study: Study) -> list[str]:
    return [policy.name for policy in study.policies]


def _ticks(low: float, height: int) -> list[str]:
    step = next((step for step in _STEPS if (1 - low) / step <= 10), _STEPS[-1])
    parts = []
    for number in range(int((1 - low) / step + 1e-9) + 1):
        share = 1 - number * step
        at = _at(share, low)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{height - _BOTTOM}"/>')
        parts.append(_text(at, height - _BOTTOM + 18, f"{share:.0%}", "tick middle"))
    return parts


def _at(share: float, low: float) -> float:
    return _LEFT + (share - low) / (1 - low) * (_WIDTH - _LEFT - _RIGHT)


def _dot(x: float, y: float, radius: int, style: str, title: str) -> str:
    return f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(title)}</title></circle>'


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
