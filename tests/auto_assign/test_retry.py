"""When to try again: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from maitred.auto_assign.retry import MOST_ATTEMPTS, RetryRules, Stop, TryAgain, decide
from maitred.model.reason import ReasonCategory, ReasonCode

NOW = datetime(2030, 6, 5, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=5)
TRANSIENT = [code for code in ReasonCode if code.category is not ReasonCategory.HARD]
HARD = [code for code in ReasonCode if code.category is ReasonCategory.HARD]


def after(used: int, rules: RetryRules | None = None, reason: ReasonCode = ReasonCode.HOLD_CONFLICT) -> TryAgain | Stop:
    return decide(rules or RetryRules(), attempts_used=used, attempt_began=NOW, starts_at=LATER, reason=reason)


def test_the_pauses_are_those_of_the_rules_and_count_from_the_attempts_start() -> None:
    due = [after(used) for used in (1, 2, 3)]
    assert due == [TryAgain(NOW + timedelta(seconds=pause)) for pause in (5, 15, 45)]
    assert after(4) == Stop("exhausted")


def test_the_last_pause_repeats() -> None:
    assert after(7, RetryRules(max_retries=10)) == TryAgain(NOW + timedelta(seconds=45))


def test_a_hard_reason_ends_the_retries_and_is_named() -> None:
    assert after(1, reason=ReasonCode.NO_CAPACITY) == Stop("exhausted", ReasonCode.NO_CAPACITY)
    patient = RetryRules(stop_on_hard=False)
    assert isinstance(after(1, patient, ReasonCode.NO_CAPACITY), TryAgain)


def test_nothing_is_tried_again_within_the_cutoff() -> None:
    rules = RetryRules()
    starts_at = NOW + timedelta(minutes=10, seconds=5)
    assert decide(
        rules, attempts_used=1, attempt_began=NOW, starts_at=starts_at, reason=ReasonCode.HOLD_CONFLICT
    ) == Stop("cutoff")
    just_before = starts_at + timedelta(seconds=1)
    assert isinstance(
        decide(rules, attempts_used=1, attempt_began=NOW, starts_at=just_before, reason=ReasonCode.HOLD_CONFLICT),
        TryAgain,
    )


@given(
    st.integers(0, 50),
    st.lists(st.floats(0, 1e6), min_size=1, max_size=10).map(tuple),
    st.sampled_from(TRANSIENT),
    st.integers(1, 60),
)
def test_there_are_never_more_than_eleven_attempts_and_every_run_ends(
    max_retries: int, delays: tuple[float, ...], reason: ReasonCode, used: int
) -> None:
    rules = RetryRules(max_retries=max_retries, delays_s=delays)
    assert rules.max_attempts <= MOST_ATTEMPTS
    decision = after(used, rules, reason)
    if used >= rules.max_attempts:
        assert isinstance(decision, Stop)
    if isinstance(decision, TryAgain):
        assert decision.due_at >= NOW


@given(st.sampled_from(HARD), st.integers(1, 20))
def test_hard_reasons_never_lead_to_another_attempt(reason: ReasonCode, used: int) -> None:
    assert isinstance(after(used, reason=reason), Stop)
