"""How the service runs: what it says of itself, how it protects itself, and what it does not load."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api.http.admission import OPEN_PATHS
from api.http.security import ApiKey, Role, digest_of, new_key
from api.schemas.examples import ASSET, DECISION_REQUEST
from arbitrage.live.quality import Finding, Quality
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.quarter_hour import epoch_minute
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed

ROOT = Path(__file__).resolve().parents[2]
OPERATOR, READER = new_key(), new_key()
KEYS = (
    ApiKey(name="ops", sha256=digest_of(OPERATOR)),
    ApiKey(name="eyes", sha256=digest_of(READER), role=Role.READER),
)
WITH_KEY = {"X-API-Key": OPERATOR}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    """A service that asks for keys."""
    settings = open_settings(tmp_path_factory.mktemp("locked"), authentication="keys", keys=KEYS, most_body_bytes=4096)
    with LocalClient(settings, StandingClock(NOW)) as client:
        yield client


def test_the_service_starts_without_torch() -> None:
    modules = "api.commands.server, api.commands.serve, api.background.backtest_job"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_command_that_serves_is_found_without_torch() -> None:
    code = (
        "import sys; sys.argv = ['arbitrage', 'serve', '--new-key', 'ops']\n"
        "from arbitrage.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert left.code in (0, None)\n"
        "sys.exit('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "arb_" in found.stdout


def test_alive_version_and_document_are_open_to_all(locked: LocalClient) -> None:
    assert locked.get("/healthz").json() == {"status": "alive"}
    assert locked.get("/v1/version").json()["schema_version"] == "1.0"
    assert locked.get("/openapi.json").json()["openapi"].startswith("3.1")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "arb_wrong"},
        {"X-API-Key": digest_of(OPERATOR)},
        {"X-API-Key": OPERATOR[:-1]},
        {"X-API-Key": OPERATOR.swapcase()},
        {"Authorization": OPERATOR},
        {"Authorization": f"Basic {OPERATOR}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {READER}", "X-API-Key": OPERATOR},
        {"Cookie": f"key={OPERATOR}"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/assets", "/metrics", "/v1/nowhere"])
def test_without_one_valid_key_nothing_is_told(locked: LocalClient, path: str, headers: dict[str, str]) -> None:
    answer = locked.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_in_the_address_is_not_looked_at(locked: LocalClient) -> None:
    assert locked.get(f"/v1/assets?key={OPERATOR}").status_code == 401


@pytest.mark.parametrize(
    "headers", [WITH_KEY, {"Authorization": f"Bearer {OPERATOR}"}, {"authorization": f"bearer {READER}"}]
)
def test_either_header_carries_the_key(locked: LocalClient, headers: dict[str, str]) -> None:
    assert locked.get("/v1/assets", headers=headers).status_code == 200


def test_a_reader_reads_and_changes_nothing(locked: LocalClient) -> None:
    reader = {"X-API-Key": READER}
    assert locked.get("/v1/policies", headers=reader).status_code == 200
    assert locked.post("/v1/decisions", DECISION_REQUEST, headers=reader).status_code == 403
    assert locked.put("/v1/assets/be-1", ASSET, headers=reader).status_code == 403


def test_a_body_larger_than_allowed_is_refused_whatever_it_claims(locked: LocalClient) -> None:
    large = b" " * 5000
    headers = WITH_KEY | {"content-type": "application/json"}
    assert locked.ask("POST", "/v1/decisions", content=large, headers=headers).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 1000

    assert locked.ask("POST", "/v1/decisions", content=pieces(), headers=headers).status_code == 413


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/assets", "/v1/nowhere"])
def test_every_answer_carries_secure_headers(locked: LocalClient, path: str) -> None:
    headers = locked.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"


def test_no_key_and_no_body_stands_in_the_log(
    locked: LocalClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    locked.get("/v1/assets", headers=WITH_KEY)
    locked.get("/v1/assets", headers={"X-API-Key": "arb_secret"})
    locked.post("/v1/decisions", DECISION_REQUEST, headers=WITH_KEY)
    told = capsys.readouterr()
    text = caplog.text + told.out + told.err
    assert "/v1/assets" in text
    for secret in (OPERATOR, digest_of(OPERATOR), "arb_secret", "soc_fraction"):
        assert secret not in text


def test_a_key_that_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    settings = open_settings(tmp_path, authentication="keys", keys=KEYS, requests_per_s=0.001, burst=3)
    with LocalClient(settings) as client:
        statuses = [client.get("/v1/assets", headers=WITH_KEY).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = client.get("/v1/assets", headers=WITH_KEY)
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/v1/assets", headers={"X-API-Key": READER}).status_code == 200


def test_a_request_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalClient(open_settings(tmp_path, request_timeout_s=0.05)) as client:
        service = client.app.state.service

        async def never(*_: object) -> None:
            await client.sleep(60.0)

        monkeypatch.setattr(type(service.readers), "read", never)
        answer = client.get("/v1/assets")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_what_goes_wrong_inside_is_told_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalClient(open_settings(tmp_path)) as client:

        def broken(*_: object) -> None:
            raise RuntimeError("the secret of the house")

        monkeypatch.setattr(client.app.state.service.readers.assets, "page", broken)
        answer = client.get("/v1/assets")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_figures_count_what_was_answered(client: LocalClient) -> None:
    client.post("/v1/decisions", DECISION_REQUEST)
    client.post("/v1/decisions", {})
    text = client.get("/metrics").text
    assert 'arbitrage_requests_total{method="POST",route="/v1/decisions",status="200"} 1.0' in text
    assert 'arbitrage_requests_total{method="POST",route="/v1/decisions",status="422"} 1.0' in text
    assert "arbitrage_decisions_total{action=" in text


def test_ready_without_a_kept_market_but_not_for_data_of_some_age(client: LocalClient) -> None:
    assert client.get("/readyz").json() == {"ready": True, "reasons": [], "warnings": []}
    answer = client.get("/readyz?max_age_seconds=60")
    assert answer.status_code == 503
    assert [reason["about"] for reason in answer.json()["reasons"]] == ["data"]


def test_readiness_follows_the_feed_and_recovers_with_no_hand(tmp_path: Path) -> None:
    at = epoch_minute("2025-03-20T12:00Z")
    clock = StandingClock()
    clock.set_minute(at, 400.0)
    feed = PlayedFeed(sample_market(), clock)
    with LocalClient(open_settings(tmp_path, default_policy="threshold"), clock, feed) as client:
        client.poll()
        assert client.get("/readyz").status_code == 200
        assert client.get("/readyz?max_age_seconds=10").status_code == 503
        feed.reported = ((Quality.CLOCK, Finding("clock_jumped", {"seconds": 500.0})),)
        client.poll()
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "clock" in answer.json()["reasons"][0]["message"]
        feed.reported = ()
        client.poll()
        assert client.get("/readyz").status_code == 200
        clock.set_minute(at + 400 * 24 * 60)
        assert client.get("/readyz").status_code == 503


def test_only_what_is_nobodys_secret_is_open() -> None:
    assert {"/", "/healthz", "/readyz", "/v1/version", "/openapi.json"} == OPEN_PATHS
