"""The application's parts as a request's handler gets them: its database and desk see the caller's venues alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from maitred.bootstrap import Application
from maitred.http.access import Caller


async def _parts(request: Request, principal: Caller) -> Application:
    application: Application = request.app.state.application
    database = application.database.scoped(principal.restaurant_ids, every_venue=principal.every_venue)
    return replace(application, database=database, desk=replace(application.desk, database=database))


Parts = Annotated[Application, Depends(_parts)]
