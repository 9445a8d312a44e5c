"""The page in a real browser: what it says, what its dial and buttons do, and how it takes trouble."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from api.app import create_app
from api.http.security import digest_of
from api.settings import Settings
from tests.api.local_client import StandingClock, open_settings
from tests.api.told_policy import save_told_policy

playwright = pytest.importorskip("playwright.sync_api", reason="the page's tests need playwright (extra dev)")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page's tests need Chromium")

OUTCOMES = {
    "charge": (-50.0, -10.0, 10.0, 30.0),
    "idle": (0.0, 8.0, 12.0, 20.0),
    "discharge": (-100.0, 0.0, 80.0, 140.0),
}
"""Means -5, 10 and 30, worst quarters -50, 0 and -100: from a weight of 0.2 on, CVaR idles instead of discharging."""
NOON = dt.datetime(2024, 7, 2, 12, 0, 7, tzinfo=dt.UTC)
KEY = "arb_a-key-of-the-test"
PATIENCE_MS = 60_000
BY_PLOTLY = "Applying inline style violates"
"""Plotly tries to bring styles of figures that the page does not have; the policy forbids it, and nothing is missed."""


class Running:
    """A service that listens, on a clock that stands."""

    def __init__(self, settings: Settings) -> None:
        self.clock = StandingClock(NOON)
        self.port = settings.port
        config = uvicorn.Config(
            create_app(settings, clock=self.clock), host="127.0.0.1", port=0, log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Running:
        self._thread.start()
        wait_until(lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: httpx.get(f"{self.address}/readyz").status_code == httpx.codes.OK)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        answer = httpx.request(method, self.address + path, json=body, headers={"X-API-Key": key} if key else {})
        answer.raise_for_status()
        return answer.json()

    def decide(self, key: str = "") -> Any:
        prices = {"start": "2024-06-17T22:00:00Z", "values": [100.0, -50.0] * 708}
        day_ahead = {"start": "2024-06-30T22:00:00Z", "values": [80.0] * 72}
        market = {"imbalance_price_eur_mwh": prices, "day_ahead_price_eur_mwh": day_ahead, "publication_delay_min": 0}
        state = {"soc_fraction": 0.5, "cycles_used_today": 0.3}
        return self.ask("POST", "/v1/decisions", {"asset_id": "be-1", "state": state, "market": market}, key)

    def logged(self) -> int:
        return len(self.ask("GET", "/v1/decisions")["decisions"])


def wait_until(holds: Any, most_s: float = 60.0) -> None:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < most_s, "it took too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_told_policy(tmp_path_factory.mktemp("policy") / "told", OUTCOMES)


@pytest.fixture(scope="module")
def service(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = open_settings(tmp_path_factory.mktemp("service"), policies={"told": policy})
    with Running(settings) as running:
        state = {"soc_fraction": 0.5}
        running.ask("PUT", "/v1/assets/be-1", {"battery": {"max_cycles_per_day": 1.1}, "state": state})
        running.decide()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def faults() -> list[str]:
    """What the browser complains of."""
    return []


@pytest.fixture(scope="module")
def tab(service: Running, browser: Any, faults: list[str]) -> Iterator[Any]:
    """The page, opened once: plotly is large, and browsers keep what they have compiled of it."""
    found = opened(browser, faults)
    found.goto(service.address)
    yield found
    found.context.close()


@pytest.fixture
def page(service: Running, tab: Any) -> Any:
    """The page as it stands when nothing has happened yet."""
    service.clock.now = NOON
    tab.locator("#hours .main-svg").first.wait_for()
    return tab


def opened(browser: Any, faults: list[str]) -> Any:
    """A tab in a fresh profile."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    return page


def says(page: Any, place: str, words: str) -> None:
    """Wait until a place of the page says so."""
    playwright.expect(page.locator(place)).to_contain_text(words, timeout=PATIENCE_MS)


def text(page: Any, place: str) -> str:
    return page.inner_text(place).replace("\u2212", "-")


def test_the_decision_stands_there_in_words_with_units_and_times_in_brussels(page: Any, faults: list[str]) -> None:
    assert text(page, "#action") == "Discharge"
    assert text(page, "#power") == "+1.000 MW"
    # 12:01 UTC in summer is 14:01 in Brussels.
    assert "14:01 to 14:15 +02:00" in text(page, "#interval")
    assert page.get_attribute("#interval time", "title") == "2024-07-02 12:01:00 UTC"
    assert "Its outcomes are the best" in text(page, "#reasons")
    assert text(page, "#status-word") == "Deciding"
    assert text(page, "#cycles") == "0.30 of 1.10 cycles"
    assert "00:00 +02:00" in text(page, "#cycles-text")
    assert text(page, "#quality").endswith("Good")
    assert "30.00" in text(page, "#outcomes-table")
    assert page.locator("#log tbody tr").count() >= 1
    for figure in ("#hours", "#outcomes"):
        assert page.locator(f"{figure} .main-svg").count() > 0
    assert [fault for fault in faults if BY_PLOTLY not in fault] == []


def test_dragging_the_dial_shows_another_decision_and_logs_none(page: Any, service: Running) -> None:
    before = service.logged()
    dial = page.locator("#turn")
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
    page.mouse.up()
    page.locator("#sweep .main-svg").first.wait_for()
    weight = float(text(page, "#turn-value"))
    assert 0.2 < weight < 2.0
    assert "idle 0.000 MW" in text(page, "#risk-answer")
    assert json.loads("{" + text(page, "#risk-request") + "}")["risk"]["weight"] == weight
    assert "Hollow" in text(page, "#outcomes-note")
    # The decision itself is as it was.
    assert text(page, "#action") == "Discharge"
    assert service.logged() == before
    page.click("#risk-reset")
    assert "Hollow" not in text(page, "#outcomes-note")


def test_watch_only_is_ordered_once_it_is_confirmed_and_not_before(page: Any, service: Running) -> None:
    page.click("#order-watch")
    assert "hold at 0 MW" in text(page, "#order-meaning")
    page.click("#order-confirm")
    assert service.ask("GET", "/v1/assets/be-1")["override"] is None, "ordered without a reason"
    page.fill("#order-reason", "maintenance")
    page.keyboard.press("Enter")
    says(page, "#order-now", "maintenance")
    order = service.ask("GET", "/v1/assets/be-1")["override"]
    assert (order["kind"], order["reason"]) == ("watch_only", "maintenance")
    page.click("#order-automatic")
    page.fill("#order-reason", "done")
    page.click("#order-confirm")
    says(page, "#order-now", "No order is in force")
    assert service.ask("GET", "/v1/assets/be-1")["override"] is None


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_nothing_scrolls_sideways_and_the_text_stands_out(page: Any, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for place in ("body", ".small", "#status-text", "#action", "#quality"):
        assert page.evaluate(CONTRAST, place) >= 4.5, f"{place} in {scheme}"


def test_a_service_that_is_away_is_said_and_its_return_needs_no_hand(page: Any, service: Running) -> None:
    page.context.set_offline(True)
    says(page, "#status-word", "Unreachable")
    assert "must hold at 0 MW" in text(page, "#status-text")
    service.clock.now = NOON + dt.timedelta(minutes=40)
    service.decide()
    page.context.set_offline(False)
    says(page, "#status-word", "Deciding")
    says(page, "#interval", "14:41 to 14:45")


def test_a_decision_that_has_ended_is_called_expired(page: Any, service: Running) -> None:
    service.clock.now = NOON + dt.timedelta(minutes=80)
    page.reload()
    says(page, "#status-word", "Expired")
    assert "must hold at 0 MW" in text(page, "#status-text")


def test_a_key_is_asked_for_kept_in_the_tab_and_never_in_an_address(
    policy: Path, browser: Any, tmp_path: Path, faults: list[str]
) -> None:
    keys = ({"name": "person", "sha256": digest_of(KEY), "role": "operator"},)
    settings = open_settings(tmp_path, policies={"told": policy}, authentication="keys", keys=keys)
    with Running(settings) as running:
        running.decide(KEY)
        page, asked = opened(browser, faults), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(running.address)
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", KEY)
        page.keyboard.press("Enter")
        says(page, "#action", "Discharge")
        assert any("/v1/decisions" in address for address in asked)
        assert not any(KEY in address for address in asked)
        assert page.evaluate("Object.values(sessionStorage)") == [KEY]
        assert page.evaluate("localStorage.length") == 0
        assert page.evaluate("document.cookie") == ""
        page.context.close()


def test_of_many_assets_a_page_is_listed_and_the_others_are_found_by_how_they_begin(
    policy: Path, browser: Any, tmp_path: Path, faults: list[str]
) -> None:
    with Running(open_settings(tmp_path, policies={"told": policy})) as running:
        for number in range(102):
            asset = {"battery": {"max_cycles_per_day": 1.1}, "state": {"soc_fraction": 0.5}}
            running.ask("PUT", f"/v1/assets/be-{number:03d}", asset)
        page = opened(browser, faults)
        page.goto(running.address)
        options = page.locator("#asset option")
        playwright.expect(options).to_have_count(100, timeout=PATIENCE_MS)
        page.fill("#asset-find", "be-10")
        page.keyboard.press("Enter")
        playwright.expect(options).to_have_text(["be-000", "be-100", "be-101"], timeout=PATIENCE_MS)
        page.context.close()


CONTRAST = """(place) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const element = document.querySelector(place);
  let paper = element;
  while (paper.parentElement && channels(getComputedStyle(paper).backgroundColor)[3] === 0) paper = paper.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(paper).backgroundColor].map(channels).map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
"""Contrast of an element's text against what is behind it, as WCAG 2 defines it; 4.5 is asked for."""
