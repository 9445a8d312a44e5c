"""Day-ahead prices as their publishers give them: ENTSO-E's web site in both layouts, Energy-Charts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.files.read import Table, read_answer, read_market
from arbitrage.market.files.schemas import Kind
from arbitrage.market.point_in_time import DAY_AHEAD

OLDER = '"MTU ({zone})","Day-ahead Price [EUR/MWh]","Currency","BZN|BE"'
NEWER = (
    '"MTU ({zone})","Area","Sequence","Day-ahead Price (EUR/MWh)","Intraday Period ({zone})","Intraday Price (EUR/MWh)"'
)
BOTH = pytest.mark.parametrize("layout", ["older", "newer"])


def read(text: str, **options: str) -> Table:
    return read_answer("export.csv", text.encode(), **options)


def faults_of(text: str, **options: str) -> list[str]:
    with pytest.raises(BadInput) as refusal:
        read(text, **options)
    return [str(fault).removeprefix("export.csv").removeprefix(":").strip() for fault in refusal.value.faults]


def export(layout: str, rows: Sequence[tuple[str, str]], zone: str = "CET/CEST", area: str = "BZN|BE") -> str:
    """An export of rows of intervals and prices in a layout."""
    if layout == "older":
        header = OLDER.format(zone=zone).replace("BZN|BE", area)
        return "\n".join([header, *(f'"{interval}","{price}","EUR",""' for interval, price in rows)])
    lines = (f'"{interval}","{area}","Without Sequence","{price}","",""' for interval, price in rows)
    return "\n".join([NEWER.format(zone=zone), *lines])


def written(layout: str, starts: pd.DatetimeIndex, minutes: int) -> list[str]:
    """Intervals as a layout writes them in the time zone of their starts."""
    form = "%d.%m.%Y %H:%M" if layout == "older" else "%d/%m/%Y %H:%M:%S"
    return [f"{start.strftime(form)} - {(start + pd.Timedelta(minutes, 'min')).strftime(form)}" for start in starts]


def minutes_of(table: Table) -> list[float]:
    return table.frame["duration_min"].to_list()


# ENTSO-E's web site


@pytest.mark.parametrize(
    "text",
    [
        (
            f'{OLDER.format(zone="CET/CEST")}\n"01.01.2022 00:00 - 01.01.2022 01:00","46.60","EUR",""\n'
            '"01.01.2022 01:00 - 01.01.2022 02:00","41.33","EUR",""\n'
        ),
        (
            f"{NEWER.format(zone='CET/CEST')}\n"
            '"01/01/2022 00:00:00 - 01/01/2022 01:00:00","BZN|BE","Without Sequence","46.60","",""\n'
            '"01/01/2022 01:00:00 - 01/01/2022 02:00:00","BZN|BE","Without Sequence","41.33","",""\n'
        ),
        (
            f"{NEWER.format(zone='UTC')}\n"
            '"31/12/2021 23:00:00 - 01/01/2022 00:00:00","BZN|BE","Sequence 1","46.60","",""\n'
            '"01/01/2022 00:00:00 - 01/01/2022 01:00:00","Belgium (BE)","Sequence 1","41.33","",""\n'
        ),
        (
            "MTU,Day-ahead Price [EUR/MWh]\n01.01.2022 00:00 - 01.01.2022 01:00 (CET/CEST),46.60\n"
            "01.01.2022 01:00 - 01.01.2022 02:00 (CET/CEST),41.33\n"
        ),
    ],
)
def test_exports_of_the_web_site_are_read_in_all_layouts(text: str) -> None:
    for form in (text, text.replace('"', ""), text.replace(",", ";"), "\ufeff" + text.replace("\n", "\r\n")):
        table = read(form)
        assert table.kind is Kind.DAY_AHEAD_PRICE
        assert table.frame[DAY_AHEAD].to_list() == [46.6, 41.33]
        assert list(table.frame.index) == list(pd.date_range("2021-12-31T23:00Z", periods=2, freq="h"))
        assert (minutes_of(table), table.gaps()) == ([60.0, 60.0], [])


@BOTH
@pytest.mark.parametrize("day", ["2022-03-27", "2022-10-30", "2025-10-26", "2026-03-29"])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("minutes", [60, 15])
def test_days_on_which_the_clock_changes_are_whole(layout: str, day: str, backward: bool, minutes: int) -> None:
    midnight = pd.Timestamp(day, tz="Europe/Brussels")
    starts = pd.date_range(midnight, midnight + pd.DateOffset(days=1), freq=f"{minutes}min", inclusive="left")
    rows = [(interval, str(number)) for number, interval in enumerate(written(layout, starts, minutes))]
    table = read(export(layout, rows[::-1] if backward else rows))
    assert list(table.frame.index) == list(starts.tz_convert("UTC"))
    assert table.frame[DAY_AHEAD].to_list() == list(range(len(starts)))
    assert (set(minutes_of(table)), table.gaps()) == ({float(minutes)}, [])


@pytest.mark.parametrize("ends", ["02:00", "03:00"])
def test_the_two_hours_of_october_may_be_written_alike_or_not(ends: str) -> None:
    rows = [
        ("30.10.2022 01:00 - 30.10.2022 02:00", "1"),
        (f"30.10.2022 02:00 - 30.10.2022 {ends}", "2"),
        ("30.10.2022 02:00 - 30.10.2022 03:00", "3"),
        ("30.10.2022 03:00 - 30.10.2022 04:00", "4"),
    ]
    table = read(export("older", rows))
    assert list(table.frame.index) == list(pd.date_range("2022-10-29T23:00Z", periods=4, freq="h"))
    assert minutes_of(table) == [60.0] * 4


def test_names_of_summer_and_winter_time_beside_the_hours_are_read_in_any_order() -> None:
    rows = [
        ("26/10/2025 02:45:00 (CET) - 26/10/2025 03:00:00 (CET)", "3"),
        ("26/10/2025 02:45:00 (CEST) - 26/10/2025 02:00:00 (CET)", "1"),
        ("26/10/2025 02:00:00 (CET) - 26/10/2025 02:15:00 (CET)", "2"),
        ("29/03/2026 01:45:00 (CET) - 29/03/2026 03:00:00 (CEST)", "4"),
    ]
    table = read(export("newer", rows))
    assert [f"{stamp:%m-%dT%H:%M}" for stamp in table.frame.index] == [
        "10-26T00:45",
        "10-26T01:00",
        "10-26T01:45",
        "03-29T00:45",
    ]
    assert table.frame[DAY_AHEAD].to_list() == [1, 2, 3, 4]
    assert minutes_of(table) == [15.0] * 4


def test_one_name_in_the_doubled_hour_leaves_the_order_to_tell_the_others() -> None:
    starts = pd.date_range("2025-10-26T00:00", periods=16, freq="15min", tz="Europe/Brussels")
    rows = [(interval, str(number)) for number, interval in enumerate(written("newer", starts, 15))]
    rows[11] = ("26/10/2025 02:45:00 (CEST) - 26/10/2025 02:00:00 (CET)", "11")
    assert read(export("newer", rows)).frame[DAY_AHEAD].to_list() == list(range(16))


def test_half_of_the_doubled_hour_is_refused() -> None:
    rows = [(f"30.10.2022 {hour:02d}:00 - 30.10.2022 {hour + 1:02d}:00", "1") for hour in range(1, 5)]
    (fault,) = faults_of(export("older", rows))
    assert fault.startswith("3: '30.10.2022 02:00 - 30.10.2022 03:00' occurs twice in Europe/Brussels")


@BOTH
def test_hours_and_quarter_hours_are_distinguished_by_their_intervals_in_one_file(layout: str) -> None:
    hours = pd.date_range("2024-06-01T21:00", periods=3, freq="h", tz="Europe/Brussels")
    quarters = pd.date_range("2024-06-02T00:00", periods=5, freq="15min", tz="Europe/Brussels")
    rows = [(interval, "1") for interval in written(layout, hours, 60) + written(layout, quarters, 15)]
    table = read(export(layout, rows))
    assert minutes_of(table) == [60.0] * 3 + [15.0] * 5
    assert table.gaps() == []


def test_a_quarter_hour_on_the_hour_that_stands_alone_is_still_a_quarter_hour() -> None:
    assert minutes_of(read(export("older", [("01.06.2024 10:00 - 01.06.2024 10:15", "1")]))) == [15.0]


@pytest.mark.parametrize("absent", ["", "-", "n/e", "N/A"])
@BOTH
def test_a_price_that_was_not_published_is_a_gap_and_counted(layout: str, absent: str) -> None:
    starts = pd.date_range("2024-06-01T10:00", periods=4, freq="h", tz="Europe/Brussels")
    rows = list(zip(written(layout, starts, 60), ("1", absent, "3", absent), strict=True))
    table = read(export(layout, rows))
    assert table.gaps() == [(starts[1].tz_convert("UTC"), starts[2].tz_convert("UTC"))]
    assert (len(table.frame), table.without_price) == (2, 2)


def test_an_hour_that_march_does_not_have_may_stand_there_without_a_price_only() -> None:
    missing = "27.03.2022 02:00 - 27.03.2022 03:00"
    rows = [("27.03.2022 01:00 - 27.03.2022 02:00", "1"), (missing, ""), ("27.03.2022 03:00 - 27.03.2022 04:00", "3")]
    table = read(export("older", rows))
    assert (minutes_of(table), table.gaps()) == ([60.0, 60.0], [])
    (fault,) = faults_of(export("older", [rows[0], (missing, "5"), rows[2]]))
    assert fault.startswith(f"3: '{missing}' does not exist in Europe/Brussels")


def test_a_file_without_any_price_is_refused() -> None:
    assert faults_of(export("older", [("01.06.2024 10:00 - 01.06.2024 11:00", "-")])) == ["holds no price"]


@BOTH
@pytest.mark.parametrize("area", ["BZN|FR", "BZN|NL", "CTY|Germany (DE)"])
def test_prices_of_another_area_are_refused(layout: str, area: str) -> None:
    faults = faults_of(export(layout, [("01.06.2024 10:00 - 01.06.2024 11:00", "5")], area=area))
    assert len(faults) == 1
    assert f"'{area}'" in faults[0]
    assert "export the prices of Belgium (BZN|BE)" in faults[0]


def test_prices_in_another_currency_are_refused() -> None:
    text = export("older", [("01.06.2024 10:00 - 01.06.2024 11:00", "5")]).replace('EUR"', 'GBP"')
    assert faults_of(text) == ["2: 'GBP' is not in euros: export the prices in EUR"]


def test_prices_of_other_auctions_are_not_read_and_counted() -> None:
    intervals = written("newer", pd.date_range("2024-06-01T10:00", periods=2, freq="h", tz="Europe/Brussels"), 60)
    rows = [
        f'"{interval}","BZN|BE","{name}","{price}","",""'
        for interval in intervals
        for name, price in (("Sequence 1", 1), ("Sequence 2", 99))
    ]
    table = read("\n".join([NEWER.format(zone="CET/CEST"), *rows]))
    assert table.frame[DAY_AHEAD].to_list() == [1.0, 1.0]
    assert (table.of_other_auctions, table.without_price) == (2, 0)
    assert table.unread_columns == ("Intraday Period (CET/CEST)", "Intraday Price (EUR/MWh)")


def test_auctions_of_one_number_that_differ_are_refused() -> None:
    interval = "01/06/2024 10:00:00 - 01/06/2024 11:00:00"
    rows = [f'"{interval}","BZN|BE","{name}","{price}","",""' for name, price in (("Sequence 1", 1), ("", 2))]
    (fault,) = faults_of("\n".join([NEWER.format(zone="UTC"), *rows]))
    assert "2.0 for 2024-06-01T10:00Z, but line 2 gives 1.0" in fault


@pytest.mark.parametrize(
    ("interval", "wrong"),
    [
        ("01.06.2024 10:00", "is not an interval of two times"),
        ("01.06.2024 10:00 - 11:00", "is not an interval of two times"),
        ("01.06.2024 10:00 - 31.06.2024 11:00", "is not an interval of two times"),
        ("01.06.2024 10:00 - 01.06.2024 12:00", "is neither an hour nor a quarter-hour"),
        ("01.06.2024 10:00 - 01.06.2024 09:00", "is neither an hour nor a quarter-hour"),
        ("", "MTU (CET/CEST) is missing"),
    ],
)
def test_what_is_no_interval_is_refused(interval: str, wrong: str) -> None:
    (fault,) = faults_of(export("older", [(interval, "5")]))
    assert wrong in fault


def test_an_hour_that_begins_off_the_hour_is_refused() -> None:
    assert faults_of(export("older", [("01.06.2024 10:15 - 01.06.2024 11:15", "5")])) == [
        "2: 2024-06-01T08:15Z is not on the hour, as an hourly price must be"
    ]


def test_a_title_that_may_mean_winter_time_all_year_needs_the_zone() -> None:
    text = export("older", [("01.06.2024 10:00 - 01.06.2024 11:00", "5")], zone="CET")
    assert "has no time zone: give --timezone Europe/Brussels" in faults_of(text)[0]
    assert read(text, timezone="Europe/Brussels").frame.index[0] == pd.Timestamp("2024-06-01T08:00Z")
    assert read(text, timezone="+01:00").frame.index[0] == pd.Timestamp("2024-06-01T09:00Z")


def test_an_export_resaved_by_a_belgian_spreadsheet_is_read() -> None:
    text = export("newer", [("01/06/2024 10:00:00 - 01/06/2024 11:00:00", "46,60")]).replace('"', "").replace(",", ";")
    text = text.replace("46;60", "46,60")
    for decimal in (",", "auto"):
        assert read(text, decimal=decimal).frame[DAY_AHEAD].to_list() == [46.6]


# Energy-Charts


def answer(starts: Sequence[int], prices: Sequence[float | None], **more: object) -> bytes:
    fields = {"license_info": "CC BY 4.0", "unix_seconds": starts, "price": prices, "unit": "EUR / MWh"}
    return json.dumps({**fields, "deprecated": False, **more}).encode()


MIDNIGHT = 1_759_269_600
"""2025-10-01 in Brussels, as Unix seconds."""


def test_an_answer_of_energy_charts_is_read_with_its_hours_and_quarter_hours() -> None:
    starts = [MIDNIGHT - 7200, MIDNIGHT - 3600, *(MIDNIGHT + 900 * quarter for quarter in range(6))]
    table = read_answer("price.json", answer(starts, [88.1, 80, 84.2, 79.9, -0.5, 71.3, 75, 74]))
    assert table.kind is Kind.DAY_AHEAD_PRICE
    assert table.frame[DAY_AHEAD].to_list() == [88.1, 80.0, 84.2, 79.9, -0.5, 71.3, 75.0, 74.0]
    assert table.frame.index[0] == pd.Timestamp("2025-09-30T20:00Z")
    assert (minutes_of(table), table.gaps()) == ([60.0] * 2 + [15.0] * 6, [])


def test_null_prices_of_energy_charts_are_gaps_as_long_as_their_intervals() -> None:
    starts = [MIDNIGHT + 900 * quarter for quarter in range(9)]
    table = read_answer("price.json", answer(starts, [1, None, None, None, 2, None, None, None, None]))
    stamps = [pd.Timestamp(start, unit="s", tz="UTC") for start in starts]
    assert table.gaps() == [(stamps[1], stamps[4])]
    assert (minutes_of(table), table.without_price) == ([15.0, 15.0], 7)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (answer([MIDNIGHT], []), "has 1 unix_seconds and 0 price: their numbers must agree"),
        (answer([MIDNIGHT], [1], unit="GBP / MWh"), "unit is 'GBP / MWh', but prices are needed in EUR / MWh"),
        (answer(["x"], [1]), "record 1: unix_seconds: 'x' is not a time in whole seconds"),
        (answer([True], [1]), "record 1: unix_seconds: 'True' is not a time in whole seconds"),
        (answer([10**30], [1]), f"record 1: unix_seconds: '{10**30}' is not a time in whole seconds"),
        (answer([-1], [1]), "record 1: 1969-12-31T23:59:59Z lies outside 2000-01-01 .. 2100-01-01"),
        (answer([MIDNIGHT + 60], [1]), "record 1: 2025-09-30T22:01Z is not on the grid of 15 min"),
        (answer([MIDNIGHT], ["dear"]), "record 1: price: 'dear' is not a number"),
        (answer([MIDNIGHT], [float("inf")]), "record 1: price is infinite"),
        (answer([MIDNIGHT], [None]), "holds no price"),
        (answer([], []), "holds no rows"),
        (b'{"unix_seconds": 5, "price": {}}', "unix_seconds and price must be lists"),
        (b'{"detail": "no data for 2099"}', "is an error response of the service: no data for 2099"),
    ],
)
def test_a_damaged_answer_of_energy_charts_is_refused(content: bytes, fault: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_answer("price.json", content)
    assert [each.message for each in refusal.value.faults] == [fault]


def test_a_field_that_a_json_object_gives_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="gives the field 'imbalanceprice' more than once in one object"):
        read_answer("twice.json", b'[{"datetime": "2024-06-01T00:00Z", "imbalanceprice": 5, "imbalanceprice": 6}]')


def test_a_market_is_read_from_any_of_them(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("datetime,imbalanceprice\n2025-09-30T21:00Z,1\n2025-09-30T22:15Z,2\n")
    older, newer, charts = tmp_path / "older.csv", tmp_path / "newer.csv", tmp_path / "charts.json"
    older.write_text(export("older", [("30.09.2025 23:00 - 01.10.2025 00:00", "40")]))
    newer.write_text(export("newer", [("01/10/2025 00:00:00 - 01/10/2025 00:15:00", "50")]))
    charts.write_bytes(answer([MIDNIGHT + 900, MIDNIGHT + 1800], [60, None]))
    market = read_market(prices, day_ahead=[older, newer, charts])
    known = market.known_at(int(market.quarter_hours[0])).gather(DAY_AHEAD, 15 * np.arange(7))
    np.testing.assert_array_equal(known[0], [40, 40, 40, 40, 50, 60, np.nan])
