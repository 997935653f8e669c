"""The page needs nothing but itself, shows what was recorded as it is, and can be read in both colour schemes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maitred.observability.baseline import Bin, Distribution, Moment, Percentile, PlannerTimes
from maitred.observability.baseline_html import render_html
from maitred.observability.baseline_pictures import attempts, distribution, over_time, per_trigger
from tests.observability.test_baseline_report import AT_LEAST, EMPTY, FULL, SINCE, forty

PAGE = render_html(FULL)
PICTURES = re.findall(r"<svg .*?</svg>", PAGE, flags=re.DOTALL)


def tree(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own picture


def test_the_page_needs_nothing_but_itself() -> None:
    assert "<script" not in PAGE
    assert not re.search(r"\b(src|href)=|@import|//", PAGE)
    assert set(re.findall(r"url\(([^)]*)\)", PAGE)) == {"#late"}


class _Balance(HTMLParser):
    """Whether every element that has to be closed is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the base class says so
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("page", [PAGE, render_html(EMPTY)])
def test_every_element_is_closed(page: str) -> None:
    parser = _Balance()
    parser.feed(page)
    assert not parser.open


def test_there_are_four_pictures_with_words_for_those_who_cannot_see_them() -> None:
    assert len(PICTURES) == 4
    for picture in PICTURES:
        assert tree(picture).get("aria-label")
        assert "nan" not in picture
    assert "at least 4,000.0 ms" in PICTURES[1]


def test_words_of_foreign_rows_are_text_and_no_markup() -> None:
    odd = "<script>alert(1)</script>"
    page = render_html(replace(FULL, planner=PlannerTimes(forty(), by_trigger={odd: forty()})))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_an_empty_window_has_no_pictures() -> None:
    page = render_html(EMPTY)
    assert "No events" in page
    assert "<svg" not in page


def _schemes() -> list[dict[str, str]]:
    light, dark = re.split(r"prefers-color-scheme: dark", PAGE, maxsplit=1)
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", text.split("svg")[0])) for text in (light, dark)]


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_in_both_schemes(scheme: int) -> None:
    colours = _schemes()[scheme]
    for ground in ("ground", "card"):
        for text in ("text", "dim", "first", "second"):
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for mark in ("good", "bad"):
            assert _contrast(colours[mark], colours[ground]) >= 3, (mark, ground)


times = st.floats(1e-3, 1e9) | st.sampled_from([0.001, 1.0, 4_000.0])
percentiles = st.builds(
    Percentile, value=times, upper=times | st.none(), lower=times | st.none(), at_least=st.booleans()
)
distributions = st.builds(
    Distribution, n=st.integers(1, 10**9), mean=times, median=percentiles, p95=percentiles, p99=percentiles, max=times
)
counts = st.integers(0, 10**9)


@settings(max_examples=100)
@given(
    found=st.lists(distributions, min_size=1, max_size=12),
    calls=st.lists(counts, min_size=1, max_size=40).filter(any),
    pairs=st.dictionaries(st.integers(0, 1_000), st.integers(1, 10**9), min_size=1, max_size=20),
)
def test_whatever_the_figures_the_pictures_stay_within_their_frames(
    found: list[Distribution], calls: list[int], pairs: dict[int, int]
) -> None:
    bins = [Bin(10 ** (place / 10), 10 ** ((place + 1) / 10), count, count // 2) for place, count in enumerate(calls)]
    moments = [Moment(SINCE.replace(hour=place), each) for place, each in enumerate(found)]
    for picture in (
        distribution(bins, found[0]),
        over_time(moments, lambda each: f"{each.start:%H:%M}"),
        attempts(sorted(pairs.items())),
        per_trigger([(f"trigger {place}", each) for place, each in enumerate(found)]),
    ):
        if not picture:
            continue
        root = tree(picture)
        _, _, width, height = map(float, str(root.get("viewBox")).split())
        for element in root.iter():
            for name, limit in (
                ("x", width),
                ("cx", width),
                ("x1", width),
                ("x2", width),
                ("y", height),
                ("y1", height),
            ):
                place = element.get(name)
                assert place is None or -1 <= float(place) <= limit + 1


def test_a_distribution_with_a_time_out_draws_it_apart() -> None:
    picture = distribution([Bin(3_981.0, 5_012.0, 3, 3)], AT_LEAST)
    assert 'class="bar late"' in picture
    assert "or longer" in picture
