"""What can go wrong with a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ClientError(Exception):
    """Base of what this client raises by itself."""


class NoAnswer(ClientError):
    """No answer that can be understood, after all repetitions. A write may have been done or not: repeat it with the
    same `idempotency_key`."""

    def __init__(self, what: str, idempotency_key: str | None) -> None:
        super().__init__(what)
        self.idempotency_key = idempotency_key


class ProblemError(ClientError):
    """The server's problem document (RFC 9457). `code` is stable; `errors` are pairs of field and problem."""

    def __init__(self, status: int, document: Mapping[str, Any], retry_after_s: float | None) -> None:
        self.status = status
        self.code = str(document.get("code", "unknown"))
        self.detail = str(document.get("detail", ""))
        self.field = None if document.get("field") is None else str(document["field"])
        self.errors = tuple(_pairs(document.get("errors")))
        self.request_id = None if document.get("request_id") is None else str(document["request_id"])
        self.retry_after_s = retry_after_s
        super().__init__(f"{status} {self.code}: {self.detail}")


def _pairs(given: object) -> Sequence[tuple[str, str]]:
    if not isinstance(given, list):
        return ()
    return [(str(each.get("field", "")), str(each.get("problem", ""))) for each in given if isinstance(each, dict)]
