"""A sketch's percentiles are within 1% of the numbers' own, and merging sketches changes nothing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.observability.sketch import RELATIVE_ERROR, Sketch, sketch_from_json, sketch_of

numbers = st.floats(0.0011, 1e12) | st.integers(1, 10**9).map(float)
some = st.lists(numbers | st.just(0.0), min_size=1, max_size=60)


@given(values=some, share=st.floats(0, 1))
def test_a_percentile_is_within_one_percent_of_the_number_at_its_rank(values: list[float], share: float) -> None:
    exact = sorted(values)[math.floor(share * (len(values) - 1))]
    found = sketch_of(values).quantile(share)
    assert found == pytest.approx(exact, rel=RELATIVE_ERROR * 1.000_001, abs=0)


@given(values=some)
def test_number_mean_least_and_most_are_those_of_the_numbers(values: list[float]) -> None:
    sketch = sketch_of(values)
    assert (sketch.n, sketch.least, sketch.most) == (len(values), min(values), max(values))
    assert sketch.mean == pytest.approx(math.fsum(values) / len(values), rel=1e-9)
    assert (sketch.quantile(0), sketch.quantile(1)) == pytest.approx((min(values), max(values)), rel=RELATIVE_ERROR)


@given(parts=st.lists(st.lists(numbers, max_size=20), min_size=1, max_size=6))
def test_parts_merged_are_the_whole(parts: list[list[float]]) -> None:
    whole = sketch_of(x for part in parts for x in part)
    merged = Sketch()
    for part in reversed(parts):
        merged.merge(sketch_from_json(json.loads(json.dumps(sketch_of(part).as_json()))))
    assert (merged.bins, merged.zeros, merged.least, merged.most) == (
        whole.bins,
        whole.zeros,
        whole.least,
        whole.most,
    )
    assert merged.sum == pytest.approx(whole.sum)


def test_what_is_too_small_to_be_recorded_counts_as_zero() -> None:
    sketch = sketch_of([-5.0, 0.0, 0.0005, 10.0])
    assert (sketch.n, sketch.zeros, sketch.least) == (4, 3, -5.0)
    assert sketch.quantile(0.3) == 0.0


def test_no_numbers_have_no_percentile() -> None:
    assert (Sketch().n, Sketch().mean, Sketch().quantile(0.5)) == (0, None, None)
    assert sketch_from_json(Sketch().as_json()).n == 0


def test_sketches_of_another_error_are_not_mixed_in() -> None:
    with pytest.raises(ValueError, match="error"):
        sketch_from_json({**Sketch().as_json(), "error": 0.02})


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        sketch_of([1.0]).quantile(share)


def test_a_sketch_stays_small() -> None:
    sketch = sketch_of(1.01**power for power in range(-600, 3_000))
    assert sketch.n == 3_600
    assert len(sketch.bins) < 2_000
