"""The service as an ASGI application: `create_app` puts it together, and nothing happens before it starts.

The service starts without torch: policies are served by numpy and compiled loops.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI

from api.clock import Clock, machine_clock
from api.gate import Gate
from api.logs import configure_logs
from api.metrics import Metrics
from api.openapi import describe
from api.policies import Policies
from api.refusing import add_refusals
from api.routes import assets, decisions, operation, policies
from api.service import Service
from api.settings import Authentication, Settings
from api.storage.database import Database

TITLE = "Battery arbitrage in the Belgian imbalance settlement"
log = structlog.get_logger("api.app")


def create_app(settings: Settings, *, clock: Clock = machine_clock) -> FastAPI:
    """The service with these settings.

    Raises BadInput for policies that cannot be served, before anything listens.
    """
    served = Policies(settings.policies, settings.served_by_default)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings.database_url)
        database.migrate()
        service = Service(settings, clock, metrics, served, database)
        app.state.service = service
        _say_start(settings)
        try:
            yield
        finally:
            await service.close()
            log.info("stopped")

    app = FastAPI(
        title=TITLE,
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    add_refusals(app)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    for module in (operation, decisions, assets, policies):
        app.include_router(module.router)
    return app


def from_environment() -> FastAPI:
    """The service as its worker processes make it. Raises BadInput."""
    settings = Settings.read()
    configure_logs(settings.log_level)
    return create_app(settings)


def _say_start(settings: Settings) -> None:
    if settings.authentication is Authentication.OFF:
        log.warning("authentication_is_off", host=settings.host, meaning="whoever reaches this machine may decide")
    log.info("started", host=settings.host, port=settings.port, policies=sorted(settings.policies))
