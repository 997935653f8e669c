"""Kept answers, readable only to whoever shows the key or token again that the first request showed.

An answer may hold what is shown once: a new API key, a webhook's secret, a booking's token. The database keeps only
hashes of those, so it must not keep them beside in clear for the sake of repetitions.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_PURPOSE = b"maitred kept answer"


class Seal:
    """Made of the caller's secret and the request's Idempotency-Key; neither is kept here."""

    __slots__ = ("_bound_to", "_cipher")

    def __init__(self, secret: str, idempotency_key: str) -> None:
        self._cipher = AESGCM(hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256))
        self._bound_to = idempotency_key.encode()

    def close(self, body: bytes) -> bytes:
        """The body, sealed."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, self._bound_to)

    def open(self, sealed: bytes) -> bytes:
        """The body again. Raises cryptography's InvalidTag for anything that this caller didn't seal for this key."""
        return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._bound_to)
