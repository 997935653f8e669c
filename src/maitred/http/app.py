"""The HTTP interface: its routes, and what stands before all of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from maitred import __version__
from maitred.bootstrap import Application
from maitred.http import guests, operators, problem, staff
from maitred.http.admission import Admission


def build_app(application: Application) -> FastAPI:
    """The ASGI application on parts that are open; whoever opened them closes them after it."""
    app = FastAPI(
        title="maitred",
        version=__version__,
        summary="Assigns restaurant tables to bookings: automatically, exactly and observably.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.application = application
    for room in (guests, staff, operators):
        app.include_router(room.router)
    problem.handle_errors(app)
    app.add_middleware(Admission, application=application)
    _declare_problems(app)
    return app


def _declare_problems(app: FastAPI) -> None:
    made = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            problem.declare(made())
        return made()

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to change the document
