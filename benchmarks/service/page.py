"""The service's page after some simulated hours: `pictures/service_page.png`. Everything in it is SIMULATED.

A service is started in this process with a simulated market and one kept battery. It decides each interval for the
hours that are asked for, over HTTP, on a clock that runs as fast as that goes. Then a browser opens the page, drags the
dial, and takes the picture; with `--keep` the clock runs on and the page stays up to be looked at.

    cd data/sample && arbitrage train --prices SIMULATED_imbalance_prices_quarter_hour.csv \
        --day-ahead SIMULATED_day_ahead_prices.csv --forecasts SIMULATED_wind_solar_forecasts.csv \
        --max-cycles-per-day 1.1 --out ../../runs/policy
    python -m benchmarks.service.page --policy runs/policy
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from rich.progress import track

from api.app import create_app
from api.logs import configure_logs
from api.service import Service
from api.settings import Settings
from arbitrage.live.feed import Clocks, Feed
from arbitrage.live.simulated_source import SimulatedSource
from arbitrage.live.window import DAYS, Window
from arbitrage.market.series import MinuteSource
from arbitrage.market.simulation.simulator import simulate
from arbitrage.policies.checkpoint.load import read_card
from arbitrage.quarter_hour import brussels_day_numbers, brussels_midnight, epoch_minute

PICTURES = Path(__file__).parents[1] / "pictures"
PICTURE = PICTURES / "service_page.png"
ASSET = "be-1"
SHOWN_BEFORE_END_S = 42.0
"""How long the newest decision still has when the picture is taken."""
DIAL_AT = 0.7
"""Where the dial is dragged to, of its length."""


@dataclass(slots=True)
class ThrownClock:
    """A clock that is set while the hours are filled in, and then runs."""

    at_s: float
    running_since_s: float | None = None

    def __call__(self) -> dt.datetime:
        """The present."""
        passed_s = 0.0 if self.running_since_s is None else time.monotonic() - self.running_since_s
        return dt.datetime.fromtimestamp(self.at_s + passed_s, dt.UTC)

    def run(self) -> None:
        """Go on by itself."""
        self.running_since_s = time.monotonic()


@dataclass(slots=True)
class Demonstration:
    """A running service on a thrown clock, and a client that lets it decide."""

    settings: Settings
    clock: ThrownClock
    feed: Feed
    server: uvicorn.Server = field(init=False)
    thread: threading.Thread = field(init=False)
    client: httpx.Client = field(init=False)
    app: Any = field(init=False)
    step_min: int = field(init=False)
    """Of the policy."""

    def start(self) -> None:
        """Start the service and describe its battery."""
        self.app = create_app(self.settings, clock=self.clock, feed=self.feed)
        config = uvicorn.Config(self.app, port=self.settings.port, log_config=None, access_log=False)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.settings.port}", timeout=60.0)
        _wait_until(lambda: self.server.started)
        _wait_until(lambda: self.client.get("/readyz").status_code == httpx.codes.OK)
        (policy,) = (each for each in self.client.get("/v1/policies").json()["policies"] if each["is_default"])
        self.step_min = int(policy["step_min"])
        state = {"soc_fraction": 0.5, "cycles_used_today": 0.0}
        self.client.put(f"/v1/assets/{ASSET}", json={"battery": policy["battery"], "state": state}).raise_for_status()

    def stop(self) -> None:
        """Stop the service, and wait until it has."""
        self.client.close()
        self.server.should_exit = True
        self.thread.join()

    def decide(self, minute: int) -> None:
        """Decide the interval that begins at an epoch minute, once what is published by then has been read."""
        service: Service = self.app.state.service
        begins_s = minute * 60.0
        _wait_until(lambda: service.keeper is not None and (service.keeper.snapshot.taken_at_s or 0.0) >= begins_s)
        at = dt.datetime.fromtimestamp(begins_s, dt.UTC).isoformat()
        self.client.post("/v1/decisions", json={"asset_id": ASSET, "at": at}).raise_for_status()


def main() -> None:
    """Fill in the hours, then take the picture or stay."""
    asked = _arguments()
    configure_logs("error")
    start = epoch_minute(asked.start)
    end = start + round(asked.hours * 60)
    clock = ThrownClock(start * 60.0)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(
            authentication="off",
            database_url=f"sqlite:///{folder}/page.db",
            policies={asked.policy.name: asked.policy},
            feed_interval_s=0.02,
            requests_per_s=1e6,
            port=asked.port,
        )
        demonstration = Demonstration(settings, clock, simulated_feed(asked.policy, clock, asked.seed))
        demonstration.start()
        for minute in track(range(start, end, demonstration.step_min), "deciding"):
            clock.at_s = minute * 60.0
            demonstration.decide(minute)
        clock.at_s = end * 60.0 - SHOWN_BEFORE_END_S
        if asked.keep:
            _stay(demonstration, end)
        take_picture(f"http://127.0.0.1:{asked.port}/", asked.out)
        demonstration.stop()


def simulated_feed(policy: Path, clock: ThrownClock, seed: int) -> Feed:
    """A made-up world around the present, on whose feed both clocks are thrown forward together."""
    delay_min = int(read_card(policy)["publication_delay_min"])
    today = int(brussels_day_numbers([int(clock.at_s // 60)])[0])
    world = simulate(brussels_midnight(today - DAYS - 1), brussels_midnight(today + 3), seed=seed)
    clocks = Clocks(now_s=lambda: clock().timestamp(), steady_s=lambda: clock().timestamp())
    return Feed(SimulatedSource(world, delay_min), Window(delay_min, MinuteSource.SIMULATED), clocks=clocks)


def take_picture(address: str, out: Path, width: int = 1400, scheme: str = "light") -> None:
    """The whole page, with the dial dragged by the mouse."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.goto(address)
        page.wait_for_selector("#hours .main-svg")
        dial = page.locator("#turn")
        dial.scroll_into_view_if_needed()
        box = dial.bounding_box() or {}
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + 8, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + DIAL_AT * box["width"], middle, steps=8)
        page.mouse.up()
        page.wait_for_selector("#sweep .main-svg")
        page.mouse.move(0, 0)
        page.screenshot(path=out, full_page=True)
        browser.close()


def _stay(demonstration: Demonstration, minute: int) -> None:
    """Decide minute by minute until broken off."""
    print(f"look at http://127.0.0.1:{demonstration.settings.port}/ ; Ctrl-C ends it")
    demonstration.clock.run()
    while True:
        if demonstration.clock().timestamp() >= minute * 60:
            demonstration.decide(minute)
            minute += demonstration.step_min
        time.sleep(0.2)


def _wait_until(holds: Any, most_s: float = 120.0) -> None:
    """Raises TimeoutError."""
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > most_s:
            raise TimeoutError("the service did not get that far")
        time.sleep(0.005)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", type=Path, required=True, help="directory of a trained policy")
    parser.add_argument("--hours", type=float, default=15.5)
    parser.add_argument("--start", default="2025-03-12T05:00+01:00")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--port", type=int, default=8398)
    parser.add_argument("--out", type=Path, default=PICTURE)
    parser.add_argument("--keep", action="store_true", help="stay up instead of taking the picture")
    return parser.parse_args()


if __name__ == "__main__":
    main()
