"""The style of our HTML pages: one file each, which needs nothing else and follows the reader's colour scheme."""

from __future__ import annotations

from html import escape

# Both schemes were looked at: text has a contrast of 4.5 or more on its ground, marks of 3 or more.
STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fbfaf8; --card: #ffffff; --text: #1d1b18; --dim: #635e56; --line: #dfdbd3;
  --first: #1f66c1; --second: #b4430f; --good: #1a7440; --bad: #a2480b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #171614; --card: #211f1c; --text: #ece8e1; --dim: #a8a196; --line: #3a3732;
    --first: #7db2f5; --second: #f39a5f; --good: #6fce97; --bad: #f2a65e;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; }
h2 { margin: 0 0 .25rem; font-size: 1.1rem; }
p { margin: 0 0 .75rem; }
.dim, figcaption, small { color: var(--dim); font-size: .875rem; }
.complete, .incomplete { padding: .5rem .75rem; border-left: 4px solid var(--good); background: var(--card); }
.incomplete { border-color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.tiles div, figure, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tiles div { padding: .75rem 1rem; }
.tiles dt { color: var(--dim); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.tiles small { display: block; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: 1rem; }
section { margin: 1rem 0 0; padding: 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 600; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td { white-space: nowrap; }
td:first-child { white-space: normal; min-width: 8rem; }
td small { display: block; }
svg { display: block; width: 100%; height: auto; margin-top: .5rem; }
svg text { font: 12px system-ui, sans-serif; fill: var(--text); }
svg .tick { fill: var(--dim); }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
svg .grid { stroke: var(--line); }
svg .mark { stroke: var(--text); stroke-dasharray: 3 3; }
svg .line { fill: none; stroke-width: 2; }
svg .bar.first, svg .dot.first, svg text.first { fill: var(--first); }
svg .dot.second, svg text.second { fill: var(--second); }
svg .dot.at-least { fill: var(--card); stroke-width: 2; }
svg .dot.first.at-least { stroke: var(--first); }
svg .dot.second.at-least { stroke: var(--second); }
svg .line.first { stroke: var(--first); }
svg .line.second { stroke: var(--second); }
svg .band { opacity: .2; }
svg .band.first { fill: var(--first); }
svg .band.second { fill: var(--second); }
svg .bar.late { fill: url(#late); }
svg .late-ground { fill: var(--card); }
svg .late-line { stroke: var(--second); stroke-width: 4; }
@media print { body { background: none; } figure, section { break-inside: avoid; } }
"""


def page(title: str, body: str) -> str:
    """A whole page. `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )
