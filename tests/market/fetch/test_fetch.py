"""Fetching from the test server into the store: requests, stored records and refusals."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.fetch import entsoe
from arbitrage.market.fetch.elia_client import EliaClient, RetryLimits, Unreachable
from arbitrage.market.fetch.entsoe import EntsoeSource, Library, entsoe_library
from arbitrage.market.fetch.fetch import EliaSource, FetchReport, RecordTypeReport, fetch
from arbitrage.market.fetch.poll import INTERVAL_S, Poll, live_datasets, watch
from arbitrage.market.files.schemas import DURATION, QUALITY
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.market.store.datasets import (
    DATASETS,
    DAY_AHEAD_PRICES,
    MINUTES,
    NEXT_QUARTER_HOUR,
    PRICES,
    SOLAR,
    THIS_QUARTER_HOUR,
    WIND,
    Source,
    chunks,
)
from arbitrage.market.store.store import Store
from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import EliaServer, Row

NOW = pd.Timestamp("2024-12-01T10:07", tz="UTC")


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.fixture
def server() -> Iterator[EliaServer]:
    with EliaServer(datasets={dataset.name: [] for dataset in DATASETS}).running() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def bring(
    server: EliaServer,
    store: Store,
    start: str,
    end: str,
    *topics: Source,
    now: pd.Timestamp = NOW,
    refresh: bool = False,
) -> FetchReport:
    limits = RetryLimits(tries=2, read_s=5.0)
    with EliaClient(server.url, limits, now=lambda: now, sleep=lambda seconds: None) as client:
        sources = dict.fromkeys(topics or (Source.PRICES,), EliaSource(client))
        return fetch(store, sources, utc(start), utc(end), refresh=refresh, now=lambda: now)


def only(report: FetchReport) -> RecordTypeReport:
    [record_type] = report.record_types
    return record_type


def asked(server: EliaServer) -> list[str]:
    return [name for name, _ in server.requests]


# Requests


def test_a_span_across_the_go_live_comes_from_both_datasets(server: EliaServer, store: Store) -> None:
    server.datasets["ods047"] = double.old_quarter_hours("2024-05-01", "2024-05-21T22:00")
    server.datasets["ods134"] = double.quarter_hours("2024-05-21T22:00", "2024-06-01")
    report = only(bring(server, store, "2024-05-20", "2024-05-24"))
    assert asked(server) == ["ods047", "ods134"]
    assert report.missing == []
    expected = double.stamps("2024-05-20", "2024-05-24", 15)
    frame = store.frame(PRICES, expected[0], expected[-1] + pd.Timedelta(minutes=15))
    assert frame[PRICE].tolist() == [double.price_of(stamp) for stamp in expected]


@pytest.mark.parametrize("change", ["2024-05-21T22:00", "2024-05-22T00:00"], ids=["Brussels", "UTC"])
def test_the_change_of_datasets_may_lie_at_midnight_in_brussels_or_in_utc(
    server: EliaServer, store: Store, change: str
) -> None:
    server.datasets["ods046"] = double.minutes("2024-05-20", change)
    server.datasets["ods133"] = double.minutes(change, "2024-05-24")
    report = only(bring(server, store, "2024-05-20", "2024-05-24", Source.MINUTES))
    assert report.missing == []
    assert len(store.frame(MINUTES)) == 4 * 1440


@pytest.mark.parametrize(
    ("topic", "start", "end", "expected"),
    [
        (Source.PRICES, "2024-01-15", "2024-03-02", ["ods047 2024-01", "ods047 2024-02", "ods047 2024-03"]),
        (Source.PRICES, "2024-07-31T23:45", "2024-08-01", ["ods134 2024-07"]),
        (Source.PRICES, "2024-11-30T23:00", "2025-02-01", ["ods134 2024-11", "ods162 2024-11-30", "ods134 2024-12"]),
        (Source.MINUTES, "2024-11-27T12:00", "2024-11-28", ["ods133 2024-11-27"]),
        (Source.FORECASTS, "2024-02-29", "2024-03-01", ["ods136 2024-02-29", "ods147 2024-02-29"]),
        (Source.WIND_SOLAR, "2024-10-02", "2024-10-03", ["ods031 2024-10", "ods032 2024-10"]),
        (Source.DAY_AHEAD, "2024-10-02", "2024-10-03", ["entsoe 2024-10"]),
    ],
)
def test_pieces_cover_the_span_and_do_not_depend_on_it(
    topic: Source, start: str, end: str, expected: list[str]
) -> None:
    found = [str(chunk) for chunk in chunks(topic, utc(start), utc(end), NOW)]
    assert found[: len(expected)] == expected or sorted(found) == sorted(expected)


def test_future_records_are_requested_only_as_far_as_they_are_published_ahead() -> None:
    later = (utc("2025-01-01"), utc("2025-01-02"), NOW)
    assert [chunks(topic, *later) for topic in Source] == [[]] * len(Source)
    tomorrow = chunks(Source.WIND_SOLAR, utc("2024-12-02"), utc("2024-12-03"), NOW)
    assert [str(chunk) for chunk in tomorrow if chunk.dataset.name == "ods086"] == ["ods086 2024-12-02"]


def test_recent_days_come_from_the_live_set_too(server: EliaServer, store: Store) -> None:
    server.datasets["ods134"] = double.quarter_hours("2024-11-01", "2024-12-01", "NotValidated")
    server.datasets["ods162"] = double.quarter_hours("2024-11-30", "2024-12-01T10:00", "NotValidated", shift=9.0)
    report = only(bring(server, store, "2024-11-25", "2024-12-01T10:00"))
    assert report.missing == []
    frame = store.frame(PRICES, utc("2024-11-30T23:45"), utc("2024-12-01T00:15"))
    assert frame[PRICE].tolist() == [double.price_of(utc("2024-11-30T23:45")), double.price_of(utc("2024-12-01")) + 9.0]


def test_every_source_of_elia_is_stored_with_the_column_names_of_the_project(server: EliaServer, store: Store) -> None:
    day = ("2024-11-20", "2024-11-21")
    server.datasets |= {
        "ods134": double.quarter_hours(*day),
        "ods133": double.minutes(*day),
        "ods136": double.imbalance_forecasts(*day),
        "ods147": double.imbalance_forecasts(*day, ahead_min=15),
        "ods031": double.wind(*day),
        "ods032": double.solar(*day),
    }
    report = bring(server, store, *day, *(topic for topic in Source if topic is not Source.DAY_AHEAD))
    assert report.failures == []
    # The forecast of the next quarter-hour cannot cover the first one of the first day that there is.
    gaps = {each.record_type.name: each.missing for each in report.record_types if each.missing}
    assert gaps == {"forecast-next-quarter-hour": [(utc("2024-11-20"), utc("2024-11-20T00:15"))]}
    ahead = store.frame(NEXT_QUARTER_HOUR)
    assert (ahead["quarter_hour"] - ahead.index.floor("15min") == pd.Timedelta(minutes=15)).all()
    assert ahead["system_imbalance_forecast_mw"].tolist() == [38.7] * 1440
    assert ahead.filter(like="probability").shape[1] == 6
    assert (store.frame(THIS_QUARTER_HOUR)["quarter_hour"] == ahead.index.floor("15min")).all()
    assert store.frame(WIND)["wind_measured_mw"].tolist() == [1505.0] * 96
    assert store.frame(SOLAR)["solar_forecast_recent_mw"].tolist() == [1002.0] * 96
    assert store.frame(MINUTES)["marginal_decremental_price_eur_mwh"].tolist() == [-10.338] * 1440


# Again


def test_a_final_piece_is_not_requested_again_without_refresh(server: EliaServer, store: Store) -> None:
    server.datasets["ods134"] = double.quarter_hours("2024-09-01", "2024-10-01")
    first = only(bring(server, store, "2024-09-10", "2024-09-11"))
    assert (first.asked, first.skipped, first.change.added) == (1, 0, 30 * 96)
    again = only(bring(server, store, "2024-09-01", "2024-10-01"))
    assert (again.asked, again.skipped, server.asked("ods134")) == (0, 1, 1)
    wanted = only(bring(server, store, "2024-09-01", "2024-10-01", refresh=True))
    assert (wanted.asked, wanted.change.added, wanted.change.revised) == (1, 0, 0)


def test_a_piece_that_was_not_validated_is_requested_again_and_its_changes_are_revisions(
    server: EliaServer, store: Store
) -> None:
    days = ("2024-10-01", "2024-11-01")
    server.datasets["ods134"] = double.quarter_hours(*days, "NotValidated")
    bring(server, store, *days)
    rows = double.quarter_hours(*days)
    rows[5] |= {"imbalanceprice": 1739.0}
    server.datasets["ods134"] = rows
    later = NOW + pd.Timedelta(days=10)
    report = only(bring(server, store, *days, now=later))
    assert (report.asked, report.change.added, report.change.revised) == (1, 0, 31 * 96)
    stamp = utc("2024-10-01T01:15")
    assert store.frame(PRICES)[PRICE].loc[stamp] == 1739.0
    assert store.frame(PRICES, as_of=NOW)[PRICE].loc[stamp] == double.price_of(stamp)
    assert set(store.frame(PRICES)[QUALITY]) == {"validated"}
    assert only(bring(server, store, *days, now=later)).skipped == 1


def test_an_empty_response_stores_nothing_and_is_requested_again(server: EliaServer, store: Store) -> None:
    report = only(bring(server, store, "2024-06-01", "2024-06-02"))
    assert (report.asked, report.empty) == (1, 1)
    assert report.missing == [(utc("2024-06-01"), utc("2024-06-02"))]
    assert not store.directory.exists()
    server.datasets["ods134"] = double.quarter_hours("2024-06-01", "2024-07-01")
    assert only(bring(server, store, "2024-06-01", "2024-06-02")).missing == []


# Gaps


def test_gaps_are_named_and_not_filled(server: EliaServer, store: Store) -> None:
    rows = double.quarter_hours("2024-09-01", "2024-10-01")
    rows[200] |= {"imbalanceprice": None, "qualitystatus": "DataIssue"}
    server.datasets["ods134"] = [row for number, row in enumerate(rows) if number not in (40, 41, 42, 300)]
    report = only(bring(server, store, "2024-09-01", "2024-10-01"))
    assert report.missing == [
        (utc("2024-09-01T10:00"), utc("2024-09-01T10:45")),
        (utc("2024-09-03T02:00"), utc("2024-09-03T02:15")),
        (utc("2024-09-04T03:00"), utc("2024-09-04T03:15")),
    ]
    assert len(store.frame(PRICES)) == 30 * 96 - 4


def test_what_is_not_over_yet_is_not_missing(server: EliaServer, store: Store) -> None:
    server.datasets["ods162"] = double.quarter_hours("2024-12-01", "2024-12-01T09:45", "NotValidated")
    report = only(bring(server, store, "2024-12-01", "2025-01-01"))
    assert report.missing == [(utc("2024-12-01T09:45"), utc("2024-12-01T10:00"))]


# Answers that cannot be used


def whole_september() -> list[Row]:
    return double.quarter_hours("2024-09-01", "2024-10-01")


def two_prices(rows: list[Row]) -> list[Row]:
    return [*rows, rows[3] | {"imbalanceprice": 1.25}]


@pytest.mark.parametrize(
    ("bad_day", "reason"),
    [
        (double.holds(two_prices), r"imbalance_price_eur_mwh .* for 2024-09-30T23:00Z"),
        (double.holds(lambda rows: double.minutes("2024-09-01", "2024-09-02")), "holds imbalance prices by minute"),
        (double.holds(lambda rows: double.solar("2024-09-01", "2024-09-02")), "holds wind and solar forecasts"),
        (double.holds(lambda rows: [{"station": "Brussels", "bikes": 7}]), "unknown columns: station, bikes"),
        (double.holds(lambda rows: double.quarter_hours("2024-08-31", "2024-09-02")), "96 records lie outside"),
        (double.holds(lambda rows: [rows[0] | {"imbalanceprice": "n/a"}]), "'n/a' is not a number"),
        (double.holds(lambda rows: [rows[0] | {"datetime": "2024-09-01T00:00"}]), "no time zone"),
    ],
    ids=["contradiction", "minutes", "solar", "bicycles", "other days", "no number", "no zone"],
)
def test_an_unusable_response_is_reported_and_not_stored_and_others_are(
    server: EliaServer, store: Store, bad_day: double.Reply, reason: str
) -> None:
    server.datasets["ods134"] = double.quarter_hours("2024-09-01", "2024-11-01")
    server.bad_days.append(bad_day)
    report = bring(server, store, "2024-09-01", "2024-11-01")
    [failure] = report.failures
    assert "ods134, 2024-09-01T00:00Z to 2024-10-01T00:00Z" in str(failure)
    assert re.search(reason, str(failure))
    assert only(report).missing == [(utc("2024-09-01"), utc("2024-10-01"))]
    assert len(store.frame(PRICES)) == 31 * 96
    mended = bring(server, store, "2024-09-01", "2024-11-01")
    assert (mended.failures, only(mended).missing, only(mended).asked) == ([], [], 1)


def test_solar_is_not_taken_for_wind(server: EliaServer, store: Store) -> None:
    server.datasets |= {"ods031": double.wind("2024-09-01", "2024-09-02"), "ods032": []}
    server.bad_days.append(double.holds(lambda rows: double.solar("2024-09-01", "2024-09-02")))
    [failure] = bring(server, store, "2024-09-01", "2024-09-02", Source.WIND_SOLAR).failures
    assert "ods031, 2024-09-01T00:00Z to 2024-10-01T00:00Z: holds wind and solar" in str(failure)
    assert len(store.frame(WIND)) == 0


def test_rows_that_repeat_each_other_are_one_and_the_order_does_not_matter(server: EliaServer, store: Store) -> None:
    rows = whole_september()
    server.datasets["ods134"] = rows
    server.bad_days.append(double.holds(lambda rows: [*rows[500:], *rows[:600], rows[3]]))
    report = only(bring(server, store, "2024-09-01", "2024-10-01"))
    assert (report.change.added, report.missing) == (30 * 96, [])
    assert store.frame(PRICES)[PRICE].tolist() == [row["imbalanceprice"] for row in rows]


def test_a_validated_row_beside_another_in_one_response_is_a_revision(server: EliaServer, store: Store) -> None:
    rows = whole_september()
    server.datasets["ods134"] = [*rows, rows[3] | {"imbalanceprice": 1.25, "qualitystatus": "NotValidated"}]
    report = only(bring(server, store, "2024-09-01", "2024-10-01"))
    assert (report.change.added, report.change.revised) == (30 * 96, 1)
    assert store.revisions(PRICES)[PRICE].tolist()[3:5] == [1.25, rows[3]["imbalanceprice"]]


def test_a_refused_request_does_not_keep_others_from_being_made(server: EliaServer, store: Store) -> None:
    server.datasets["ods134"] = whole_september()
    server.bad_days.append(double.says(400, {"error_code": "ODSQLError", "message": "malformed"}))
    report = bring(server, store, "2024-08-01", "2024-10-01")
    assert ["HTTP 400 Bad Request: ODSQLError: malformed" in str(failure) for failure in report.failures] == [True]
    assert len(store.frame(PRICES)) == 30 * 96


def test_a_service_that_fails_ends_the_fetch_and_what_was_stored_stays(server: EliaServer, store: Store) -> None:
    server.datasets["ods134"] = double.quarter_hours("2024-08-01", "2024-10-01")
    server.bad_days.extend([double.holds(lambda rows: rows), double.says(503), double.says(503)])
    with pytest.raises(Unreachable, match=r"ods134, 2024-09-01.*HTTP 503"):
        bring(server, store, "2024-08-01", "2024-10-01")
    assert len(store.frame(PRICES)) == 31 * 96
    assert only(bring(server, store, "2024-08-01", "2024-10-01")).skipped == 1


def test_a_span_that_is_empty_is_refused(server: EliaServer, store: Store) -> None:
    with pytest.raises(BadInput, match="is not after the start"):
        bring(server, store, "2024-09-01", "2024-09-01")


# Watching


class Clock:
    """A clock that only sleeping moves; it ends the watch after some rounds."""

    def __init__(self, start: str, rounds: int) -> None:
        self.time, self.rounds, self.slept = utc(start), rounds, list[float]()

    def now(self) -> pd.Timestamp:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self.rounds:
            raise KeyboardInterrupt
        self.time += pd.Timedelta(seconds, "s")


def polls_of(
    server: EliaServer, store: Store, clock: Clock, *topics: Source, interval_s: float = INTERVAL_S
) -> list[Poll]:
    found: list[Poll] = []
    limits = RetryLimits(tries=1, read_s=5.0)
    with EliaClient(server.url, limits, now=clock.now, sleep=lambda seconds: None) as client:
        source, datasets = EliaSource(client), live_datasets(topics)
        polls = watch(store, source, datasets, interval_s=interval_s, now=clock.now, sleep=clock.sleep)
        with pytest.raises(KeyboardInterrupt):
            found.extend(iter(polls))
    return found


def published(server: EliaServer, clock: Clock) -> None:
    """Make the live minutes those that are over, as the clock goes."""
    whole = double.minutes("2024-12-01T09:00", "2024-12-01T10:30")

    def row_count() -> int:
        return int((clock.time - utc("2024-12-01T09:00")) / pd.Timedelta(minutes=1))

    class Growing(list[Row]):
        def __iter__(self) -> Iterator[Row]:
            return iter(whole[: row_count()])

        def __getitem__(self, key: object) -> Row:  # type: ignore[override]
            return whole[0]

        def __bool__(self) -> bool:
            return True

    server.datasets["ods161"] = Growing()


def test_a_poll_stores_each_minute_and_reports_its_age(server: EliaServer, store: Store) -> None:
    clock = Clock("2024-12-01T10:00:20", rounds=3)
    published(server, clock)
    polls = polls_of(server, store, clock, Source.MINUTES)
    assert [poll.newest is not None and poll.newest.name for poll in polls] == [
        utc(f"2024-12-01T{time}") for time in ("09:59", "10:00", "10:01")
    ]
    assert [poll.age_s for poll in polls] == [20.0] * 3
    assert [poll.change.added for poll in polls] == [60, 1, 1]
    assert clock.slept == [60.0] * 3
    assert store.frame(MINUTES)[PRICE].tolist() == [
        double.price_of(stamp) for stamp in double.stamps("2024-12-01T09:00", "2024-12-01T10:02", 1)
    ]


def test_an_outage_is_reported_with_its_beginning_and_missed_records_are_fetched_later(
    server: EliaServer, store: Store
) -> None:
    clock = Clock("2024-12-01T10:00:00", rounds=6)
    published(server, clock)
    server.bad_days.extend([double.holds(lambda rows: rows), *[double.says(503)] * 3])
    polls = polls_of(server, store, clock, Source.MINUTES)
    began = utc("2024-12-01T10:01")
    assert [poll.failing_since for poll in polls] == [None, began, began, began, None, None]
    assert all("HTTP 503" in str(poll.failure) for poll in polls[1:4])
    assert [poll.age_s for poll in polls] == [0.0, 60.0, 120.0, 180.0, 0.0, 0.0]
    assert [poll.restored_after for poll in polls[3:]] == [None, pd.Timedelta(minutes=3), None]
    assert [poll.change.added for poll in polls[3:]] == [0, 4, 1]
    assert len(store.frame(MINUTES)) == 65


def test_an_unusable_response_is_an_outage_too(server: EliaServer, store: Store) -> None:
    clock = Clock("2024-12-01T10:00:00", rounds=2)
    published(server, clock)
    server.bad_days.append(double.holds(two_prices))
    first, second = polls_of(server, store, clock, Source.MINUTES)
    assert "but record" in str(first.failure)
    assert (first.newest, first.age_s) == (None, None)
    assert second.failure is None


def test_polling_continues_over_midnight_into_the_piece_of_the_next_day(server: EliaServer, store: Store) -> None:
    server.datasets["ods162"] = double.quarter_hours("2024-12-01T22:00", "2024-12-02T00:15", "NotValidated")
    polls = polls_of(server, store, Clock("2024-12-02T00:16", rounds=1), Source.PRICES)
    assert [poll.change.added for poll in polls] == [7]
    assert sorted(file.name for file in store.directory.glob("*/*/*.parquet")) == [
        "2024-12-01.parquet",
        "2024-12-02.parquet",
    ]


def test_a_poll_asks_for_a_part_of_a_piece_and_withdraws_nothing(server: EliaServer, store: Store) -> None:
    server.datasets["ods162"] = double.quarter_hours("2024-12-01", "2024-12-02", "NotValidated")
    clock = Clock("2024-12-01T10:00", rounds=2)
    first, second = polls_of(server, store, clock, Source.PRICES, interval_s=3 * 3600.0)
    assert server.requests[1][1]["where"].startswith('datetime >= "2024-12-01T10:45:00"')
    assert (first.change.added, second.change.added, second.change.withdrawn) == (64, 0, 0)


def test_a_slow_poll_does_not_delay_the_next_one(server: EliaServer, store: Store) -> None:
    clock = Clock("2024-12-01T10:00:00", rounds=2)
    server.datasets["ods162"] = []
    times = iter(pd.Timedelta(seconds, "s") for seconds in (0, 0, 70, 0, 0, 0, 0, 0, 0, 0))
    slow = clock.now

    def now() -> pd.Timestamp:
        clock.time += next(times, pd.Timedelta(0))
        return slow()

    with EliaClient(server.url, now=now) as client, pytest.raises(KeyboardInterrupt):
        for _ in watch(store, EliaSource(client), live_datasets((Source.PRICES,)), now=now, sleep=clock.sleep):
            pass
    assert clock.slept[0] == 0.0


def test_a_source_without_live_datasets_cannot_be_polled() -> None:
    with pytest.raises(BadInput, match="no live dataset is published for day-ahead"):
        live_datasets((Source.PRICES, Source.DAY_AHEAD))


# Day-ahead prices


class NothingFound(Exception):
    """What the library raises where there is no price."""


class FakeEntsoe:
    """The library's client: prices in Brussels time, both ends included; or an error.

    By the hour before `change`, by the quarter-hour from it; at the times `absent` without a value.
    """

    def __init__(self, error: Exception | None = None, change: str = "2100-01-01", absent: Sequence[str] = ()) -> None:
        self.error, self.change, self.absent = error, utc(change), [utc(time) for time in absent]

    def query_day_ahead_prices(self, country_code: str, start: pd.Timestamp, end: pd.Timestamp) -> pd.Series:
        assert country_code == "BE"
        if self.error is not None:
            raise self.error
        hours = pd.date_range(start, min(end, self.change), freq="h")
        quarters = pd.date_range(max(start, self.change), end, freq="15min")
        stamps = hours[hours < self.change].append(quarters)
        prices = pd.Series(np.arange(len(stamps), dtype=np.float64), stamps.tz_convert("Europe/Brussels"))
        prices[stamps.isin(self.absent)] = np.nan
        return prices


TOKEN = "0f0f-secret"


def day_ahead(
    store: Store,
    start: str,
    end: str,
    now: str,
    error: Exception | None = None,
    change: str = "2100-01-01",
    absent: Sequence[str] = (),
) -> FetchReport:
    library = Library(FakeEntsoe(error, change, absent), NothingFound, ())
    source = EntsoeSource(library, TOKEN, now=lambda: utc(now))
    return fetch(store, {Source.DAY_AHEAD: source}, utc(start), utc(end), now=lambda: utc(now))


@pytest.mark.parametrize("month", ["2024-06", "2025-11"])
@pytest.mark.parametrize("minutes", [60, 15])
def test_day_ahead_prices_are_stored_with_what_each_covers_whatever_the_date(
    store: Store, month: str, minutes: int
) -> None:
    change = "2000-01-01" if minutes == 15 else "2100-01-01"
    report = only(day_ahead(store, f"{month}-10", f"{month}-12", now="2026-01-01", change=change))
    assert (report.change.added, report.missing) == (30 * 24 * 60 // minutes, [])
    frame = store.frame(DAY_AHEAD_PRICES)
    assert set(frame[DURATION]) == {minutes}
    assert frame[DAY_AHEAD].tolist() == list(range(30 * 24 * 60 // minutes))
    assert only(day_ahead(store, f"{month}-10", f"{month}-12", now="2026-01-01")).skipped == 1


def test_day_ahead_prices_may_go_from_hours_to_quarter_hours_within_a_month(store: Store) -> None:
    report = only(day_ahead(store, "2025-03-01", "2025-03-31", now="2026-01-01", change="2025-03-20"))
    assert report.missing == []
    durations = store.frame(DAY_AHEAD_PRICES)[DURATION]
    assert set(durations[:"2025-03-19T23:00Z"]) == {60}
    assert set(durations["2025-03-20T00:00Z":]) == {15}


def test_a_time_without_a_day_ahead_price_is_missing(store: Store) -> None:
    absent = ["2025-03-05T09:00", "2025-03-25T09:15"]
    report = only(day_ahead(store, "2025-03-01", "2025-03-31", now="2026-01-01", change="2025-03-20", absent=absent))
    assert report.missing == [
        (utc("2025-03-05T09:00"), utc("2025-03-05T10:00")),
        (utc("2025-03-25T09:15"), utc("2025-03-25T09:30")),
    ]


def test_an_hourly_price_covers_the_quarter_hours_that_begin_in_its_hour(store: Store) -> None:
    assert only(day_ahead(store, "2024-06-10T10:15", "2024-06-10T11:45", now="2026-01-01")).missing == []


def test_no_day_ahead_price_is_a_gap(store: Store) -> None:
    report = only(day_ahead(store, "2024-06-01", "2024-06-02", now="2024-06-10", error=NothingFound()))
    assert (report.empty, report.missing) == (1, [(utc("2024-06-01"), utc("2024-06-02"))])


def test_the_token_is_never_shown(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    error = OSError(f"Max retries exceeded with url: /api?securityToken={TOKEN}&periodStart=1")
    with pytest.raises(Unreachable, match=r"entsoe 2024-06: OSError: .*securityToken=\*\*\*&") as failure:
        day_ahead(store, "2024-06-01", "2024-06-02", now="2024-06-10", error=error)
    assert failure.value.__cause__ is None
    hidden = entsoe._Hidden(TOKEN)
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(hidden)
    with caplog.at_level(logging.DEBUG):
        logger.debug("GET %s", f"/api?securityToken={TOKEN}")
    logger.removeFilter(hidden)
    assert caplog.messages == ["GET /api?securityToken=***"]


def test_day_ahead_without_token_or_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="ENTSOE_API_TOKEN"):
        entsoe_library(None)
    monkeypatch.setitem(sys.modules, "entsoe", None)
    with pytest.raises(BadInput, match=r"pip install 'arbitrage\[entsoe\]'"):
        entsoe_library(TOKEN)
