"""The service as an ASGI application: `create_app` puts it together, and nothing happens before it starts.

The service starts without torch: policies are served by numpy and compiled loops.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import Depends, FastAPI

from api.background.feed_sources import feed_of
from api.background.market_keeper import Feed, MarketKeeper
from api.background.warm_up import warm_up_all
from api.clock import Clock, JumpWatch, machine_clock, machine_steady_s
from api.decisions.challenge import let_challengers_decide
from api.decisions.decide import read_ahead
from api.dependencies import single_parameters
from api.fast_route import DirectRoute, documented_route
from api.http.error_handlers import add_refusals
from api.http.middleware import RequestMiddleware
from api.http.openapi import describe
from api.logs import configure_logs
from api.metrics import Metrics
from api.policies import Policies
from api.routes import assets, backtests, decisions, operation, page, policies, reconciliation
from api.routes import dashboard as watching
from api.schemas.decisions import SCHEMA_VERSION
from api.service import Service
from api.settings import Authentication, Settings
from api.storage.database.database import Database
from arbitrage.live.quality import Quality

SWITCH_INTERVAL_S = 0.0005
TITLE = "Battery arbitrage in the Belgian imbalance settlement"
log = structlog.get_logger("api.app")


def create_app(
    settings: Settings,
    *,
    clock: Clock = machine_clock,
    steady_s: Callable[[], float] | None = None,
    feed: Feed | None = None,
) -> FastAPI:
    """The service with these settings; `feed` takes the place of the one that the settings name.

    steady_s: what the clock is compared with; the machine's for the machine's, else the clock itself.
    Raises BadInput for policies that cannot be served, before anything listens.
    """
    served = Policies(settings.policies, settings.served_by_default, settings.pinned_policies)
    metrics = Metrics()
    steady = steady_s or (machine_steady_s if clock is machine_clock else lambda: clock().timestamp())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings.database_url)
        database.migrate()
        service = Service(settings, clock, metrics, served, database, JumpWatch(clock, steady))
        app.state.service = service
        _say_start(settings)
        service.runner.start()
        service.storage_watch.start()
        if service.retention_task is not None:
            service.retention_task.start()
        warming = asyncio.create_task(warm_up_all(service.policies, service.threads, service.unready))
        kept = feed or await service.behind(feed_of, settings, served, clock)
        if kept is not None:
            service.keeper = MarketKeeper(kept, service.threads, settings.feed_interval_s)
            service.keeper.start(partial(after_poll, service))
        try:
            yield
        finally:
            warming.cancel()
            await service.close()
            log.info("stopped")

    app = FastAPI(
        title=TITLE,
        version=SCHEMA_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The service counts and logs by itself; the framework would look for exporters at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    _furnish(app, settings, metrics)
    return app


def _furnish(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """RequestMiddleware, refusals, document and routes; of the layers, the one added last is met first."""
    app.add_middleware(DirectRoute, route=documented_route(decisions.router, decisions.post_decision))
    app.add_middleware(RequestMiddleware, settings=settings, metrics=metrics)
    add_refusals(app)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    for module in (operation, decisions, assets, policies, backtests, reconciliation, watching, page):
        app.include_router(module.router, dependencies=[Depends(single_parameters)])


async def after_poll(service: Service) -> None:
    """After each poll: settle what can be settled, read what will be asked for, let challengers decide."""
    if service.keeper is not None:
        if not any(quality is Quality.CLOCK for quality, _ in service.keeper.snapshot.reported):
            service.jumps.believe()
        await service.behind(service.settler.settle, service.keeper.snapshot.market, service.clock())
        await read_ahead(service)
        await let_challengers_decide(service)


def app_to_serve(settings: Settings) -> FastAPI:
    """The service as a process of its own runs it. Raises BadInput."""
    app = create_app(settings)
    # What is loaded by now stays for good: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    # Deciding needs the interpreter for a moment, many times: it need not wait long for threads that read.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return app


def from_environment() -> FastAPI:
    """The service as its worker processes make it. Raises BadInput."""
    settings = Settings()  # as the process that started this one has checked them
    configure_logs(settings.log_level)
    return app_to_serve(settings)


def _say_start(settings: Settings) -> None:
    if settings.authentication is Authentication.OFF:
        log.warning(
            "authentication_is_off", host=settings.host, meaning="every client that reaches this machine may decide"
        )
    log.info("started", host=settings.host, port=settings.port, policies=sorted(settings.policies))
