"""The application's parts as a request's handler gets them: its database and desk see the caller's venues alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from maitred.bootstrap import Application
from maitred.http.access import Caller, Principal


def parts_for(request: Request, principal: Principal) -> Application:
    """The parts as this caller may use them."""
    application: Application = request.app.state.application
    database = application.database.scoped(principal.restaurant_ids, every_venue=principal.every_venue)
    return replace(application, database=database, desk=replace(application.desk, database=database))


async def _parts(request: Request, principal: Caller) -> Application:
    return parts_for(request, principal)


Parts = Annotated[Application, Depends(_parts)]
