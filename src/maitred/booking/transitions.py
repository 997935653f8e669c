"""What staff may make of a booking during service, as a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from maitred.model.booking import BookingStatus


class Transition(StrEnum):
    """A step of service."""

    CHECK_IN = "check_in"
    NO_SHOW = "no_show"
    COMPLETE = "complete"

    @property
    def after(self) -> BookingStatus:
        """The status it leads to."""
        return _STEPS[self][1]

    @property
    def before(self) -> BookingStatus:
        """The only status it leads from."""
        return _STEPS[self][0]


_STEPS: Mapping[Transition, tuple[BookingStatus, BookingStatus]] = {
    Transition.CHECK_IN: (BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN),
    Transition.NO_SHOW: (BookingStatus.CONFIRMED, BookingStatus.NO_SHOW),
    Transition.COMPLETE: (BookingStatus.CHECKED_IN, BookingStatus.COMPLETED),
}

Verdict = Literal["go", "done", "wrong_status", "too_early"]


def verdict(transition: Transition, status: BookingStatus, starts_at: datetime, now: datetime) -> Verdict:
    """Whether the step may be taken. `done`: somebody has taken it already, and nothing is to be changed.

    Nobody has failed to show before the booking's start; all else may be early or late. `now` is the business's clock.
    """
    if status is transition.after:
        return "done"
    if status is not transition.before:
        return "wrong_status"
    if transition is Transition.NO_SHOW and now < starts_at:
        return "too_early"
    return "go"
