"""Errors as RFC 9457 problem documents.

Handlers raise domain errors; this is the one place that makes answers of them. Nothing of an unexpected error gets out
but that there was one.
"""

from __future__ import annotations

import http
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from maitred import errors

MEDIA_TYPE = "application/problem+json"

_TYPE = "urn:maitred:problem:"
_MOST_ERRORS = 20

# By class, the nearest one in the tree counts.
_STATUS: Mapping[type[errors.MaitredError], int] = {
    errors.MaitredError: 500,
    errors.InvalidInput: 422,
    errors.DatabaseUnavailable: 503,
    errors.SchemaMismatch: 503,
    errors.EmbeddedServerFailed: 503,
    errors.NotFound: 404,
    errors.AmbiguousReference: 409,
    errors.AlreadyExists: 409,
    errors.TableInUse: 409,
    errors.PacingExceeded: 409,
    errors.ImportRefused: 422,
    errors.AssignmentError: 409,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.RateLimited: 429,
    errors.IdempotencyKeyReused: 422,
    errors.StillRunning: 409,
    errors.VersionConflict: 412,
    errors.VersionNeeded: 428,
}

_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)

_log = structlog.get_logger(__name__)


class FieldProblem(BaseModel):
    """One thing that is wrong with a request. `field` is a path into it, as `body.party` or `query.date`."""

    field: str
    problem: str


class Problem(BaseModel):
    """An RFC 9457 problem document. `type` and `code` are stable; `title` and `detail` are for people."""

    type: str = Field(examples=[f"{_TYPE}not_found"])
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    field: str | None = Field(default=None, description="The first field that is wrong, where it is about fields.")
    errors: list[FieldProblem] | None = Field(default=None, description="All fields that are wrong, at most 20.")
    request_id: str | None = None


class ProblemAnswer(JSONResponse):
    """An answer with a problem document."""

    media_type = MEDIA_TYPE


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str | None,
    field_problems: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemAnswer:
    """The answer for these facts."""
    document = Problem(
        type=_TYPE + code,
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        field=field_problems[0].field if field_problems else None,
        errors=list(field_problems) or None,
        request_id=request_id,
    )
    headers = {**(headers or {}), "Cache-Control": "no-store"}
    return ProblemAnswer(document.model_dump(exclude_none=True), status, headers)


def answer_to(error: Exception, request_id: str | None) -> ProblemAnswer:
    """The answer to any error. An unexpected one is logged by its kind and place, never by its words."""
    if isinstance(error, errors.RequestRefused):
        return answer(error.status, error.refused_code, str(error), request_id=request_id)
    if isinstance(error, errors.InvalidInput):
        return answer(
            422,
            error.code,
            f"{error.field}: {error.problem}",
            request_id=request_id,
            field_problems=[FieldProblem(field=error.field, problem=error.problem)],
        )
    if isinstance(error, errors.ImportRefused):
        wrong = [
            FieldProblem(field=column if line is None else f"line {line}: {column}", problem=problem)
            for line, column, problem in error.problems[:_MOST_ERRORS]
        ]
        return answer(422, error.code, str(error), request_id=request_id, field_problems=wrong)
    if isinstance(error, errors.MaitredError):
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        if status < 500:
            return answer(status, error.code, str(error), request_id=request_id, headers=_headers(error))
        _log.error("http.failed", code=error.code, request_id=request_id)
        detail = "try again later" if status == 503 else "something failed here; it was logged"
        return answer(status, error.code, detail, request_id=request_id, headers={"Retry-After": "2"})
    if isinstance(error, RequestValidationError):
        return _invalid(error, request_id)
    if isinstance(error, HTTPException):
        code = re.sub(r"\W+", "_", http.HTTPStatus(error.status_code).phrase.lower())
        return answer(
            error.status_code,
            code,
            http.HTTPStatus(error.status_code).description or http.HTTPStatus(error.status_code).phrase,
            request_id=request_id,
            headers=error.headers,
        )
    if isinstance(error, _BUSY):
        return answer(503, "busy", "try again later", request_id=request_id, headers={"Retry-After": "1"})
    if isinstance(error, psycopg.errors.ForeignKeyViolation):
        return answer(404, "not_found", "something that this belongs to was deleted just now", request_id=request_id)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        # the second wall: a row of somebody else's, and that it is there is not told either
        _log.error("http.second_wall", at=_place(error), request_id=request_id)
        return answer(404, "not_found", "nothing of this kind has this name", request_id=request_id)
    _log.error("http.unexpected", error=type(error).__name__, at=_place(error), request_id=request_id)
    return answer(500, "internal", "something failed here; it was logged", request_id=request_id)


def _headers(error: errors.MaitredError) -> dict[str, str]:
    if isinstance(error, (errors.RateLimited, errors.StillRunning)):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="maitred"'}
    if isinstance(error, errors.VersionConflict):
        return {"ETag": f'"{error.current}"'}
    return {}


def _invalid(error: RequestValidationError, request_id: str | None) -> ProblemAnswer:
    """Names the fields and the rules, and repeats nothing of what was sent."""
    found = [
        FieldProblem(field=_path(each["loc"]), problem=_words(each)) for each in list(error.errors())[:_MOST_ERRORS]
    ]
    malformed = any(each["type"] == "json_invalid" for each in error.errors())
    if malformed:
        return answer(400, "malformed_json", "the body is not JSON", request_id=request_id)
    detail = f"{found[0].field}: {found[0].problem}" if found else "the request is not valid"
    return answer(422, "invalid_input", detail, request_id=request_id, field_problems=found)


def _path(loc: Sequence[object]) -> str:
    return ".".join(str(part)[:100] for part in loc) or "body"


def _words(problem: Mapping[str, Any]) -> str:
    return str(problem["msg"]).removeprefix("Value error, ")[:300]


def _place(error: BaseException) -> str | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"


async def _handle(request: Request, error: Exception) -> ProblemAnswer:
    answered = answer_to(error, getattr(request.state, "request_id", None))
    if answered.status_code == 405:
        # each method is a route of its own, and the one that was nearest knows of itself alone
        answered.headers["Allow"] = ", ".join(sorted(request.app.state.methods.of(request.url.path)))
    return answered


def handle_errors(app: FastAPI) -> None:
    """Lets the app answer every error with a problem document, and declares them for every route."""
    for kind in (errors.MaitredError, RequestValidationError, HTTPException, psycopg.Error):
        app.add_exception_handler(kind, _handle)


def declare(document: dict[str, Any]) -> None:
    """Writes into an OpenAPI document which problems a route may answer with: the same for all."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in document.get("paths", {}).items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            if path.startswith("/v1/"):
                versioned = any(each["name"] == "If-Match" for each in operation.get("parameters", ()))
                for status in ("401", "403", "404", "409", *(("412", "428") if versioned else ()), "422", "429"):
                    phrase = http.HTTPStatus(int(status)).phrase
                    responses.setdefault(status, {"description": phrase, "content": content})
            responses.setdefault("4XX", {"description": "What was asked for can't be had", "content": content})
            responses.setdefault("5XX", {"description": "Something failed here", "content": content})
