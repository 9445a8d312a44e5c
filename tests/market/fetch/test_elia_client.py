"""The client of the service: what is retried, what is not, and which responses are refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from email.utils import format_datetime

import httpx
import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.fetch.elia_client import EliaClient, Refused, RetryLimits, Unreachable, condition
from arbitrage.market.store.datasets import DATASETS, Dataset
from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import EliaServer

SETS = {dataset.name: dataset for dataset in DATASETS}
ODS134 = SETS["ods134"]
NOW = pd.Timestamp("2026-11-22T12:00", tz="UTC")
START, END = pd.Timestamp("2024-06-01", tz="UTC"), pd.Timestamp("2024-06-02", tz="UTC")


@pytest.fixture
def server() -> Iterator[EliaServer]:
    rows = double.quarter_hours("2024-05-31", "2024-06-04")
    with EliaServer(datasets={"ods134": rows}).running() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(server: EliaServer, waits: list[float]) -> Iterator[EliaClient]:
    with connect(server.url, waits) as made:
        yield made


def connect(url: str, waits: list[float], **limits: float) -> EliaClient:
    settings = RetryLimits(**{"tries": 3, "read_s": 5.0, **limits})  # type: ignore[arg-type]
    return EliaClient(url, settings, now=lambda: NOW, sleep=waits.append)


def starts(content: bytes) -> list[pd.Timestamp]:
    return [pd.Timestamp(row["datetime"]) for row in json.loads(content)]


def test_an_export_holds_every_record_from_the_start_to_before_the_end(client: EliaClient) -> None:
    answer = client.export(ODS134, START, END)
    assert answer.records == 96
    assert sorted(starts(answer.content)) == list(pd.date_range(START, END, freq="15min", inclusive="left"))
    assert answer.received_at == NOW


def test_times_are_asked_for_and_given_in_utc(client: EliaClient, server: EliaServer) -> None:
    client.export(ODS134, START, END)
    [(_, query)] = server.requests
    assert query["timezone"] == "UTC"
    assert query["where"] == 'datetime >= "2024-06-01T00:00:00" AND datetime < "2024-06-02T00:00:00"'


def test_live_prices_are_asked_for_where_there_is_a_price_and_solar_for_the_country() -> None:
    assert condition(SETS["ods161"], START, END).endswith("AND imbalanceprice is not null")
    assert condition(SETS["ods032"], START, END).endswith('AND region = "Belgium"')
    assert condition(SETS["ods136"], START, END).startswith("predictiontimeutc >=")


def test_an_empty_response_is_valid(client: EliaClient, waits: list[float]) -> None:
    answer = client.export(ODS134, pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-01-02", tz="UTC"))
    assert (answer.records, waits) == (0, [])


@pytest.mark.parametrize(
    "bad_day",
    [
        double.too_many(),
        double.says(500, "oops", "text/plain"),
        double.says(503, {"message": "maintenance"}),
        double.page_of_html(),
        double.cut_off(),
        double.cut_off(announced=False),
        double.says(200, ""),
        double.says(200, {"error_code": "InternalError", "message": "no result"}),
    ],
    ids=["429", "500", "503", "html", "cut off", "cut off unannounced", "no body", "object"],
)
def test_a_transient_failure_is_retried_after_a_wait(
    client: EliaClient, server: EliaServer, waits: list[float], bad_day: double.Reply
) -> None:
    server.bad_days.append(bad_day)
    assert client.export(ODS134, START, END).records == 96
    assert len(server.requests) == 2
    assert len(waits) == 1


def test_a_request_without_a_response_is_retried(server: EliaServer, waits: list[float]) -> None:
    server.bad_days.append(double.slow(30.0))
    with connect(server.url, waits, read_s=0.1) as client:
        assert client.export(ODS134, START, END).records == 96
    assert len(server.requests) == 2


def test_a_response_that_never_ends_is_given_up(server: EliaServer, waits: list[float]) -> None:
    seconds = iter(range(0, 10_000, 100))
    with (
        EliaClient(
            server.url, RetryLimits(tries=2, whole_s=50.0), sleep=waits.append, monotonic=lambda: next(seconds)
        ) as client,
        pytest.raises(Unreachable, match="not complete after 50 s"),
    ):
        client.export(ODS134, START, END)


def test_waits_grow_and_are_jittered_and_bounded(server: EliaServer, waits: list[float]) -> None:
    server.bad_days.extend([double.says(500)] * 8)
    with connect(server.url, waits, tries=9, first_wait_s=1.0, longest_wait_s=20.0) as client:
        client.export(ODS134, START, END)
    assert all(2**number <= wait <= 2**number + 1 for number, wait in enumerate(waits[:4]))
    assert max(waits) <= 20.0
    assert len({wait % 1.0 for wait in waits[:4]}) == 4


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        (format_datetime((NOW + pd.Timedelta(42, "s")).to_pydatetime(), usegmt=True), 42.0),
        (format_datetime((NOW - pd.Timedelta(42, "s")).to_pydatetime(), usegmt=True), 0.0),
    ],
    ids=["seconds", "date", "date gone by"],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_service_says_how_long_to_wait(
    client: EliaClient, server: EliaServer, waits: list[float], header: str, seconds: float, status: int
) -> None:
    server.bad_days.append(double.says(status, Retry_After=header))
    client.export(ODS134, START, END)
    assert waits == [seconds]


def test_an_invalid_retry_after_is_ignored(client: EliaClient, server: EliaServer, waits: list[float]) -> None:
    server.bad_days.append(double.too_many(Retry_After="soon"))
    assert client.export(ODS134, START, END).records == 96
    assert 1.0 <= waits[0] <= 2.0


def test_a_wait_of_hours_is_refused_with_what_the_service_says_of_its_quota(
    client: EliaClient, server: EliaServer, waits: list[float]
) -> None:
    server.bad_days.append(double.too_many(Retry_After="40000"))
    with pytest.raises(Unreachable, match=r"40000 s: Too many requests .*2026-11-23T00:00:00Z"):
        client.export(ODS134, START, END)
    assert (len(server.requests), waits) == (1, [])


@pytest.mark.parametrize(
    ("bad_day", "reason"),
    [
        (double.says(503, {"message": "maintenance"}), "HTTP 503 Service Unavailable: maintenance"),
        (double.too_many(), "HTTP 429 Too Many Requests"),
        (double.page_of_html(), r"text/html.*not valid JSON: <!DOCTYPE html>"),
        (double.cut_off(), "RemoteProtocolError"),
        (double.says(200, ""), "no body"),
    ],
    ids=["503", "429", "html", "cut off", "no body"],
)
def test_a_failure_that_lasts_is_given_up_with_the_reason(
    client: EliaClient, server: EliaServer, bad_day: double.Reply, reason: str
) -> None:
    server.bad_days.extend([bad_day] * 3)
    with pytest.raises(Unreachable, match=rf"ods134, 2024-06-01T00:00Z to 2024-06-02T00:00Z: gave up.*3.*{reason}"):
        client.export(ODS134, START, END)
    assert len(server.requests) == 3


def test_a_service_that_is_not_there_is_given_up(waits: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connect(url, waits) as client, pytest.raises(Unreachable, match="ConnectError"):
            client.export(ODS134, START, END)
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (SETS["ods047"], "HTTP 404 Not Found: DatasetNotFound: Unknown dataset: ods047"),
        (
            Dataset("ods134", ODS134.record_type, ODS134.piece, None, time_field="moment"),
            "HTTP 400 .*Unknown field: moment",
        ),
    ],
    ids=["unknown dataset", "unknown field"],
)
def test_a_request_that_is_refused_is_not_repeated(
    client: EliaClient, server: EliaServer, waits: list[float], ask: Dataset, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        client.export(ask, START, END)
    assert (len(server.requests), waits) == (1, [])


@pytest.mark.parametrize("status", [301, 401, 403])
def test_other_statuses_are_reported_at_once(client: EliaClient, server: EliaServer, status: int) -> None:
    server.bad_days.append(double.says(status, {"message": "not for you"}))
    with pytest.raises(Refused, match=f"HTTP {status} .*not for you"):
        client.export(ODS134, START, END)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["", "opendata.elia.be", "ftp://opendata.elia.be", "http://", "http://[::"])
def test_an_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="not an http or https address"):
        EliaClient(url)


# The double keeps to what is documented of the service


def records(server: EliaServer, **query: str) -> httpx.Response:
    return httpx.get(f"{server.url}/api/explore/v2.1/catalog/datasets/ods134/records", params=query)


def test_the_double_gives_at_most_100_records_a_page_and_10_000_in_all(server: EliaServer) -> None:
    assert len(records(server).json()["results"]) == 10
    full = records(server, limit="100", offset="300").json()
    assert (full["total_count"], len(full["results"])) == (4 * 96, 84)
    for query in ({"limit": "101"}, {"limit": "100", "offset": "9901"}):
        refusal = records(server, **query)
        assert refusal.status_code == 400
        assert refusal.json()["error_code"] == "InvalidRESTParameterError"


def test_the_double_orders_selects_and_moves_the_clock(server: EliaServer) -> None:
    query = {"order_by": "datetime asc", "select": "datetime,imbalanceprice", "timezone": "Europe/Brussels"}
    first = records(server, **query, where='datetime >= "2024-06-01T00:00:00"').json()["results"][0]
    assert first == {
        "datetime": "2024-06-01T00:00:00+02:00",
        "imbalanceprice": double.price_of(pd.Timestamp("2024-05-31T22:00Z")),
    }
    assert records(server, where="datetime near 2024").status_code == 400


def test_the_double_exports_csv_with_labels(server: EliaServer) -> None:
    url = f"{server.url}/api/explore/v2.1/catalog/datasets/ods134/exports/csv"
    lines = httpx.get(url, params={"use_labels": "true"}).content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("Datetime;resolutioncode;Quality status")
    assert len(lines) == 1 + 4 * 96
    assert lines[1].startswith("2024-06-03T23:45:00+00:00")
