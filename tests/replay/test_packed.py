"""What may stand under `planner_record` and `release`: packed numbers and release numbers, and no text."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred import __version__
from maitred.observability import events
from maitred.observability.registry import nulled_count
from maitred.observability.values import REFUSED, Packed, Packs, Release

GUEST = "Ada Guest, ada@example.org, +44 20 7946 0000, allergic to nuts"


class Some(Packs):
    def __init__(self, packed: bytes | None) -> None:
        self._packed = packed

    def packed(self) -> bytes:
        if self._packed is None:
            raise RuntimeError(GUEST)
        return self._packed


def quote_with(record: object) -> events.Event:
    return events.quote(
        restaurant_id=None,
        booking_id=None,
        trigger="loop",
        attempt_index=0,
        duration_ms=1.0,
        success=True,
        record=record,  # type: ignore[arg-type]  # what is forced in is the point
    )


@given(data=st.binary(max_size=300))
def test_what_was_packed_is_admitted_again_and_comes_out(data: bytes) -> None:
    text = Packed().admit(Some(zlib.compress(data)))
    assert isinstance(text, str)
    assert Packed().admit(text) == text
    assert Packed.unpack(text) == data


@given(text=st.text() | st.sampled_from([GUEST, "Ada", "QWRh", base64.b64encode(GUEST.encode()).decode()]))
def test_text_is_no_packed_thing(text: str) -> None:
    assert Packed().admit(text) is REFUSED


@pytest.mark.parametrize("record", [GUEST, GUEST.encode(), [GUEST], {"name": GUEST}, 1, object()])
def test_whatever_else_is_forced_in_becomes_null_and_is_counted(record: object) -> None:
    before = nulled_count()
    assert quote_with(record).context["planner_record"] is None
    assert nulled_count() == before + 1


@pytest.mark.parametrize("packed", [None, bytes(Packed.MOST_BYTES + 1)])
def test_what_cannot_be_packed_or_is_too_large_costs_the_record_and_not_the_event(packed: bytes | None) -> None:
    context = quote_with(Some(packed)).context
    assert context["planner_record"] is None
    assert context["planner_success"] is True


def test_a_stream_that_would_unpack_to_no_end_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(30_000_000))).decode()
    assert Packed().admit(bomb) is REFUSED


def test_a_quote_says_which_release_decided() -> None:
    assert quote_with(None).context["release"] == __version__


@pytest.mark.parametrize("text", ["1.2.3", "0.1.0", "1.0rc1", "2.0.dev3", "1.2.3.post1"])
def test_releases_are_numbered_as_packages_are(text: str) -> None:
    assert Release().admit(text) == text


@pytest.mark.parametrize("text", ["", "Ada", "1.Ada", "1.2.3-Ada", "1.2.3 ", "1" * 40, GUEST, "1.2\n"])
def test_nothing_else_is_a_release(text: str) -> None:
    assert Release().admit(text) is REFUSED
