"""Who is let in: by which name, from which page, with which key, how often; and what strangers are told."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.http.security import ApiKey, Role, digest_of, new_key
from api.schemas.examples import ASSET, DECISION_REQUEST
from api.storage.database.refusals import StorageUnavailable
from tests.api.local_client import LocalClient, open_settings
from tests.api.served import Served, served

OPERATOR, READER = new_key(), new_key()
KEYS = (
    ApiKey(name="ops", sha256=digest_of(OPERATOR)),
    ApiKey(name="eyes", sha256=digest_of(READER), role=Role.READER),
)
WITH_KEY = {"X-API-Key": OPERATOR}
WRONG = {"X-API-Key": "arb_wrong"}
MOST_BYTES_TO_STRANGERS = 1000


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    """A service that asks for keys."""
    with LocalClient(open_settings(tmp_path_factory.mktemp("locked"), authentication="keys", keys=KEYS)) as client:
        yield client


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    """A service that asks for keys and has a name."""
    settings = open_settings(
        tmp_path_factory.mktemp("named"), authentication="keys", keys=KEYS, allowed_hosts=("battery.example",)
    )
    with LocalClient(settings) as client:
        yield client


def put(client: LocalClient, **headers: str) -> httpx.Response:
    return client.put(
        "/v1/assets/be-1", ASSET, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8321", "127.0.0.1", "127.0.0.1:8321", "[::1]:8321", "LOCALHOST"]
)
def test_the_names_of_loopback_are_ours(client: LocalClient, host: str) -> None:
    assert client.get("/v1/assets", headers={"Host": host}).status_code == httpx.codes.OK
    assert put(client, Host=host).status_code == httpx.codes.OK


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8321", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost@evil"],
)
@pytest.mark.parametrize("path", ["/", "/readyz", "/v1/assets", "/page/main.js"])
def test_a_name_that_was_made_to_point_here_is_refused(client: LocalClient, host: str, path: str) -> None:
    refused = client.get(path, headers={"Host": host})
    assert refused.status_code == httpx.codes.FORBIDDEN
    assert refused.json()["type"].endswith("wrong-host")
    assert "--allowed-host" in refused.json()["detail"]


def test_two_hosts_are_refused(client: LocalClient) -> None:
    twice = [("Host", "localhost"), ("Host", "evil.example")]
    assert client.get("/v1/assets", headers=twice).status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://localhost:8321"},
        {"Origin": "http://localhost:8321.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8321", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client: LocalClient, headers: dict[str, str]) -> None:
    asked = {"Host": "localhost:8321"} | headers
    expected = httpx.codes.OK if headers == {"Origin": "https://localhost:8321"} else httpx.codes.FORBIDDEN
    for answer in (
        client.put("/v1/assets/be-1", ASSET, headers=asked),
        client.post("/v1/decisions", DECISION_REQUEST, headers=asked),
    ):
        assert answer.status_code == expected
    assert client.get("/v1/assets", headers=asked).status_code == httpx.codes.OK


def test_the_page_of_the_service_changes_things(client: LocalClient) -> None:
    own = {"Host": "localhost:8321", "Origin": "http://localhost:8321", "Sec_Fetch_Site": "same-origin"}
    assert put(client, **own).status_code == httpx.codes.OK


def test_a_service_with_a_name_answers_to_it(named: LocalClient) -> None:
    for host in ("battery.example", "battery.example:8443", "127.0.0.1:8321"):
        assert named.get("/v1/assets", headers=WITH_KEY | {"Host": host}).status_code == httpx.codes.OK
    assert named.get("/v1/assets", headers=WITH_KEY | {"Host": "evil.example"}).status_code == httpx.codes.FORBIDDEN
    behind_a_proxy = {"Host": "127.0.0.1:8321", "Origin": "https://battery.example"}
    assert put(named, **behind_a_proxy, X_API_Key=OPERATOR).status_code == httpx.codes.OK
    foreign = {"Host": "battery.example", "Origin": "https://evil.example"}
    assert put(named, **foreign, X_API_Key=OPERATOR).status_code == httpx.codes.FORBIDDEN


def test_with_keys_and_no_name_given_any_name_will_do(locked: LocalClient) -> None:
    asked = {"Host": "battery.example", "Origin": "https://elsewhere.example", "X_API_Key": OPERATOR}
    assert put(locked, **asked).status_code == httpx.codes.OK


def test_wrong_keys_are_slowed_and_right_ones_of_the_same_address_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[float] = []

    async def hold(seconds: float) -> None:
        held.append(seconds)

    settings = open_settings(tmp_path, authentication="keys", keys=KEYS, wrong_keys_per_min=3.0)
    with LocalClient(settings) as client:
        monkeypatch.setattr("api.http.admission.sleep", hold)
        statuses = [client.get("/v1/assets", headers=WRONG).status_code for _ in range(5)]
        refused = client.get("/v1/assets", headers=WRONG)
        right = [client.get("/v1/assets", headers=WITH_KEY).status_code for _ in range(5)]
        without = client.get("/v1/assets")
    assert statuses == [401, 401, 401, 429, 429]
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert held == [0.25] * 3
    assert right == [200] * 5
    assert without.status_code == httpx.codes.UNAUTHORIZED


def test_strangers_are_counted_by_address_and_take_nothing_from_keys(tmp_path: Path) -> None:
    settings = open_settings(tmp_path, authentication="keys", keys=KEYS, requests_per_s=0.01, burst=3)
    with LocalClient(settings) as client:
        assert [client.get("/healthz").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        assert [client.get("/v1/assets").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
        assert [client.get("/v1/assets", headers=WITH_KEY).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_probes_are_answered_beside_a_client_that_asks_too_often(tmp_path: Path) -> None:
    with LocalClient(open_settings(tmp_path, requests_per_s=0.01, burst=3)) as client:
        assert [client.get("/v1/assets").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert client.get("/readyz").status_code == httpx.codes.OK


LONG = "x" * 50_000


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(
            ("GET", f"/{LONG}"),
            ("GET", f"/page/{LONG}"),
            ("GET", "/page/" + "%01" * 10_000),
            ("GET", f"/v1/assets/{LONG}"),
        ),
        *(("GET", "/readyz?" + "&".join(f"a{number}" for number in range(1000))), ("GET", f"/readyz?{LONG}=1")),
        *(
            ("GET", f"/readyz?max_age_seconds={LONG}"),
            ("GET", "/readyz?" + "%01" * 21),
            ("GET", "/v1/decisions?mode=x"),
        ),
        *(("POST", "/readyz"), ("PUT", f"/page/{LONG}"), ("DELETE", "/"), ("POST", "/v1/decisions")),
    ],
)
def test_refusals_of_strangers_are_short(locked: LocalClient, method: str, target: str) -> None:
    refused = locked.ask(method, target, content=b"[" * 1_000_000 if method == "POST" else None)
    assert 400 <= refused.status_code < 500
    assert len(refused.content) < MOST_BYTES_TO_STRANGERS


def test_strangers_are_not_told_where_the_database_is(
    locked: LocalClient, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "connection to server at 10.0.0.7, port 5432 failed: PostgreSQL 15.3, /var/lib/secret"

    async def unreadiness(*_: object) -> dict[str, str]:
        return {"database": secret}

    monkeypatch.setattr("api.routes.operation.unreadiness", unreadiness)
    for headers in ({}, {"X-API-Key": READER}, WRONG):
        told = locked.get("/readyz", headers=headers)
        assert told.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert [reason["about"] for reason in told.json()["reasons"]] == ["database"]
        assert not any(word in told.text for word in ("10.0.0.7", "5432", "15.3", "/var"))
    for told in (locked.get("/readyz", headers=WITH_KEY), client.get("/readyz")):
        assert told.json()["reasons"] == [{"about": "database", "message": secret}]


def test_a_database_that_is_out_of_reach_is_not_described_in_answers(
    locked: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_reach(*_: object) -> None:
        raise StorageUnavailable("connection to server at 10.0.0.7, port 5432 failed")

    monkeypatch.setattr(type(locked.app.state.service.readers), "read", out_of_reach)
    refused = locked.get("/v1/assets/be-1", headers=WITH_KEY)
    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "10.0.0.7" not in refused.text


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running service that takes bodies of up to 4 kB."""
    with served(tmp_path_factory.mktemp("small"), most_body_bytes=4096) as running:
        yield running


@pytest.mark.parametrize(
    ("length", "sent"),
    [("content-length: 1000000000", b"{"), ("transfer-encoding: chunked", b"2000\r\n" + b" " * 8192)],
)
def test_a_body_above_the_limit_is_refused_before_it_has_come(small: Served, length: str, sent: bytes) -> None:
    head = "POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    with small.connect(f"{head}{length}\r\n\r\n".encode() + sent) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_compressed_body_is_not_unpacked(small: Served) -> None:
    bomb = gzip.compress(b" " * 2_000_000)
    assert len(bomb) < 4096
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    refused = httpx.post(f"{small.url}/v1/decisions", content=bomb, headers=headers)
    assert refused.status_code == httpx.codes.BAD_REQUEST
    assert len(refused.content) < MOST_BYTES_TO_STRANGERS
