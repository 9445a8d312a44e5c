"""Reading market files: what genuine ones say, and how damaged ones are refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.files.read import read_market, read_table
from arbitrage.market.files.schemas import Kind, RecordQuality
from arbitrage.market.files.values.times import GIVE_ZONE
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.quarter_hour import epoch_minute, utc_timestamps
from tests.examples import examples
from tests.shared_data import shared_file

LABELS = (
    "DateTime;Quality status;Resolution code;Net regulation volume;System imbalance;Alpha;Marginal incremental price;"
    "Marginal decremental price;Strategic reserve price;Positive imbalance price;Negative imbalance price"
)
SHORT = "DateTime;Quality status;Positive imbalance price;Negative imbalance price"
PRICES = "datetime,qualitystatus,imbalanceprice"


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def write(directory: Path, *lines: str, name: str = "prices.csv") -> Path:
    path = directory / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def faults_of(path: Path | str) -> list[str]:
    """The faults for which a file is refused, without the path before them."""
    with pytest.raises(BadInput) as refusal:
        read_table(path)
    return [str(fault).removeprefix(f"{path}:").strip() for fault in refusal.value.faults]


# What genuine files say

QUARTER_HOUR, MINUTE = Kind.IMBALANCE_PRICE_QUARTER_HOUR, Kind.IMBALANCE_PRICE_MINUTE
FORECAST, COMPONENTS = Kind.SYSTEM_IMBALANCE_FORECAST, Kind.SYSTEM_IMBALANCE_COMPONENTS
LADDER = Kind.MERIT_ORDER


@pytest.mark.parametrize(
    ("name", "kind", "rows", "first", "last"),
    [
        ("ods047_api_fieldnames_comma_utc.csv", QUARTER_HOUR, 96, "2024-01-01T00:00", "2024-01-01T23:45"),
        ("ods047_labels_comma_resaved_by_excel_bom.csv", QUARTER_HOUR, 96, "2022-12-31T23:00", "2023-01-01T22:45"),
        ("ods047_portal_csv_dst_2023-03-26.csv", QUARTER_HOUR, 17, "2023-03-25T22:00", "2023-03-26T02:00"),
        ("ods047_portal_csv_labels_bom_crlf.csv", QUARTER_HOUR, 96, "2023-05-22T03:30", "2023-05-23T03:15"),
        ("ods047_portal_csv_notvalidated_to_validated.csv", QUARTER_HOUR, 21, "2023-04-30T18:00", "2023-04-30T23:00"),
        ("ods078_old_realtime_labels_comma_utc.csv", QUARTER_HOUR, 20, "2023-01-31T12:00", "2023-01-31T16:45"),
        ("ods134_exports_json_array_brussels.json", QUARTER_HOUR, 1, "2025-10-09T03:30", "2025-10-09T03:30"),
        ("ods161_portal_csv_labels_bom_lf_NV.csv", MINUTE, 96, "2024-09-06T15:21", "2024-09-06T16:56"),
        ("ods161_portal_csv_labels_bom_2025_DataIssue.csv", MINUTE, 96, "2025-04-08T04:46", "2025-04-08T06:21"),
        ("ods136_si_forecast_current_qh.csv", FORECAST, 19, "2023-01-31T08:31:06", "2023-01-31T08:49:08"),
        ("ods147_si_forecast_next_qh.csv", FORECAST, 19, "2023-01-31T16:52:06", "2023-01-31T17:10:06"),
        ("si_components_minute_labels_comma_resaved.csv", COMPONENTS, 96, "2023-01-01T21:24", "2023-01-01T22:59"),
        ("merit_order_volume_level_prices_2023-01-25.json", LADDER, 4, "2023-01-24T23:00", "2023-01-24T23:45"),
    ],
)
def test_every_genuine_export_is_recognised_by_its_columns(
    name: str, kind: Kind, rows: int, first: str, last: str
) -> None:
    table = read_table(shared_file(f"formats/{name}"))
    assert table.kind is kind
    assert len(table.frame) == rows
    assert (table.frame.index[0], table.frame.index[-1]) == (utc(first), utc(last))
    assert table.frame.index.name == "start"
    assert table.frame.index.is_monotonic_increasing
    assert table.frame.index.is_unique
    assert table.unread_columns == ()


@pytest.mark.parametrize(
    ("name", "kind", "rows", "gaps"),
    [
        ("imbalance_qh_2021.parquet", Kind.IMBALANCE_PRICE_QUARTER_HOUR, 24_188, 0),
        ("imbalance_qh_2022.parquet", Kind.IMBALANCE_PRICE_QUARTER_HOUR, 35_040, 0),
        ("imbalance_qh_2024q1_all_columns.parquet", Kind.IMBALANCE_PRICE_QUARTER_HOUR, 10_000, 0),
        ("imbalance_qh_2018_2019_bid_ladder.parquet", Kind.MERIT_ORDER, 24_176, 25),
        ("imbalance_minute_2024-09-06.parquet", Kind.IMBALANCE_PRICE_MINUTE, 1_137, 0),
        ("system_imbalance_components_minute_2023-01-01.parquet", Kind.SYSTEM_IMBALANCE_COMPONENTS, 1_440, 0),
        ("day_ahead_hourly_2021_2022.parquet", Kind.DAY_AHEAD_PRICE, 14_810, 0),
        ("day_ahead_hourly_2024q1.parquet", Kind.DAY_AHEAD_PRICE, 2_906, 0),
        ("wind_solar_qh_2022.parquet", Kind.WIND_SOLAR_FORECAST, 35_040, 0),
    ],
)
def test_every_parquet_set_is_recognised_by_its_columns(name: str, kind: Kind, rows: int, gaps: int) -> None:
    table = read_table(shared_file(name))
    assert table.kind is kind
    assert len(table.frame) == rows
    assert len(table.gaps()) == gaps
    assert table.unread_columns == ()


def test_every_column_of_an_export_gets_its_name_and_its_unit() -> None:
    frame = read_table(shared_file("formats/ods047_api_fieldnames_comma_utc.csv")).frame
    first = frame.loc[utc("2024-01-01T00:00")]
    assert first.drop("strategic_reserve_price_eur_mwh").to_dict() == {
        PRICE: 211.86,
        "system_imbalance_mw": -307.294,
        "net_regulation_volume_mw": 283.57,
        "alpha_component_eur_mwh": 33.66,
        "marginal_incremental_price_eur_mwh": 178.2,
        "marginal_decremental_price_eur_mwh": -46.59,
        "quality": RecordQuality.VALIDATED,
    }
    assert frame["strategic_reserve_price_eur_mwh"].isna().all()


def test_the_columns_of_the_newer_data_sets_are_read_as_well() -> None:
    frame = read_table(shared_file("formats/ods134_exports_json_array_brussels.json")).frame
    assert frame.iloc[0].to_dict() == {
        PRICE: 87.773,
        "system_imbalance_mw": 130.277,
        "area_control_error_mw": 15.771,
        "alpha_component_eur_mwh": 0.0,
        "alpha_prime_component_eur_mwh": 0.0,
        "marginal_incremental_price_eur_mwh": 118.8,
        "marginal_decremental_price_eur_mwh": 87.773,
        "quality": RecordQuality.NOT_VALIDATED,
    }


def test_an_answer_of_the_records_service_reads_as_the_export_of_the_same_records() -> None:
    export = read_table(shared_file("formats/ods134_exports_json_array_brussels.json"))
    answer = read_table(shared_file("formats/ods134_records_envelope_RECONSTRUCTED.json"))
    pd.testing.assert_frame_equal(export.frame, answer.frame)


def test_an_export_and_the_parquet_set_agree_where_they_overlap() -> None:
    export = read_table(shared_file("formats/ods047_api_fieldnames_comma_utc.csv")).frame
    parquet = read_table(shared_file("imbalance_qh_2024q1_all_columns.parquet")).frame.loc[export.index]
    shared = export.columns.intersection(parquet.columns)
    assert len(shared) == 7
    pd.testing.assert_frame_equal(export[shared], parquet[shared])


def test_a_minute_export_and_the_parquet_minutes_agree_where_they_overlap() -> None:
    export = read_table(shared_file("formats/ods161_portal_csv_labels_bom_lf_NV.csv")).frame
    parquet = read_table(shared_file("imbalance_minute_2024-09-06.parquet")).frame.loc[export.index]
    pd.testing.assert_frame_equal(export, parquet)


def test_the_clock_going_forward_leaves_no_gap() -> None:
    table = read_table(shared_file("formats/ods047_portal_csv_dst_2023-03-26.csv"))
    assert table.gaps() == []
    assert table.frame[PRICE][utc("2023-03-26T00:45")] == 284.56  # 01:45+01:00
    assert table.frame[PRICE][utc("2023-03-26T01:00")] == -29.4  # 03:00+02:00


def test_a_genuine_file_may_pass_from_not_validated_to_validated() -> None:
    quality = read_table(shared_file("formats/ods047_portal_csv_notvalidated_to_validated.csv")).frame["quality"]
    assert quality.value_counts()[[RecordQuality.VALIDATED, RecordQuality.NOT_VALIDATED]].to_list() == [16, 5]


def test_records_with_a_data_issue_may_lack_their_price_and_are_then_gaps() -> None:
    table = read_table(shared_file("formats/ods161_portal_csv_labels_bom_2025_DataIssue.csv"))
    assert table.frame["quality"].value_counts()[RecordQuality.DATA_ISSUE] == 90
    assert table.gaps() == [
        (utc(f"2025-04-08T{minute}"), utc(f"2025-04-08T{minute}") + pd.Timedelta(1, "min"))
        for minute in ("04:54", "05:10", "05:37", "06:02")
    ]


def test_day_ahead_forecasts_are_distinguished_from_later_ones() -> None:
    frame = read_table(shared_file("wind_solar_qh_2022.parquet")).frame
    raw = pd.read_parquet(shared_file("wind_solar_qh_2022.parquet"))
    assert list(frame.columns) == [
        WIND_FORECAST,
        SOLAR_FORECAST,
        "wind_forecast_recent_mw",
        "solar_forecast_recent_mw",
        "wind_measured_mw",
        "solar_measured_mw",
    ]
    np.testing.assert_array_equal(frame[WIND_FORECAST], raw["wind_forecast_da6pm_mw"].astype(np.float64))
    np.testing.assert_array_equal(frame[SOLAR_FORECAST], raw["solar_forecast_da6pm_mw"].astype(np.float64))


def test_a_merit_order_gives_the_marginal_price_at_each_volume() -> None:
    frame = read_table(shared_file("formats/merit_order_volume_level_prices_2023-01-25.json")).frame
    first = frame.loc[utc("2023-01-24T23:00")]  # midnight in Brussels
    assert first["ladder_m100mw_eur_mwh"] == 84.58
    assert first["ladder_100mw_eur_mwh"] == 175.19
    assert first["ladder_1000mw_eur_mwh"] == 2000.0
    assert first["ladder_down_max_eur_mwh"] == -250.0
    assert frame["ladder_600mw_eur_mwh"].to_list() == [500.0, 593.72, 593.72, 593.72]


def test_a_forecast_keeps_when_it_was_made_and_what_it_is_about() -> None:
    frame = read_table(shared_file("formats/ods147_si_forecast_next_qh.csv")).frame
    last = frame.loc[utc("2023-01-31T17:10:06")]
    assert last["quarter_hour"] == utc("2023-01-31T17:15")
    assert last["system_imbalance_forecast_mw"] == -338.21000019449946
    shares = [name for name in frame.columns if name.startswith("probability")]
    assert len(shares) == 6
    np.testing.assert_allclose(frame[shares].sum(axis=1), 1.0, atol=1e-6)


def test_activated_volumes_by_minute_are_read() -> None:
    frame = read_table(shared_file("formats/si_components_minute_labels_comma_resaved.csv")).frame
    names = ["afrr_up_mw", "afrr_down_mw", "igcc_up_mw", "bids_down_mw"]
    assert frame[names].iloc[-1].to_list() == [11.469, 3.907, 178.871, 250.0]
    parquet = read_table(shared_file("system_imbalance_components_minute_2023-01-01.parquet")).frame.loc[frame.index]
    pd.testing.assert_frame_equal(frame, parquet)


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        ("Validated", RecordQuality.VALIDATED),
        ("Validated(inferred)", RecordQuality.VALIDATED),
        ("Not Validated", RecordQuality.NOT_VALIDATED),
        ("NotValidated", RecordQuality.NOT_VALIDATED),
        ("Non-validated", RecordQuality.NOT_VALIDATED),
        ("NV", RecordQuality.NOT_VALIDATED),
        ("DataIssue", RecordQuality.DATA_ISSUE),
        ("Data issue", RecordQuality.DATA_ISSUE),
        ("", RecordQuality.UNKNOWN),
        ("Provisional", RecordQuality.UNKNOWN),
    ],
)
def test_statuses_come_to_four_qualities(tmp_path: Path, status: str, quality: RecordQuality) -> None:
    table = read_table(write(tmp_path, PRICES, f"2024-01-01T00:00:00Z,{status},1.0"))
    assert table.frame["quality"].to_list() == [quality]


# What is legal though it looks odd


def test_extreme_and_repeated_prices_are_neither_clipped_nor_refused(tmp_path: Path) -> None:
    prices = [-4574.69, -999.0, -999.0, -999.0, 3455.72, 99_999.0]
    lines = [f"2024-04-07T10:{15 * n:02d}:00Z,Validated,{price}" for n, price in enumerate(prices[:4])]
    lines += [f"2024-04-07T11:{15 * n:02d}:00Z,Validated,{price}" for n, price in enumerate(prices[4:])]
    assert read_table(write(tmp_path, PRICES, *lines)).frame[PRICE].to_list() == prices


def test_a_gap_is_reported_and_not_refused(tmp_path: Path) -> None:
    lines = [f"2024-01-01T{clock}:00Z,Validated,1.0" for clock in ("00:00", "00:15", "01:00", "01:15", "03:00")]
    table = read_table(write(tmp_path, PRICES, *lines))
    assert table.gaps() == [
        (utc("2024-01-01T00:30"), utc("2024-01-01T01:00")),
        (utc("2024-01-01T01:30"), utc("2024-01-01T03:00")),
    ]


def test_identical_duplicates_are_collapsed_and_counted(tmp_path: Path) -> None:
    line = "2024-01-01T00:00:00Z,Validated,1.0"
    table = read_table(write(tmp_path, PRICES, line, "2024-01-01T00:15:00Z,Validated,2.0", line, line))
    assert table.frame[PRICE].to_list() == [1.0, 2.0]
    assert table.duplicates_collapsed == 2
    assert table.places.tolist() == [2, 3]


def test_a_validated_record_replaces_one_that_is_not_and_the_revision_is_counted(tmp_path: Path) -> None:
    lines = ["2024-01-01T00:00:00Z,Validated,1739.0", "2024-01-01T00:00:00Z,NV,0.0"]
    for order in (lines, lines[::-1]):
        table = read_table(write(tmp_path, PRICES, *order))
        assert table.frame[PRICE].to_list() == [1739.0]
        assert table.revisions == 1


def test_the_hour_that_the_clock_shows_twice_is_two_hours(tmp_path: Path) -> None:
    lines = ["2023-10-29T02:00:00+02:00;NV;1;1", "2023-10-29T02:00:00+01:00;NV;2;2"]
    table = read_table(write(tmp_path, SHORT, *lines))
    assert list(table.frame.index) == [utc("2023-10-29T00:00"), utc("2023-10-29T01:00")]


def test_unknown_columns_are_not_read_and_are_reported(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, PRICES + ",remark", "2024-01-01T00:00:00Z,NV,1.0,mind the gap"))
    assert table.unread_columns == ("remark",)
    assert "remark" not in table.frame


def test_blank_lines_and_rows_of_bare_delimiters_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "", PRICES, "", "2024-01-01T00:00:00Z,NV,1.0", ",,", "  ", "2024-01-01T00:15:00Z,NV,2.0", "")
    table = read_table(path)
    assert table.frame[PRICE].to_list() == [1.0, 2.0]
    assert table.places.tolist() == [4, 7]


def test_a_page_of_records_is_refused_as_not_the_whole(tmp_path: Path) -> None:
    record = {"datetime": "2024-06-01T00:00:00+00:00", "imbalanceprice": 5}
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"total_count": 96, "results": [record]}))
    with pytest.raises(BadInput, match="holds 1 of 96 records"):
        read_table(path)


# What is refused


def test_the_mangled_file_is_refused_with_its_header_and_its_lines() -> None:
    faults = faults_of(shared_file("formats/old_website_ImbalanceNrvPrices_mangled.csv"))
    assert faults[0].startswith("1: unknown columns: Title, Validity, execdate, strQuarter")
    assert "known kinds of tables need" in faults[0]
    assert faults[1] == (
        "2: has 9 fields split at ',', the header has 13 (delimiters mixed?); the same in 96 lines (2, 3, 4 ... 97)"
    )
    assert len(faults) == 2


def test_a_description_of_a_data_set_is_refused_as_such() -> None:
    assert faults_of(shared_file("formats/ods161_datapackage.json")) == [
        "is a description of a dataset (datapackage), not its data; export the records"
    ]


def test_all_faults_of_a_file_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        LABELS,
        "2023-03-26T00:00:00+01:00;Validated;PT15M;1;1;0;1;1;;7.0;7.0",
        "2023-03-26T00:15:00;Validated;PT15M;1;1;0;1;1;;7.0;7.0",
        "2023-03-26T00:31:00+01:00;Validated;PT15M;1;1;0;1;1;;7.0;7.0",
        "",
        "2023-03-26T00:45:00+01:00;Validated;PT1M;1;1;0;1;1;;7.0;7.0",
        "2023-03-26T01:00:00+01:00;Validated;PT15M;1;1;0;1;1;;7.0;8.0",
        "2023-03-26T01:15:00+01:00;Validated;PT15M;1;1;0;1;1;;;",
        "2023-03-26T01:30:00+01:00;Validated;PT15M;1;x;0;1;1;;inf;inf",
        "26/03/2023 03:45;Validated;PT15M;1;1;0;1;1;;7,5;7.5",
        "2023-03-26T00:00:00+01:00;Validated;PT15M;1;1;0;1;1;;7.5;7.5",
        "2023-02-30T00:00:00Z;Validated;PT15M;1;1;0;1;1;;7.5",
    )
    assert sorted(faults_of(path), key=lambda fault: int(fault.split(":")[0])) == [
        f"3: '2023-03-26T00:15:00' has no time zone: {GIVE_ZONE}",
        "4: 2023-03-25T23:31Z is not on the grid of 15 min",
        "6: resolution code PT1M, but imbalance prices by quarter-hour need PT15M",
        "7: positive price 7.0 and negative price 8.0 differ; since 2020 there is a single imbalance price",
        "8: Positive imbalance price is missing",
        "8: Negative imbalance price is missing",
        "9: Positive imbalance price is infinite",
        "9: Negative imbalance price is infinite",
        "9: System imbalance: 'x' is not a number",
        f"10: '26/03/2023 03:45' has no time zone: {GIVE_ZONE}",
        (
            "10: Positive imbalance price: '7,5' is not a number: the decimal sign is a point; "
            "give --decimal , if it is a comma here"
        ),
        "11: gives imbalance_price_eur_mwh 7.5 for 2023-03-25T23:00Z, but line 2 gives 7.0",
        "12: has 10 fields split at ';', the header has 11 (delimiters mixed?)",
    ]


@pytest.mark.parametrize("stamp", ["2023-02-30T00:00:00Z", "yesterday", "1672531200", "2023-01-01", "10"])
def test_what_is_no_time_is_refused(tmp_path: Path, stamp: str) -> None:
    assert faults_of(write(tmp_path, PRICES, f"{stamp},NV,1.0")) == [
        f"2: {stamp!r} is not an ISO 8601 time with an offset"
    ]


def test_a_time_beyond_the_life_of_this_market_is_refused(tmp_path: Path) -> None:
    assert faults_of(write(tmp_path, PRICES, "2323-03-25T22:30:00Z,NV,1.0")) == [
        "2: 2323-03-25T22:30Z lies outside 2000-01-01 .. 2100-01-01"
    ]


@pytest.mark.parametrize("number", ["1_000", "0x10", "twelve", "1.2.3", "\u0661"])
def test_what_is_no_number_is_refused(tmp_path: Path, number: str) -> None:
    assert faults_of(write(tmp_path, PRICES, f"2024-01-01T00:00:00Z,NV,{number}")) == [
        f"2: imbalanceprice: {number!r} is not a number"
    ]


def test_thousands_of_faults_of_one_kind_are_one_fault_with_their_count_and_the_remedy(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-01-01", periods=3000, freq="15min")
    path = write(tmp_path, PRICES, *(f"{stamp.isoformat()},NV,1.0" for stamp in stamps))
    assert faults_of(path) == [
        f"2: '2024-01-01T00:00:00' has no time zone; the same in 3,000 lines (2, 3, 4 ... 3001): {GIVE_ZONE}"
    ]


def test_three_faults_of_one_kind_are_listed_one_by_one(tmp_path: Path) -> None:
    rows = [f"2024-01-01T00:{minute}:00Z,NV,dear" for minute in ("00", "15", "30")]
    assert [fault[:2] for fault in faults_of(write(tmp_path, PRICES, *rows))] == ["2:", "3:", "4:"]
    assert len(faults_of(write(tmp_path, PRICES, *rows, "2024-01-01T00:45:00Z,NV,dear"))) == 1


def test_every_kind_of_fault_is_named_however_many_there_are_of_each(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02d}T00:00:00,NV,1,5" for day in range(1, 10)]
    rows += [f"2024-02-{day:02d}T00:00:00,PT1M,dear" for day in range(1, 10)]
    rows += [f"2024-03-{day:02d}T00:07:00Z,PT1M," for day in range(1, 10)]
    path = write(tmp_path, "datetime,resolutioncode,imbalanceprice", *rows)
    kinds = ("has 4 fields", "has no time zone", "is not a number", "is missing", "not on the grid", "resolution code")
    faults = faults_of(path)
    assert len(faults) == len(kinds)
    for kind in kinds:
        assert any((kind in fault and "the same in 9 lines" in fault) or "in 18 lines" in fault for fault in faults)


def test_contradicting_duplicates_are_refused_with_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path, PRICES, "2024-01-01T00:00:00Z,NV,1.0", "2024-01-01T01:00:00+01:00,NV,2.0")
    assert faults_of(path) == ["3: gives imbalance_price_eur_mwh 2.0 for 2024-01-01T00:00Z, but line 2 gives 1.0"]


def test_files_put_one_behind_the_other_are_refused_at_the_second_header(tmp_path: Path) -> None:
    row = "2024-01-01T00:00:00Z,NV,1.0"
    assert faults_of(write(tmp_path, PRICES, row, PRICES, row)) == [
        "3: is a second header line: split the joined files and give each of them separately"
    ]


def test_a_minute_outside_its_quarter_hour_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "datetime,quarterhour,imbalanceprice",
        "2024-06-01T00:14:00Z,2024-06-01T00:00:00Z,1.0",
        "2024-06-01T00:15:00Z,2024-06-01T00:00:00Z,1.0",
    )
    assert faults_of(path) == ["3: 2024-06-01T00:15Z does not lie in its quarter-hour, 2024-06-01T00:00Z"]


def test_records_of_mixed_kinds_are_refused_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "mixed.json"
    old = {"datetime": "2024-05-21T21:45:00Z", "positiveimbalanceprice": 1, "negativeimbalanceprice": 1}
    path.write_text(json.dumps([old, {"datetime": "2024-05-21T22:00:00Z", "imbalanceprice": 1}]))
    assert faults_of(path)[0].startswith("record 2: has other fields than record 1 (imbalanceprice, negative")


def test_a_file_with_columns_of_two_kinds_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "datetime,imbalanceprice,dam_price_eur_mwh", "2024-01-01T00:00:00Z,1,2")
    assert faults_of(path) == [
        (
            "1: holds columns of more than one kind of table: "
            "imbalance prices by quarter-hour and day-ahead prices; give each kind in its own file"
        )
    ]


def test_two_columns_that_mean_the_same_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "datetime,Date Time,imbalanceprice", "2024-01-01T00:00:00Z,2024-01-01T00:00:00Z,1")
    assert faults_of(path) == ["1: columns datetime and Date Time both stand for start"]


def test_a_quoted_value_over_several_lines_is_refused_where_it_begins(tmp_path: Path) -> None:
    path = write(tmp_path, PRICES, "2024-01-01T00:00:00Z,NV,1", '2024-01-01T00:15:00Z,"N', 'V",1')
    assert faults_of(path) == ["3: a quoted value runs over several lines"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n\r\n", "is empty"),
        (b"\x0b", "is empty"),
        ("\x0c\x1c\x1d\x1e\x85\u2028\u2029\u00a0\u3000".encode(), "is empty"),
        (b"sep=;\n", "1: holds no column names"),
        (b"sep=\ndatetime;imbalanceprice\n", "1: sep= names '', which is not a delimiter: give one of ; , | or a tab"),
        (b"datetime,imbalanceprice\n", "holds no rows"),
        (b"[]", "holds no records"),
        (b'{"total_count": 0, "results": []}', "holds no records"),
        (b"[1, 2]", "record 1: is not an object with fields"),
        (b'{"error_code": "TooMany", "message": "quota"}', "is an error response of the service: quota"),
        (b'{"a": 1}', "is JSON of an unknown form; give an array of records or an object with results"),
        (b"datetime,price\n2024,\xe9\n", "2: is not UTF-8 text: byte 0xe9"),
        (b"datetime\n\n\0", "3: is binary, not text"),
        ("datetime,imbalanceprice\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (b"PK\x03\x04 and so on", "is a spreadsheet or a zip archive; save it as CSV"),
        (b"x" * 100_000, "1: is not a table: its first line is too long for column names"),
    ],
)
def test_files_that_hold_no_table_are_refused_in_plain_words(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert fault in faults_of(path)


def test_broken_json_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('[\n {"datetime": }\n]')
    assert faults_of(path)[0].startswith("2: is not valid JSON")


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    whole = shared_file("day_ahead_hourly_2024q1.parquet").read_bytes()
    path = tmp_path / "cut.parquet"
    path.write_bytes(whole[: len(whole) // 2])
    assert faults_of(path)[0].startswith("is a damaged Parquet file")


def test_parquet_times_without_a_zone_are_refused_by_row(tmp_path: Path) -> None:
    path = tmp_path / "naive.parquet"
    index = pd.DatetimeIndex(["2024-01-01T00:00", "2024-01-01T00:15"], name="datetime")
    pd.DataFrame({PRICE: [1.0, 2.0]}, index=index).to_parquet(path)
    faults = faults_of(path)
    assert len(faults) == 2
    assert faults[1].startswith("row 2: '2024-01-01 00:15:00' has no time zone")


@pytest.mark.parametrize("name", [".", "absent.csv"])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    assert faults_of(tmp_path / name)[0].startswith("cannot be read")


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_in_a_file_is_refused_or_read_but_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    csv_text = f"{LABELS}\r\n2023-03-26T00:00:00+01:00;Validated;PT15M;1;1;0;1;1;;7.0;7.0\r\n".encode()
    json_text = b'[{"datetime": "2024-06-01T00:00:00Z", "imbalanceprice": 5}]'
    whole = bytearray(data.draw(st.sampled_from([csv_text, json_text, b"PAR1", b""])))
    for position in data.draw(st.lists(st.integers(0, max(0, len(whole) - 1)), max_size=3)):
        whole[position : position + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path = tmp_path / "damaged"
    path.write_bytes(bytes(whole) + data.draw(st.binary(max_size=6)))
    try:
        read_table(path)
    except BadInput as refusal:
        faults = refusal.faults
    else:
        faults = ()
    assert all(str(fault).startswith(str(path)) for fault in faults)


# One table, many dialects

NEW_FIELDS = {
    "datetime": "Datetime",
    "resolutioncode": "Resolution code",
    "qualitystatus": "Quality status",
    "ace": "ACE",
    "systemimbalance": "System imbalance",
    "alpha": "Alpha",
    "alpha_prime": "Alpha'",
    "marginalincrementalprice": "Marginal incremental price",
    "marginaldecrementalprice": "Marginal decremental price",
    "imbalanceprice": "Imbalance Price",
}
QUARTERS = st.integers(epoch_minute("2024-05-22T00:00Z") // 15, epoch_minute("2026-01-01T00:00Z") // 15)
OPTIONAL = ("ace", "systemimbalance", "alpha", "alpha_prime", "marginalincrementalprice", "marginaldecrementalprice")
AMOUNTS = st.decimals(-5000, 5000, places=3).map(float)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, object]]:
    """Records as the service gives them, one for each of some quarter-hours."""
    quarters = draw(st.lists(QUARTERS, min_size=1, max_size=12, unique=True))
    return [
        dict.fromkeys(NEW_FIELDS)
        | {name: draw(st.none() | AMOUNTS) for name in OPTIONAL}
        | {
            "datetime": utc_timestamps([15 * quarter])[0],
            "resolutioncode": "PT15M",
            "qualitystatus": draw(st.sampled_from(["Validated", "NotValidated", "DataIssue"])),
            "imbalanceprice": draw(AMOUNTS),
        }
        for quarter in quarters
    ]


def stamped(records: Iterable[dict[str, object]], zone: str) -> list[dict[str, object]]:
    """The records with their times written with the offset of a zone."""
    return [
        record | {"datetime": pd.Timestamp(str(record["datetime"])).tz_convert(zone).isoformat()} for record in records
    ]


def as_csv(records: Sequence[dict[str, object]], columns: Sequence[str], titles: dict[str, str], delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow([titles[name] for name in columns])
    writer.writerows([record[name] for name in columns] for record in records)
    return text.getvalue()


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_table_reads_back_equal_from_every_dialect_order_and_offset(tmp_path: Path, data: st.DataObject) -> None:
    records = data.draw(tables())
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(stamped(records, "UTC")))
    expected = read_table(plain).frame

    shuffled = stamped(data.draw(st.permutations(records)), data.draw(st.sampled_from(["UTC", "Europe/Brussels"])))
    recase = data.draw(st.sampled_from([str.title, str.lower, str.upper]))
    titles = data.draw(st.sampled_from([NEW_FIELDS, {name: name for name in NEW_FIELDS}]))
    spelled = {name: recase(title) for name, title in titles.items()}
    columns = data.draw(st.permutations(list(NEW_FIELDS)))
    text = as_csv(shuffled, columns, spelled, data.draw(st.sampled_from(";,")))
    path = tmp_path / "dialect.csv"
    ending = data.draw(st.sampled_from(["\n", "\r\n"]))
    path.write_bytes((data.draw(st.sampled_from(["", "\ufeff"])) + text.replace("\n", ending)).encode())
    pd.testing.assert_frame_equal(read_table(path).frame, expected)
    assert sorted(str(record["datetime"]) for record in records) == [str(start) for start in expected.index]

    envelope = tmp_path / "envelope.json"
    envelope.write_text(json.dumps({"total_count": len(records), "results": shuffled}))
    pd.testing.assert_frame_equal(read_table(envelope).frame, expected)

    parquet = tmp_path / "table.parquet"
    expected.sample(frac=1.0, random_state=0).to_parquet(parquet)
    pd.testing.assert_frame_equal(read_table(parquet).frame, expected)


# Several files, one market


def test_files_are_joined_with_the_columns_that_each_has(tmp_path: Path) -> None:
    older = write(
        tmp_path,
        "datetime,systemimbalance,positiveimbalanceprice,negativeimbalanceprice",
        "2024-05-21T21:30:00Z,-5.0,1.0,1.0",
        name="older.csv",
    )
    newer = write(tmp_path, "datetime,ace,imbalanceprice", "2024-05-21T22:00:00Z,0.5,2.0", name="newer.csv")
    market = read_market([newer, older])
    np.testing.assert_array_equal(market.price_eur_mwh, [1.0, np.nan, 2.0])
    np.testing.assert_array_equal(market.frame["system_imbalance_mw"], [-5.0, np.nan, np.nan])
    np.testing.assert_array_equal(market.frame["area_control_error_mw"], [np.nan, np.nan, 0.5])
    assert list(market.gaps()) == [utc("2024-05-21T21:45")]


def test_a_validated_file_revises_one_that_is_not_in_whatever_order_they_are_given(tmp_path: Path) -> None:
    first = write(tmp_path, PRICES, "2024-01-01T00:00:00Z,NV,1.0", "2024-01-01T00:15:00Z,NV,5.0", name="first.csv")
    final = write(tmp_path, PRICES, "2024-01-01T00:00:00Z,Validated,2.0", name="final.csv")
    for order in ([first, final], [final, first]):
        assert read_market(order).price_eur_mwh.tolist() == [2.0, 5.0]


def test_files_that_contradict_each_other_are_refused_with_both_places(tmp_path: Path) -> None:
    one = write(tmp_path, PRICES, "2024-01-01T00:00:00Z,NV,1.0", "2024-01-01T00:15:00Z,NV,1.0", name="one.csv")
    two = write(tmp_path, PRICES, "2024-01-01T00:15:00Z,NV,3.0", name="two.csv")
    with pytest.raises(BadInput) as refusal:
        read_market([one, two])
    assert str(refusal.value) == (
        f"{two}:2: gives imbalance_price_eur_mwh 3.0 for 2024-01-01T00:15Z, but line 3 of {one} gives 1.0"
    )


def test_overlapping_files_that_agree_are_joined(tmp_path: Path) -> None:
    export = shared_file("formats/ods047_api_fieldnames_comma_utc.csv")
    market = read_market([export, shared_file("imbalance_qh_2024q1_all_columns.parquet"), export])
    assert len(market) == 10_000
    assert len(market.gaps()) == 0


def test_faults_of_all_files_are_raised_together(tmp_path: Path) -> None:
    prices = write(tmp_path, PRICES, "2024-01-01T00:00:00,NV,1.0", name="prices.csv")
    day_ahead = write(tmp_path, "datetime,dam_price_eur_mwh", "2024-01-01T00:00:00Z,", name="day_ahead.csv")
    with pytest.raises(BadInput) as refusal:
        read_market([prices, tmp_path / "absent.csv"], day_ahead=day_ahead, forecasts=prices)
    assert [fault.where for fault in refusal.value.faults] == [
        str(prices),
        str(tmp_path / "absent.csv"),
        str(day_ahead),
        str(prices),
    ]


def test_a_bid_ladder_is_refused_as_prices_for_lacking_alpha() -> None:
    with pytest.raises(BadInput, match=r"prices needs imbalance prices by quarter-hour; .* lacks the alpha component"):
        read_market(shared_file("imbalance_qh_2018_2019_bid_ladder.parquet"))


def test_minute_prices_are_refused_as_prices_for_being_indicative() -> None:
    with pytest.raises(BadInput, match=r"holds imbalance prices by minute, but prices needs .* indicative"):
        read_market(str(shared_file("imbalance_minute_2024-09-06.parquet")))


def test_prices_are_refused_in_the_place_of_forecasts(tmp_path: Path) -> None:
    prices = write(tmp_path, PRICES, "2024-01-01T00:00:00Z,NV,1.0")
    with pytest.raises(BadInput, match="holds imbalance prices by quarter-hour, but forecasts needs wind and solar"):
        read_market(prices, forecasts=prices)


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(BadInput, match="prices: contains no file"):
        read_market([])


def test_hourly_and_quarter_hourly_day_ahead_prices_join(tmp_path: Path) -> None:
    prices = write(tmp_path, PRICES, "2025-09-30T20:00:00Z,NV,1.0", "2025-09-30T22:30:00Z,NV,1.0")
    hourly = write(tmp_path, "datetime,day_ahead_price_eur_mwh", "2025-09-30T21:00:00Z,40", name="hourly.csv")
    fine = write(
        tmp_path,
        "datetime_utc,resolution,dam_price_eur_mwh",
        "2025-09-30T22:00:00Z,PT15M,1",
        "2025-09-30T22:30:00Z,PT15M,3",
        name="fine.csv",
    )
    market = read_market(prices, day_ahead=[fine, hourly])
    noon = epoch_minute("2025-09-30T21:00Z")
    known = market.known_at(noon).gather(DAY_AHEAD, [0, 15, 30, 45, 60, 75, 90, 105])
    np.testing.assert_array_equal(known[0], [40, 40, 40, 40, 1, np.nan, 3, np.nan])


def test_an_hourly_price_off_the_hour_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "datetime,resolution,dam_price_eur_mwh", "2025-09-30T22:15:00Z,PT60M,1")
    assert faults_of(path) == ["2: 2025-09-30T22:15Z is not on the hour, as an hourly price must be"]


def test_wind_and_solar_forecasts_may_come_in_files_of_their_own(tmp_path: Path) -> None:
    prices = write(tmp_path, PRICES, "2025-01-02T00:00:00Z,NV,1.0", "2025-01-02T00:15:00Z,NV,1.0")
    stamps = ("2025-01-02T00:00:00Z", "2025-01-02T00:15:00Z")
    wind = write(tmp_path, f"datetime,{WIND_FORECAST}", *(f"{stamp},700" for stamp in stamps), name="wind.csv")
    solar = write(tmp_path, f"datetime,{SOLAR_FORECAST}", *(f"{stamp},30" for stamp in stamps), name="solar.csv")
    known = read_market(prices, forecasts=[wind, solar]).known_at(epoch_minute("2025-01-02T00:00Z"))
    assert known.gather(WIND_FORECAST, [0, 15]).tolist() == [[700.0, 700.0]]
    assert known.gather(SOLAR_FORECAST, [0, 15]).tolist() == [[30.0, 30.0]]
