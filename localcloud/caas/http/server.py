"""Puts the parts together: the application with its reconciler, and the HTTP server around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from localcloud.caas import errors
from localcloud.caas.clock import BillingClock
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.reconciler import Reconciler
from localcloud.caas.domain.store import Store
from localcloud.caas.http import admin, routes
from localcloud.caas.http.gate import Gate
from localcloud.caas.quirks import Quirks, Switches
from localcloud.caas.runtime.runtime import ContainerRuntime
from localcloud.caas.settings import Settings


def create_app(
    settings: Settings,
    runtime: ContainerRuntime,
    *,
    quirks: Quirks | None = None,
    clock: BillingClock | None = None,
) -> FastAPI:
    """Return the application; its reconciler runs while the application does."""
    cloud = Cloud(
        settings=settings,
        store=Store(settings.database),
        runtime=runtime,
        clock=clock or BillingClock(settings.clock_speed),
        switches=Switches(quirks),
    )

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        reconciler = Reconciler(cloud)
        reconciler.start()
        yield
        if await run_in_threadpool(reconciler.stop):
            cloud.store.close()

    app = FastAPI(lifespan=running, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.cloud = cloud
    app.include_router(routes.router)
    app.include_router(admin.router)
    app.add_middleware(Gate, cloud=cloud, cut=cut_connection)
    errors.install(app)
    return app


def server(app: FastAPI, *, host: str, port: int) -> uvicorn.Server:
    """Return the server; port 0 takes a free one."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=_Cuttable,
            ws="none",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )


def cut_connection(scope: Scope) -> bool:
    """Close the connection of a request without an answer."""
    protocol = _Cuttable.of_clients.get(tuple(scope.get("client") or ()))
    if protocol is None:
        return False
    protocol.transport.abort()
    return True


class _Cuttable(H11Protocol):
    """Keeps connections by client address, so that one can be cut."""

    of_clients: dict[tuple[object, ...], _Cuttable] = {}  # noqa: RUF012 one table for all of them

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.of_clients[tuple(self.client or ())] = self

    def connection_lost(self, exc: Exception | None) -> None:
        self.of_clients.pop(tuple(self.client or ()), None)
        super().connection_lost(exc)
