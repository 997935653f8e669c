"""The token that a guest gets with a booking: whoever shows it may see, change and cancel that one booking.

It is 192 random bits, so a plain hash keeps it as safe as a slow one would. Only the hash is kept.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_TOKEN = re.compile(r"mb_[A-Za-z0-9_-]{32}")


def new_token() -> str:
    """A fresh one."""
    return f"mb_{secrets.token_urlsafe(24)}"


def looks_like_token(shown: str) -> bool:
    """Whether it has the form of a token."""
    return _TOKEN.fullmatch(shown) is not None


def hashed(token: str) -> bytes:
    """What `bookings.token_hash` has of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
