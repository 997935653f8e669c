"""What came of one delivery, and when to try again. Pure.

Errors are named in words of ours and in numbers: what a server says may repeat the guest's address.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side has taken it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Not this time; worth another attempt."""

    error: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: another attempt would come to the same."""

    error: str


@dataclass(frozen=True, slots=True)
class Away:
    """The server is at fault, not the message: nothing of this kind can be delivered now.

    `counts` when this message was on its way as it happened. Then the message may be the reason, and it uses up an
    attempt, so that one message can't hold up all the others for ever.
    """

    error: str
    counts: bool = False


Verdict: TypeAlias = Sent | Failed | Refused
Outcome: TypeAlias = Verdict | Away


def retry_delay_s(attempts: int, *, first_s: float, longest_s: float, jitter: float) -> float:
    """Seconds to wait after so many attempts: three times longer each time, up to the longest, and then by up to half
    shorter, as `jitter` in [0, 1] says, so that those who failed together don't come back together.
    """
    factor = 3.0 ** min(max(attempts, 1) - 1, 20)
    return min(longest_s, first_s * factor) * (1.0 - 0.5 * jitter)


def is_about_tls(error: BaseException) -> bool:
    """Whether an error goes back to a failed handshake or a certificate that doesn't fit."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
