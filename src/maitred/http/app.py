"""The HTTP interface: its routes, and what stands before all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import psycopg
import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from maitred import __version__
from maitred.bootstrap import Application
from maitred.errors import DatabaseUnavailable
from maitred.http import guests, health, links, operators, problem, staff
from maitred.http.admission import Admission
from maitred.http.boundary import Boundary
from maitred.http.idempotency import sweep_records
from maitred.http.methods import Methods
from maitred.storage.database import Database

_MOST_SWEPT = 500
_CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-ID")
_CORS_SHOWN = ("ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-ID")

_log = structlog.get_logger(__name__)


def build_app(application: Application) -> FastAPI:
    """The ASGI application on parts that are open; whoever opened them closes them after it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(
            _keep_sweeping(application.database, application.settings.sweep_every_s), name="maitred-http-sweeper"
        )
        app.state.sweeping = sweeping
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.wait({sweeping})

    app = FastAPI(
        title="maitred",
        version=__version__,
        summary="Assigns restaurant tables to bookings: automatically, exactly and observably.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.application = application
    _complete_document(app)
    app.state.methods = methods = Methods(app.openapi)
    for room in (guests, staff, operators):
        app.include_router(room.router)
    app.include_router(health.router)
    if application.settings.http_metrics:
        app.add_api_route("/metrics", health.metrics, include_in_schema=False)
    problem.handle_errors(app)
    # the last one added stands outermost
    app.add_middleware(Admission, application=application, methods=methods)
    if application.settings.http_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(application.settings.http_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_CORS_HEADERS,
            expose_headers=_CORS_SHOWN,
            max_age=600,
        )
    app.add_middleware(Boundary)
    return app


def _complete_document(app: FastAPI) -> None:
    made = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            problem.declare(made())
            links.declare(made())
        return made()

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to change the document


async def _keep_sweeping(database: Database, every_s: float) -> NoReturn:
    while True:
        await asyncio.sleep(every_s)
        try:
            while await sweep_records(database, most=_MOST_SWEPT) == _MOST_SWEPT:
                pass
        except (DatabaseUnavailable, psycopg.Error) as error:
            _log.warning("http.sweep_failed", error=type(error).__name__)
