"""When to try again: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maitred.auto_assign.retry import (
    MOST_ATTEMPTS,
    Beginning,
    InlineOutcome,
    PolicyVersion,
    RetryRules,
    RunState,
    Stop,
    TryAgain,
    begin,
    decide,
)
from maitred.model.reason import ReasonCategory, ReasonCode

NOW = datetime(2030, 6, 5, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=5)
HARD = [code for code in ReasonCode if code.category is ReasonCategory.HARD]
SOFT = [code for code in ReasonCode if code.category is not ReasonCategory.HARD]
versions = st.sampled_from((1, 2))


def after(
    attempt_index: int,
    rules: RetryRules | None = None,
    reason: ReasonCode = ReasonCode.HOLD_CONFLICT,
    starts_at: datetime = LATER,
) -> TryAgain | Stop:
    rules = rules or RetryRules()
    return decide(rules, RunState(rules.max_attempts, attempt_index, NOW, starts_at), reason, NOW)


def test_the_pauses_are_those_of_the_rules_and_count_from_the_attempts_start() -> None:
    assert [after(index) for index in (0, 1, 2)] == [TryAgain(NOW + timedelta(seconds=pause)) for pause in (5, 15, 45)]
    assert after(3) == Stop("exhausted")


def test_the_last_pause_repeats() -> None:
    assert after(7, RetryRules(max_retries=10)) == TryAgain(NOW + timedelta(seconds=45))


def test_an_attempt_that_took_longer_than_its_pause_is_followed_at_once() -> None:
    rules = RetryRules()
    state = RunState(rules.max_attempts, 0, NOW, LATER)
    late = NOW + timedelta(seconds=20)
    assert decide(rules, state, ReasonCode.HOLD_CONFLICT, late) == TryAgain(late)


def test_a_hard_reason_ends_the_retries_in_version_2_and_not_in_version_1() -> None:
    assert after(0, reason=ReasonCode.NO_CAPACITY) == Stop("exhausted", ReasonCode.NO_CAPACITY)
    assert isinstance(after(0, RetryRules(version=1), ReasonCode.NO_CAPACITY), TryAgain)


@pytest.mark.parametrize("version", [1, 2])
def test_a_booking_that_is_over_ends_its_run_in_every_version(version: PolicyVersion) -> None:
    for reason in (ReasonCode.NOT_PENDING, ReasonCode.SUPERSEDED, ReasonCode.START_PASSED):
        assert after(0, RetryRules(version=version), reason) == Stop("exhausted", reason)


def test_nothing_is_tried_again_within_the_cutoff() -> None:
    starts_at = NOW + timedelta(minutes=10, seconds=5)
    assert after(0, starts_at=starts_at) == Stop("cutoff")
    assert isinstance(after(0, starts_at=starts_at + timedelta(seconds=1)), TryAgain)


@given(st.integers(0, 50), st.lists(st.floats(0, 1e6), min_size=1, max_size=10), versions, st.sampled_from(SOFT))
def test_every_run_ends_and_makes_at_most_eleven_attempts(
    max_retries: int, delays: list[float], version: PolicyVersion, reason: ReasonCode
) -> None:
    rules = RetryRules(max_retries=max_retries, delays_s=tuple(delays), version=version)
    made = 0
    for index in range(20):
        made += 1
        if isinstance(after(index, rules, reason), Stop):
            break
    assert made <= MOST_ATTEMPTS


@given(st.sampled_from(HARD), st.integers(0, 10))
def test_hard_reasons_never_lead_to_another_attempt_in_version_2(reason: ReasonCode, index: int) -> None:
    assert isinstance(after(index, reason=reason), Stop)


def ago(minutes: float, reason: ReasonCode) -> InlineOutcome:
    return InlineOutcome(reason, NOW - timedelta(minutes=minutes))


@pytest.mark.parametrize("reason", HARD)
def test_after_a_recent_hard_inline_failure_the_first_attempt_is_skipped_and_two_are_the_limit(
    reason: ReasonCode,
) -> None:
    beginning = begin(RetryRules(), ago(1, reason), NOW)
    assert (beginning.first_attempt, beginning.max_attempts, beginning.skip_reason) == (1, 2, reason)
    older = begin(RetryRules(), ago(5, reason), NOW)
    assert older == Beginning(first_attempt=0, max_attempts=2, due_at=NOW)


def test_the_attempt_after_a_skipped_one_is_due_when_the_first_pause_is_over() -> None:
    inline = InlineOutcome(ReasonCode.NO_CAPACITY, NOW)
    assert begin(RetryRules(), inline, NOW).due_at == NOW + timedelta(seconds=5)


def test_after_an_inline_time_out_the_strategy_is_looser_and_three_attempts_are_the_limit() -> None:
    beginning = begin(RetryRules(), ago(1, ReasonCode.TIMEOUT), NOW)
    assert beginning.adjusted
    assert (beginning.require_adjacency, beginning.max_tables, beginning.max_attempts) == (False, 4, 3)
    assert begin(RetryRules(max_retries=1), ago(1, ReasonCode.TIMEOUT), NOW).max_attempts == 2


def test_other_inline_failures_change_nothing_and_version_1_ignores_them_all() -> None:
    plain = begin(RetryRules(), None, NOW)
    assert begin(RetryRules(), ago(1, ReasonCode.HOLD_CONFLICT), NOW) == plain
    for reason in ReasonCode:
        assert begin(RetryRules(version=1), ago(1, reason), NOW) == plain


@given(st.sampled_from(list(ReasonCode)), st.floats(0, 60), st.integers(0, 20), versions)
def test_a_beginning_always_leaves_at_least_one_attempt(
    reason: ReasonCode, minutes: float, max_retries: int, version: PolicyVersion
) -> None:
    rules = RetryRules(max_retries=max_retries, version=version)
    beginning = begin(rules, ago(minutes, reason), NOW)
    assert 1 <= beginning.max_attempts <= rules.max_attempts
    assert beginning.first_attempt < beginning.max_attempts
