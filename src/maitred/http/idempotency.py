"""Writes that are done once, however often they are asked for.

What a handler sees of it is one id: `Operation` (the header Idempotency-Key may be given) or `KeyedOperation` (it must
be). The id is the same in every repetition of the request with the same key, also after a process was killed in the
middle of the first; without a key it is a fresh one. A handler that names what it creates by this id, and looks whether
that is there already, does nothing twice.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request

_Key = Header(
    alias="Idempotency-Key",
    min_length=1,
    max_length=255,
    pattern=r"^[\x21-\x7e]+$",
    description="The same key and request give the same answer for a day, and nothing is done twice.",
)


def _operation(request: Request, key: Annotated[str | None, _Key] = None) -> UUID:  # noqa: ARG001 - admission has read it
    operation_id: UUID = request.state.operation_id
    return operation_id


def _keyed_operation(request: Request, key: Annotated[str, _Key]) -> UUID:  # noqa: ARG001 - admission has read it
    operation_id: UUID = request.state.operation_id
    return operation_id


Operation = Annotated[UUID, Depends(_operation)]
KeyedOperation = Annotated[UUID, Depends(_keyed_operation)]
