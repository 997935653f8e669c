"""How long a client goes on asking."""

from __future__ import annotations

import random
from dataclasses import dataclass

import httpx

_BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Patience:
    """`tries` in all, the first one included; pauses double from `first_pause_s` up to `longest_pause_s`.

    A server that says how long to wait is waited for, unless that is longer than `longest_pause_s`.
    """

    tries: int = 4
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first_pause_s < 0 or self.longest_pause_s < self.first_pause_s:
            raise ValueError("patience needs 1 try or more, and pauses of 0 s or more that grow")

    def pause_after(self, response: httpx.Response | None, tried: int) -> float | None:
        """Seconds until the next try; None when there should be none. Without a response: the connection failed."""
        if tried >= self.tries:
            return None
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** (tried - 1))
        pause = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads repetitions, keeps no secret
        if response is None:
            return pause
        said = retry_after_s(response)
        if response.status_code in _BUSY or (response.status_code == 409 and said is not None):
            if said is None:
                return pause
            return said if said <= self.longest_pause_s else None
        return None


def retry_after_s(response: httpx.Response) -> float | None:
    """The header Retry-After in seconds; None where it isn't there, or is a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else None
