"""The service in this process, asked over its own interface, and listening on a port as well if anybody wants to watch.

Contract
- The caller holds the clock and hands over the market: nothing moves between two requests.
- What it answers has gone the whole way: request, decision, log, answer.
"""

from __future__ import annotations

import datetime as dt
import socket
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from api.app import create_app
from api.background.settle_prices import settle
from api.clock import minute_time, utc_text
from api.commands.listening import bound_sockets
from api.commands.server import server_options
from api.logs import configure_logs
from api.settings import Settings
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, Fault
from arbitrage.live.challenger import Setpoint
from arbitrage.live.decision import AssetState
from arbitrage.live.feed import Snapshot
from arbitrage.live.live_battery import LiveBattery
from arbitrage.quarter_hour import epoch_minute

ASSET = "simulated"
_LOOPBACK = "127.0.0.1"
_SEEN = ("indicative_price_eur_mwh", "previous_indicative_price_eur_mwh", "last_price_eur_mwh")


class HeldFeed:
    """A feed whose records are handed over by the caller."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()

    def poll(self) -> Snapshot:
        """What was handed over last."""
        return self.snapshot


class InProcessService:
    """One service for one asset; a context manager. Raises BadInput for policies that cannot be served."""

    def __init__(
        self,
        policies: dict[str, str],
        policy_id: str,
        battery: Battery,
        *,
        risk_aversion: float | None = None,
        port: int | None = None,
    ) -> None:
        """`port`: where it listens besides, on loopback; None: nowhere."""
        self._policy_id, self._battery, self._port = policy_id, battery, port
        self._policies = policies
        self._risk = {} if risk_aversion is None else {"risk": {"aversion": risk_aversion}}
        self._feed, self._now_s = HeldFeed(), 0.0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        configure_logs("error")
        sockets = [] if self._port is None else list(bound_sockets(_LOOPBACK, self._port))
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="arbitrage-simulation-")))
        self._app = create_app(self._settings(folder), clock=self._clock, feed=self._feed)
        self._portal: BlockingPortal = self._stack.enter_context(start_blocking_portal())
        lifespan = self._app.router.lifespan_context(self._app)
        self._stack.enter_context(self._portal.wrap_async_context_manager(lifespan))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://127.0.0.1", timeout=60.0)
        self._client = self._stack.enter_context(self._portal.wrap_async_context_manager(client))
        if sockets:
            self._listen(sockets)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def begin(self, asset: LiveBattery, now_s: float) -> None:
        """Put the battery into the service's care."""
        self._now_s = now_s
        state = asset.state
        body = {
            "battery": {name: getattr(self._battery, name) for name in Battery.__dataclass_fields__},
            "policy_id": self._policy_id,
            "state": {"soc_mwh": state.soc_mwh, "cycles_used_today": state.cycles_used},
        }
        self._ask("PUT", f"/v1/assets/{ASSET}", body)

    def receive(self, snapshot: Snapshot, now_s: float) -> None:
        """Let the service know what the feed brought, and settle what that settles."""
        is_new = snapshot.version != self._feed.snapshot.version
        self._now_s, self._feed.snapshot = now_s, snapshot
        service = self._app.state.service
        self._portal.call(service.keeper.turn)
        if is_new:
            self._portal.call(partial(service.beside, settle, service.prices, snapshot.market, self._clock()))

    def decide(self, _snapshot: Snapshot, time: int, now_s: float, state: AssetState) -> Setpoint:
        """Ask for the interval that begins at an epoch minute; the snapshot is the one handed over last."""
        self._now_s = now_s
        body = {
            "asset_id": ASSET,
            "at": utc_text(minute_time(time)),
            "state": {
                "soc_mwh": state.battery.soc_mwh,
                "cycles_used_today": state.battery.cycles_used,
                "profit_today_eur": state.profit_today_eur,
            },
        }
        return _setpoint(self._ask("POST", "/v1/decisions", body | self._risk))

    def _ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._portal.call(partial(self._client.request, method, path, json=body))
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            faults = answer.json()["faults"]
            raise BadInput([Fault(each["field"], each["message"]) for each in faults])
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        document: dict[str, Any] = answer.json()
        return document

    def _clock(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._now_s, dt.UTC)

    def _settings(self, folder: Path) -> Settings:
        return Settings.read(
            policies=self._policies,
            default_policy=self._policy_id,
            authentication="off",
            database_url=f"sqlite:///{folder / 'simulation.db'}",
            reports=folder,
            requests_per_s=1e6,
            burst=10**6,
            request_timeout_s=60.0,
            feed_interval_s=1e6,
        )

    def _listen(self, sockets: list[socket.socket]) -> None:
        config = uvicorn.Config(self._app, **server_options(self._app.state.service.settings) | {"lifespan": "off"})
        server = uvicorn.Server(config)
        serving = self._portal.start_task_soon(server.serve, sockets)

        def stop() -> None:
            server.should_exit = True
            serving.result()

        self._stack.callback(stop)


def _setpoint(answer: dict[str, Any]) -> Setpoint:
    """A decision of the contract as an order."""
    reason = answer["reasons"][0]
    return Setpoint(
        valid_from=epoch_minute(answer["valid_from"]),
        valid_until=epoch_minute(answer["valid_until"]),
        power_mw=answer["setpoint"]["power_mw"],
        reason=reason["code"],
        fallback_level=answer["fallback"]["level"],
        fallback_reason=answer["fallback"]["reason"],
        quality=answer["data_quality"]["imbalance_price"],
        shield_rule=answer["shield"]["rule"],
        price_seen_eur_mwh=next((reason["params"][name] for name in _SEEN if name in reason["params"]), None),
    )
