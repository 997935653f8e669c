"""The whole HTTP interface for a test: on a fresh database, in this process or behind a real server on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import pytest_asyncio
from fastapi import FastAPI

from maitred.bootstrap import Application, open_application
from maitred.http.app import build_app
from maitred.http.keys import create_key
from maitred.http.role import Role
from maitred.http.server import listen, serving
from maitred.settings import Settings
from tests.house import House, build_house


@dataclass
class Api:
    """The interface, its parts, and keys: `client()` asks in this process, `serve()` opens it on loopback."""

    application: Application
    app: FastAPI
    stack: contextlib.AsyncExitStack
    keys: dict[tuple[Role, frozenset[UUID]], str] = field(default_factory=dict)

    async def key(self, role: Role, *restaurant_ids: UUID) -> str:
        """The text of a key of this role for these venues, or for every venue."""
        wanted = (role, frozenset(restaurant_ids))
        if wanted not in self.keys:
            _, self.keys[wanted] = await create_key(
                self.application.database,
                name="test",
                role=role,
                restaurant_ids=restaurant_ids,
                every_venue=not restaurant_ids,
            )
        return self.keys[wanted]

    async def client(self, role: Role | None = None, *restaurant_ids: UUID, base_url: str = "") -> httpx.AsyncClient:
        """A client with such a key, or with none; in this process, or at `base_url`."""
        headers = {} if role is None else {"Authorization": f"Bearer {await self.key(role, *restaurant_ids)}"}
        transport = None if base_url else httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(
            transport=transport, base_url=base_url or "http://maitred", headers=headers, timeout=30
        )
        return await self.stack.enter_async_context(client)

    async def house(self, capacities: tuple[int, ...] = (2, 2, 4, 4, 6)) -> House:
        """A venue of its own, that serves from 10:00 to 23:00 UTC on every day."""
        return await build_house(self.application.database, capacities)

    async def serve(self) -> str:
        """A real uvicorn on loopback; gives its address."""
        bound = listen("127.0.0.1", 0)
        port = bound.getsockname()[1]
        await self.stack.enter_async_context(serving(self.app, self.application.settings, bound, grace_s=5))
        return f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def open_api(database_url: str, **settings: object) -> AsyncIterator[Api]:
    """The interface on this database, with these settings besides the defaults."""
    async with contextlib.AsyncExitStack() as stack:
        known = {"database_url": database_url, "sweep_every_s": 3600, **settings}
        application = await stack.enter_async_context(open_application(Settings.model_validate(known)))
        app = build_app(application)
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield Api(application, app, await stack.enter_async_context(contextlib.AsyncExitStack()))


@pytest_asyncio.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """The interface on a fresh database."""
    async with open_api(database_url) as opened:
        yield opened
