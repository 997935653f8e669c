"""Pauses between attempts, and what settings are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maitred.messages.outcome import retry_delay_s
from maitred.settings import Settings


@given(
    attempts=st.integers(-1, 10_000),
    first_s=st.floats(0.001, 3600),
    longest_s=st.floats(0.001, 86_400),
    jitter=st.floats(0, 1),
)
def test_a_pause_is_bounded_and_never_shorter_than_half(
    attempts: int, first_s: float, longest_s: float, jitter: float
) -> None:
    delay_s = retry_delay_s(attempts, first_s=first_s, longest_s=longest_s, jitter=jitter)
    whole_s = retry_delay_s(attempts, first_s=first_s, longest_s=longest_s, jitter=0)
    assert 0 < delay_s <= longest_s
    assert whole_s / 2 <= delay_s <= whole_s


@given(attempts=st.integers(1, 1000), first_s=st.floats(0.001, 3600))
def test_pauses_grow_until_the_longest(attempts: int, first_s: float) -> None:
    known = {"first_s": first_s, "longest_s": 7200.0, "jitter": 0.0}
    assert retry_delay_s(attempts, **known) <= retry_delay_s(attempts + 1, **known)


def test_the_pauses_of_the_default_settings() -> None:
    delays = [retry_delay_s(n, first_s=15, longest_s=7200, jitter=0) for n in range(1, 10)]
    assert delays == [15, 45, 135, 405, 1215, 3645, 7200, 7200, 7200]


@pytest.mark.parametrize(
    ("given_settings", "field"),
    [
        ({"smtp_host": "mail.example.org"}, "mail_from"),
        ({"smtp_host": "a host", "mail_from": "t@example.org"}, "smtp_host"),
        ({"smtp_port": 0}, "smtp_port"),
        ({"smtp_port": 65_536}, "smtp_port"),
        ({"smtp_tls": "ssl"}, "smtp_tls"),
        ({"mail_from": "t@example.org, other@example.org"}, "mail_from"),
        ({"mail_from": "t@example.org\nBcc: x@example.org"}, "mail_from"),
        ({"mail_from": "tables"}, "mail_from"),
        ({"smtp_timeout_s": 0}, "smtp_timeout_s"),
        ({"webhook_total_s": "inf"}, "webhook_total_s"),
        ({"message_retry_first_s": -1}, "message_retry_first_s"),
        ({"message_retry_longest_s": "nan"}, "message_retry_longest_s"),
        ({"message_max_attempts": 0}, "message_max_attempts"),
        ({"messages_suppressed": "perhaps"}, "messages_suppressed"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(given_settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(**given_settings)
    assert [error["loc"] for error in raised.value.errors()] == [(field,)]


@pytest.mark.parametrize("sender", ["t@example.org", "Tables <t@example.org>", "The Tables of Casa <t@example.org>"])
def test_a_sender_is_an_address_with_or_without_a_name(sender: str) -> None:
    assert Settings(smtp_host="mail.example.org", mail_from=sender).mail_from == sender
