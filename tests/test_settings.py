"""Settings: what is refused at start, by the setting's name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from maitred.settings import Settings


@pytest.mark.parametrize("given", ["", ",", "5,,15", "-1", "5,-15", "nan", "inf", "soon", "5;15", "1e9", "[5,15]"])
def test_a_list_of_delays_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("MAITRED_RETRY_DELAYS_S", given)
    if given == "":
        assert Settings().retry_delays_s == (5.0, 15.0, 45.0)  # empty is as good as not set, for every setting
        return
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert caught.value.errors()[0]["loc"][0] == "retry_delays_s"


def test_delays_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAITRED_RETRY_DELAYS_S", "1, 2.5,60")
    assert Settings().retry_delays_s == (1.0, 2.5, 60.0)


def test_the_retry_policy_is_1_or_2(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in (1, 2):
        monkeypatch.setenv("MAITRED_RETRY_POLICY", str(given))
        assert Settings().retry_policy == given
    for wrong in ("3", "0", "two", "1.0"):
        monkeypatch.setenv("MAITRED_RETRY_POLICY", wrong)
        with pytest.raises(ValidationError):
            Settings()
