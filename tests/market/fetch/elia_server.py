"""A local double of Elia's open-data service: Opendatasoft Explore v2.1 as documented, and its bad days.

What it keeps to: `records` (at most 100 rows a page, offset + limit at most 10,000) and `exports/json|csv`; `where` as
conditions joined by AND on times, equality and `is not null`; `order_by`, `select`, `limit`, `offset`, `timezone`,
`use_labels`; error bodies with `error_code` and `message`; an export without `order_by` comes newest first.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import operator
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pandas as pd

Row = dict[str, Any]
Reply = Callable[["_Handler", list[Row]], None]
"""Writes the response to a request, given the handler and the rows that the query selects."""

_PATH = re.compile(r"/api/explore/v2\.1/catalog/datasets/(?P<id>\w+)/(?P<form>records|exports/json|exports/csv)")
_COMPARISON = re.compile(r'(?P<field>\w+) (?P<sign>>=|<=|<|>|=) "(?P<value>[^"]*)"')
_NOT_NULL = re.compile(r"(?P<field>\w+) is not null")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T")
LABELS = {"datetime": "Datetime", "imbalanceprice": "Imbalance Price", "qualitystatus": "Quality status"}


class BadQuery(ValueError):
    """A query that the service refuses, with its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class EliaServer:
    """What the double holds and what it was asked; `url` is its address while it runs."""

    datasets: dict[str, list[Row]] = field(default_factory=dict)
    bad_days: deque[Reply] = field(default_factory=deque)
    """Replies to the next requests, in their order, instead of the right ones."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Dataset and query of every request."""
    pause_s: float = 0.0
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    """Ends the waiting of slow replies."""

    def asked(self, dataset: str) -> int:
        """How many requests there were for a dataset."""
        return sum(name == dataset for name, _ in self.requests)

    @contextmanager
    def running(self) -> Iterator[EliaServer]:
        """Serve while the context lasts."""
        http = _Http(("127.0.0.1", 0), _Handler)
        http.double = self
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield self
        finally:
            self.released.set()
            http.shutdown()
            http.server_close()
            thread.join()


class _Http(ThreadingHTTPServer):
    double: EliaServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def do_GET(self) -> None:
        double = self.server.double
        address = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        match = _PATH.fullmatch(address.path)
        double.requests.append((match["id"] if match else address.path, query))
        time.sleep(double.pause_s)
        if match is None or match["id"] not in double.datasets:
            self.refuse(404, "DatasetNotFound", f"Unknown dataset: {match['id'] if match else address.path}")
            return
        try:
            rows = answer(double.datasets[match["id"]], match["form"], query)
        except BadQuery as refusal:
            self.refuse(400, refusal.code, str(refusal))
            return
        if double.bad_days:
            double.bad_days.popleft()(self, rows)
        elif match["form"] == "exports/json":
            self.send_rows(rows)
        elif match["form"] == "exports/csv":
            self.send(200, csv_text(rows, query).encode("utf-8-sig"), "text/csv; charset=utf-8")
        else:
            document = {"total_count": len(rows), "results": page(rows, query)}
            self.send(200, json.dumps(document).encode(), "application/json; charset=utf-8")

    def send_rows(self, rows: Sequence[Row]) -> None:
        self.send(200, json.dumps(rows).encode(), "application/json; charset=utf-8")

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send(status, json.dumps({"error_code": code, "message": message}).encode(), "application/json")

    def send(self, status: int, body: bytes, sort: str, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", sort)
        if length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of the base class
        """Say nothing."""


# What a query selects


def answer(rows: list[Row], form: str, query: dict[str, str]) -> list[Row]:
    """The rows that a query selects, in its order and with its fields and times."""
    if form == "records":
        page(rows, query)
    zone = query.get("timezone", "UTC")
    wanted = conditions(rows, query.get("where"), zone)
    selected = [row for row in rows if all(condition(row) for condition in wanted)]
    selected.sort(key=lambda row: next(iter(row.values())), reverse=True)
    if "order_by" in query:
        name, _, direction = query["order_by"].partition(" ")
        require_field(rows, name)
        selected.sort(key=lambda row: row[name], reverse=direction.lower() == "desc")
    names = query["select"].split(",") if "select" in query else None
    for name in names or []:
        require_field(rows, name.strip())
    return [
        {name: in_zone(value, zone) for name, value in row.items() if names is None or name in names}
        for row in selected
    ]


def conditions(rows: list[Row], where: str | None, zone: str) -> list[Callable[[Row], bool]]:
    """The parts of a `where`. Raises BadQuery if one is of no known form or names no field."""
    return [condition(rows, text.strip(), zone) for text in re.split(r"\bAND\b", where)] if where else []


def condition(rows: list[Row], text: str, zone: str) -> Callable[[Row], bool]:
    """One part of a `where`; a time without an offset in it is one of the zone of the query."""
    match = _COMPARISON.fullmatch(text)
    if match is not None:
        name, compare = match["field"], _ORDERS[match["sign"]]
        require_field(rows, name)
        if _TIME.match(match["value"]):
            stamp = dt.datetime.fromisoformat(match["value"])
            moment = stamp if stamp.tzinfo else stamp.replace(tzinfo=ZoneInfo(zone))
            return lambda row: compare(dt.datetime.fromisoformat(row[name]), moment)
        return lambda row: row[name] is not None and compare(row[name], match["value"])
    match = _NOT_NULL.fullmatch(text)
    if match is None:
        raise BadQuery("ODSQLError", f"ODSQL query is malformed: {text}")
    require_field(rows, match["field"])
    return lambda row: row[match["field"]] is not None


def require_field(rows: list[Row], name: str) -> None:
    if rows and name not in rows[0]:
        raise BadQuery("ODSQLError", f"ODSQL query is malformed: Unknown field: {name}")


def in_zone(value: object, zone: str) -> object:
    if isinstance(value, str) and _TIME.match(value):
        return dt.datetime.fromisoformat(value).astimezone(ZoneInfo(zone)).isoformat()
    return value


def page(rows: list[Row], query: dict[str, str]) -> list[Row]:
    """A page of records. Raises BadQuery beyond the limits of the service."""
    limit, offset = int(query.get("limit", 10)), int(query.get("offset", 0))
    if not -1 <= limit <= 100:
        message = f"Invalid value for limit API parameter: {limit} was found but -1 <= limit <= 100 is expected."
        raise BadQuery("InvalidRESTParameterError", message)
    if offset + limit > 10_000:
        message = f"Invalid value for offset API parameter: {offset} was found but offset + limit <= 10000 is expected."
        raise BadQuery("InvalidRESTParameterError", message)
    return rows[offset : offset + (limit if limit >= 0 else 100)]


def csv_text(rows: list[Row], query: dict[str, str]) -> str:
    delimiter = query.get("delimiter", ";")
    labels = query.get("use_labels", "false") == "true"
    names = list(rows[0]) if rows else []
    lines = [[LABELS.get(name, name) if labels else name for name in names]]
    lines += [["" if row[name] is None else str(row[name]) for name in names] for row in rows]
    return "".join(delimiter.join(line) + "\r\n" for line in lines)


# Bad days


def says(status: int, body: object = "", sort: str = "application/json", **headers: str) -> Reply:
    """A response with this status and body to any request."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return lambda handler, rows: handler.send(status, content, sort, **headers)


def too_many(**headers: str) -> Reply:
    """The quota is used up, as the service says it."""
    body = {
        "errorcode": 10002,
        "reset_time": "2026-11-23T00:00:00Z",
        "limit_time_unit": "day",
        "call_limit": 50000,
        "error": "Too many requests on the domain. Please contact the domain administrator.",
    }
    return says(429, body, **headers)


def page_of_html() -> Reply:
    """A page for people, and a success at that."""
    return says(200, "<!DOCTYPE html><html><body>We are working on it</body></html>", "text/html")


def cut_off(announced: bool = True) -> Reply:
    """Half of the response; its length is announced or not."""

    def reply(handler: _Handler, rows: list[Row]) -> None:
        body = json.dumps(rows).encode()
        handler.send(200, body[: len(body) // 2], "application/json", length=len(body) if announced else -1)
        handler.close_connection = True

    return reply


def slow(seconds: float) -> Reply:
    """The right response, too late; the wait ends when the test server stops."""

    def reply(handler: _Handler, rows: list[Row]) -> None:
        handler.server.double.released.wait(seconds)
        handler.send_rows(rows)

    return reply


def holds(change: Callable[[list[Row]], list[Row]]) -> Reply:
    """A response with other rows than requested."""
    return lambda handler, rows: handler.send_rows(change(rows))


# Rows as the service has them


def stamps(start: str, end: str, step_min: int) -> pd.DatetimeIndex:
    return pd.date_range(start, end, freq=f"{step_min}min", inclusive="left", tz="UTC")


def price_of(stamp: pd.Timestamp) -> float:
    """Some price, another at every minute, negative ones among them."""
    return round((int(stamp.timestamp()) // 60 * 7919) % 60013 / 100 - 150, 2)


def quarter_hours(start: str, end: str, status: str = "Validated", shift: float = 0.0) -> list[Row]:
    """Records of ods134 or ods162."""
    return [
        {
            "datetime": stamp.isoformat(),
            "resolutioncode": "PT15M",
            "qualitystatus": status,
            "ace": 15.771,
            "systemimbalance": -103.25,
            "alpha": 0.0,
            "alpha_prime": 0.0,
            "marginalincrementalprice": price_of(stamp) + shift,
            "marginaldecrementalprice": -20.0,
            "imbalanceprice": price_of(stamp) + shift,
        }
        for stamp in stamps(start, end, 15)
    ]


def old_quarter_hours(start: str, end: str, status: str = "Validated", shift: float = 0.0) -> list[Row]:
    """Records of ods047."""
    return [
        {
            "datetime": stamp.isoformat(),
            "qualitystatus": status,
            "resolutioncode": "PT15M",
            "netregulationvolume": 79.777,
            "systemimbalance": -128.641,
            "alpha": 0.0,
            "marginalincrementalprice": price_of(stamp) + shift,
            "marginaldecrementalprice": -249.37,
            "strategicreserveprice": None,
            "positiveimbalanceprice": price_of(stamp) + shift,
            "negativeimbalanceprice": price_of(stamp) + shift,
        }
        for stamp in stamps(start, end, 15)
    ]


def minutes(start: str, end: str, status: str = "NV") -> list[Row]:
    """Records of ods133 or ods161."""
    return [
        {
            "datetime": stamp.isoformat(),
            "resolutioncode": "PT1M",
            "quarterhour": stamp.floor("15min").isoformat(),
            "qualitystatus": status,
            "ace": -55.073,
            "systemimbalance": -107.004,
            "alpha": 1.5,
            "alpha_prime": 0.0,
            "marginalincrementalprice": price_of(stamp),
            "marginaldecrementalprice": -10.338,
            "imbalanceprice": price_of(stamp),
        }
        for stamp in stamps(start, end, 1)
    ]


_EDGES = ("minus_inf", "minus_400", "minus_200", "0", "200", "400", "inf")


def imbalance_forecasts(start: str, end: str, ahead_min: int = 0) -> list[Row]:
    """Records of ods136 (ahead_min 0) or ods147 (15): one a minute, some seconds late."""
    probabilities = {
        f"predictions_categoricalsiprediction_from_{low}_to_{high}": 1 / 6 for low, high in itertools.pairwise(_EDGES)
    }
    return [
        {
            "predictiontimeutc": (stamp + pd.Timedelta(6, "s")).isoformat(),
            "resolutioncode": "PT1M",
            "predictions_forecastedtimeutc": (stamp.floor("15min") + pd.Timedelta(ahead_min, "min")).isoformat(),
            "predictionquality": 1.0,
            "predictions_silinearregressionforecast": 38.7,
            **probabilities,
        }
        for stamp in stamps(start, end, 1)
    ]


WIND_PARTS = (
    ("Offshore", "Federal", "Elia"),
    ("Onshore", "Flanders", "Elia"),
    ("Onshore", "Flanders", "Dso"),
    ("Onshore", "Wallonia", "Elia"),
    ("Onshore", "Wallonia", "Dso"),
)


def wind(start: str, end: str, measured: str = "measured") -> list[Row]:
    """Records of ods031, or of ods086 with `measured="realtime"`: part n of hour h blows 100 n + h MW day-ahead."""
    return [
        {
            "datetime": stamp.isoformat(),
            "resolutioncode": "PT15M",
            "offshoreonshore": sea,
            "region": region,
            "gridconnectiontype": connection,
            measured: 100.0 * number + 1,
            "mostrecentforecast": 100.0 * number + 2,
            "dayahead11hforecast": 0.0,
            "dayaheadforecast": 100.0 * number + stamp.hour,
            "monitoredcapacity": 2262.1,
        }
        for stamp in stamps(start, end, 15)
        for number, (sea, region, connection) in enumerate(WIND_PARTS, start=1)
    ]


def solar(start: str, end: str, measured: str = "measured") -> list[Row]:
    """Records of ods032, or of ods087 with `measured="realtime"`: Belgium has 1,000 MW plus its hour, others less."""
    return [
        {
            "datetime": stamp.isoformat(),
            "resolutioncode": "PT15M",
            "region": region,
            measured: value + 1.0,
            "mostrecentforecast": value + 2.0,
            "dayahead11hforecast": 0.0,
            "dayaheadforecast": value + stamp.hour,
            "monitoredcapacity": 9000.0,
        }
        for stamp in stamps(start, end, 15)
        for region, value in (("Belgium", 1000.0), ("Flanders", 700.0), ("Wallonia", 300.0))
    ]
