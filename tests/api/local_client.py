"""A service in this process, asked without a network, with a clock that stands where the test puts it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from api.app import after_poll, create_app
from api.background.market_keeper import Feed
from api.settings import Settings


class StandingClock:
    """A clock that a test sets."""

    def __init__(self, now: dt.datetime = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def set_minute(self, epoch_minute: int, seconds: float = 0.0) -> None:
        """Stand so many seconds after an epoch minute."""
        self.now = dt.datetime.fromtimestamp(epoch_minute * 60 + seconds, dt.UTC)


class LocalClient:
    """Asks a service that was started for it; a context manager."""

    def __init__(
        self,
        settings: Settings,
        clock: StandingClock | None = None,
        feed: Feed | None = None,
        steady_s: Callable[[], float] | None = None,
    ) -> None:
        self.clock = clock or StandingClock()
        self.app = create_app(settings, clock=self.clock, feed=feed, steady_s=steady_s)
        self._runner = asyncio.Runner()
        self._lifespan = self.app.router.lifespan_context(self.app)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def __enter__(self) -> Self:
        self._runner.run(self._lifespan.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._client.aclose())
        self._runner.run(self._lifespan.__aexit__(kind, error, trace))
        self._runner.close()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request and its answer."""
        return self._runner.run(self._client.request(method, path, **options))

    def poll(self) -> None:
        """Let the service ask its feed once."""
        self._runner.run(self.app.state.service.keeper.turn())

    def poll_and_settle(self) -> None:
        """Let the service ask its feed once, and do all that it does after a poll."""
        self.poll()
        self._runner.run(after_poll(self.app.state.service))

    def wait(self, seconds: float) -> None:
        """Let the service go on with what it does by itself."""
        self._runner.run(asyncio.sleep(seconds))

    async def sleep(self, seconds: float) -> None:
        """Let a handler wait."""
        await asyncio.sleep(seconds)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """Send JSON; bytes go as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        return self.ask("POST", path, content=content, headers=headers, **options)

    def put(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.ask("PUT", path, json=body, **options)


def open_settings(folder: Path, **given: Any) -> Settings:
    """Settings for loopback without keys, with a database of their own."""
    own: dict[str, Any] = {
        "authentication": "off",
        "database_url": f"sqlite:///{folder / 'service.db'}",
        "requests_per_s": 1e6,
        "request_timeout_s": 300.0,
        "reports": folder,
    }
    return Settings.read(**own | given)
