"""The pictures of a baseline, as SVG that takes its colours from the page around it. Pure.

Colours are classes and never values, so that a page can have two schemes. What a picture shows is said in words too:
each has a label, and each mark a title that browsers show when it is pointed at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from maitred.observability.baseline import Baseline, Bin, Distribution, Moment, Percentile
from maitred.observability.baseline_sections import count, ms

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 58, 12, 30, 40
_ROW = 46
_MOST_ROWS = 8
_MOST_BARS = 12
_APART = 220  # so far from each other two labels never meet, whichever way they are written


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to places. Logarithmic where times span powers of ten."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def distribution(bins: Sequence[Bin], found: Distribution) -> str:
    """How many planner calls took how long, with the percentiles marked."""
    if not bins:
        return ""
    height = 240
    x = _Axis(bins[0].low, bins[-1].high, _LEFT, _WIDTH - _RIGHT, logarithmic=True)
    y = _Axis(0, max(each.calls for each in bins), height - _BOTTOM, _TOP + 18)
    parts = [_grid(y), *_ticks(x, _decades(x.low, x.high), height)]
    for each in bins:
        if not each.calls:
            continue
        left, right, top = x.at(each.low), x.at(each.high), y.at(each.calls)
        late = f", {each.timed_out:,} of them or longer" if each.timed_out else ""
        title = f"{ms(each.low)} to {ms(each.high)}: {each.calls:,} calls{late}"
        parts.append(_bar(left + 1, top, right - left - 2, y.at(0) - top, "first", title))
        if each.timed_out:
            parts.append(
                _bar(left + 1, y.at(each.timed_out), right - left - 2, y.at(0) - y.at(each.timed_out), "late", title)
            )
    named = [("median", found.median), ("p95", found.p95), ("p99", found.p99)]
    places: list[tuple[float, int]] = []
    for name, percentile in named:
        if percentile is not None:
            place = x.at(percentile.value)
            taken = {level for other, level in places if abs(place - other) < _APART}
            level = min({0, 1, 2} - taken)
            places.append((place, level))
            parts.append(_marker(place, level, height, name, percentile))
    return _svg(height, f"Distribution of {found.n:,} planner calls by time", parts)


def over_time(moments: Sequence[Moment], since_label: Callable[[Moment], str]) -> str:
    """Median and p95 of each hour or day, with their intervals as bands."""
    known = [each for each in moments if each.planner_ms.median and each.planner_ms.p95]
    if len(known) < 2:
        return ""
    height = 260
    first, last = known[0].start.timestamp(), known[-1].start.timestamp()
    lowest, highest = _range(each.planner_ms for each in known)
    x = _Axis(first, last, _LEFT + 8, _WIDTH - _RIGHT - 46)
    y = _Axis(lowest, highest, height - _BOTTOM, _TOP, logarithmic=True)
    parts = _levels(y, _decades(lowest, highest))
    for name, style in (("median", "first"), ("p95", "second")):
        read: list[tuple[float, Percentile]] = [
            (x.at(each.start.timestamp()), getattr(each.planner_ms, name)) for each in known
        ]
        parts.append(_band(read, y, style))
        line = " ".join(f"{place:.1f},{y.at(found.value):.1f}" for place, found in read)
        parts.append(f'<polyline class="line {style}" points="{line}"/>')
        for (place, found), each in zip(read, known, strict=True):
            title = f"{since_label(each)}: {name} {_told(found)}, {each.planner_ms.n:,} calls"
            parts.append(_mark(place, y.at(found.value), style, found, title))
        place, found = read[-1]
        parts.append(_text(place + 8, y.at(found.value) + 4, name, f"name {style}"))
    step = max(1, math.ceil(len(known) / 5))
    parts += [
        _text(x.at(each.start.timestamp()), height - 16, since_label(each), "tick middle") for each in known[::step]
    ]
    return _svg(height, "Median and p95 of planner calls over time", parts)


def attempts(pairs: Sequence[tuple[int, int]]) -> str:
    """How many runs took how many attempts."""
    if not pairs:
        return ""
    runs_of = dict(pairs)
    last = min(max(runs_of), _MOST_BARS)
    shown = [(f"{number}", runs_of.get(number, 0)) for number in range(min(*runs_of, last), last + 1)]
    if rest := sum(runs for number, runs in pairs if number > last):
        shown[-1] = (f"{last}+", shown[-1][1] + rest)
    height = 220
    slot = min(90.0, (_WIDTH - _LEFT - _RIGHT) / len(shown))
    y = _Axis(0, max(runs for _, runs in shown), height - _BOTTOM, _TOP)
    total = sum(runs for _, runs in shown)
    parts = [_grid(y)]
    for place, (name, runs) in enumerate(shown):
        left, top = _LEFT + place * slot + slot * 0.15, y.at(runs)
        title = f"{name} attempts: {runs:,} runs, {runs / total:.1%}"
        if runs:
            parts.append(_bar(left, top, slot * 0.7, y.at(0) - top, "first", title))
            parts.append(_text(left + slot * 0.35, top - 5, f"{runs / total:.0%}", "tick middle"))
        parts.append(_text(left + slot * 0.35, height - 22, name, "tick middle"))
    parts.append(_text(_LEFT, height - 5, "attempts of a run", "tick"))
    return _svg(height, "Runs by attempts", parts)


def per_trigger(by_trigger: Sequence[tuple[str, Distribution]]) -> str:
    """Median and p95 of each trigger with their intervals."""
    shown = [(name, found) for name, found in by_trigger if found.median and found.p95][:_MOST_ROWS]
    if not shown:
        return ""
    height = _TOP + _ROW * len(shown) + _BOTTOM
    lowest, highest = _range(found for _, found in shown)
    x = _Axis(lowest, highest, 150, _WIDTH - _RIGHT - 10, logarithmic=True)
    parts = _ticks(x, _decades(lowest, highest), height)
    for row, (name, found) in enumerate(shown):
        middle = _TOP + _ROW * row + _ROW / 2
        parts.append(_text(8, middle - 2, name, "name"))
        parts.append(_text(8, middle + 13, f"{found.n:,} call{'' if found.n == 1 else 's'}", "tick"))
        for what, style, offset in (("median", "first", -7), ("p95", "second", 7)):
            percentile: Percentile = getattr(found, what)
            parts.append(_whisker(x, middle + offset, percentile, style))
            title = f"{name}: {what} {_told(percentile)}"
            parts.append(_mark(x.at(percentile.value), middle + offset, style, percentile, title))
    legend = [("median", "first", 154), ("p95", "second", 226)]
    parts += [_dot(place, 10, style, name) + _text(place + 9, 14, name, "tick") for name, style, place in legend]
    return _svg(height, "Median and p95 of planner calls by trigger", parts)


def pictures(baseline: Baseline) -> list[tuple[str, str, str]]:
    """Title, caption and SVG of each picture that there is something for."""
    by_hours = (
        len(baseline.over_time) > 1
        and (baseline.over_time[1].start - baseline.over_time[0].start).total_seconds() < 86_400
    )
    label = "%d %b %H:%M" if by_hours else "%d %b"
    planner = baseline.planner
    found = [
        (
            "How long planner calls take",
            "Calls by time, on a logarithmic scale. Hatched: calls that timed out, which took that or longer.",
            distribution(baseline.histogram, planner.overall),
        ),
        (
            "Over time",
            f"By {'hour' if by_hours else 'day'} (UTC). Bands: 95% intervals, where not open. Hollow: at least.",
            over_time(baseline.over_time, lambda each: f"{each.start:{label}}"),
        ),
        ("Attempts", "Runs by the attempts they took.", attempts(baseline.attempts.runs_by_attempts)),
        (
            "By trigger",
            "Median and p95 with their 95% intervals. Arrow: open end. Hollow: at least.",
            per_trigger(list(planner.by_trigger.items())),
        ),
    ]
    return [(title, caption, svg) for title, caption, svg in found if svg]


def _told(found: Percentile) -> str:
    value = f"at least {ms(found.value)}" if found.at_least else ms(found.value)
    low = "open" if found.lower is None else ms(found.lower)
    high = "open" if found.upper is None else ms(found.upper)
    return f"{value} ({low} to {high})"


def _range(found: Iterable[Distribution]) -> tuple[float, float]:
    """Wide enough for all medians and p95 and the ends of their intervals; never of no width, never from 0."""
    values = [
        value
        for each in found
        for percentile in (each.median, each.p95)
        if percentile is not None
        for value in (percentile.value, percentile.lower, percentile.upper)
        if value is not None and value > 0
    ] or [1.0]
    low, high = min(values) / 1.15, max(values) * 1.15
    return low, high


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten within the range, or only powers of ten when those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 100 else (1,)
    return [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]


def _ticks(x: _Axis, values: Iterable[float], height: int) -> list[str]:
    parts = []
    for value in values:
        place = x.at(value)
        parts.append(f'<line class="grid" x1="{place:.1f}" y1="{_TOP}" x2="{place:.1f}" y2="{height - _BOTTOM}"/>')
        parts.append(_text(place, height - _BOTTOM + 18, _short(value), "tick middle"))
    return parts


def _levels(y: _Axis, values: Iterable[float]) -> list[str]:
    parts = []
    for value in values:
        place = y.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{place:.1f}" x2="{_WIDTH - _RIGHT}" y2="{place:.1f}"/>')
        parts.append(_text(_LEFT - 8, place + 4, _short(value), "tick end"))
    return parts


def _grid(y: _Axis) -> str:
    step = 10 ** math.floor(math.log10(y.high)) if y.high >= 1 else 1.0
    while y.high / step < 3 and step > 1:
        step /= 2
    parts, value = [], 0.0
    while value <= y.high:
        place = y.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{place:.1f}" x2="{_WIDTH - _RIGHT}" y2="{place:.1f}"/>')
        parts.append(_text(_LEFT - 8, place + 4, count(value), "tick end"))
        value += step
    return "".join(parts)


def _short(value_ms: float) -> str:
    return f"{value_ms / 1000:g} s" if value_ms >= 1000 else f"{value_ms:g} ms"


def _band(read: Sequence[tuple[float, Percentile]], y: _Axis, style: str) -> str:
    whole = [
        (place, found.lower, found.upper)
        for place, found in read
        if found.lower is not None and found.upper is not None
    ]
    if len(whole) < 2:
        return ""
    there = [f"{place:.1f},{y.at(upper):.1f}" for place, _, upper in whole]
    back = [f"{place:.1f},{y.at(lower):.1f}" for place, lower, _ in reversed(whole)]
    return f'<polygon class="band {style}" points="{" ".join(there + back)}"/>'


def _whisker(x: _Axis, height: float, found: Percentile, style: str) -> str:
    low = x.start if found.lower is None else x.at(found.lower)
    high = x.end if found.upper is None else x.at(found.upper)
    arrow = f'<path class="line {style}" d="M{high - 6:.1f},{height - 4:.1f} l6,4 l-6,4"/>'
    line = f'<line class="line {style}" x1="{low:.1f}" y1="{height}" x2="{high:.1f}" y2="{height}"/>'
    return line + (arrow if found.upper is None else "")


def _marker(place: float, level: int, height: int, name: str, found: Percentile) -> str:
    top = 4 + 14 * level
    anchor, shift = ("end", -4) if place > _WIDTH * 0.72 else ("", 4)
    return f'<line class="mark" x1="{place:.1f}" y1="{top}" x2="{place:.1f}" y2="{height - _BOTTOM}"/>' + _text(
        place + shift, top + 9, f"{name} {'≥ ' if found.at_least else ''}{ms(found.value)}", f"tick {anchor}"
    )


def _bar(left: float, top: float, width: float, height: float, style: str, title: str) -> str:
    return (
        f'<rect class="bar {style}" x="{left:.1f}" y="{top:.1f}" width="{max(width, 1):.1f}" '
        f'height="{max(height, 0.5):.1f}"><title>{escape(title)}</title></rect>'
    )


def _mark(x: float, y: float, style: str, found: Percentile, title: str) -> str:
    return _dot(x, y, f"{style} at-least" if found.at_least else style, title)


def _dot(x: float, y: float, style: str, title: str) -> str:
    return f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(title)}</title></circle>'


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text class="{style.strip()}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _svg(height: int, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {height}">'
        '<defs><pattern id="late" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="late-ground" width="6" height="6"/><line class="late-line" x1="0" y1="0" x2="0" y2="6"/>'
        f"</pattern></defs>{''.join(parts)}</svg>"
    )
