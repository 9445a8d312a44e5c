"""Files that a spreadsheet has saved: local times, day first, decimal commas, groups of digits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.files.read import Table, read_market, read_table
from arbitrage.market.point_in_time import PRICE
from tests.examples import examples
from tests.market.files.test_read import faults_of, write

BELGIUM = {"timezone": "Europe/Brussels", "decimal": ","}
HEADER = "Datetime;Imbalance Price"


@pytest.fixture
def read(tmp_path):
    def read_rows(*rows: str, header: str = HEADER, **options: str) -> Table:
        return read_table(write(tmp_path, header, *rows), **options)

    return read_rows


@pytest.fixture
def refused(read):
    def faults(*rows: str, header: str = HEADER, **options: str) -> list[str]:
        with pytest.raises(BadInput) as refusal:
            read(*rows, header=header, **options)
        return [f"{fault.line}: {fault.message}" for fault in refusal.value.faults]

    return faults


def starts(table: Table) -> list[str]:
    return [f"{stamp:%m-%dT%H:%M}" for stamp in table.frame.index]


# Times


@pytest.mark.parametrize(
    "stamp",
    ["31/12/2022 23:45", "31-12-2022 23:45", "31.12.2022 23:45:00", "2022-12-31 23:45", "2022-12-31T23:45:00"],
)
def test_local_times_are_read_in_the_zone_given(read, stamp: str) -> None:
    assert starts(read(f"{stamp};-17.95", timezone="Europe/Brussels")) == ["12-31T22:45"]
    assert starts(read(f"{stamp};-17.95", timezone="UTC")) == ["12-31T23:45"]
    assert starts(read(f"{stamp};-17.95", timezone="+01:00")) == ["12-31T22:45"]


def test_days_months_and_hours_may_have_one_digit(read) -> None:
    assert starts(read("1/02/2023 0:00;5", "2/2/2023 9:15;5", timezone="UTC")) == ["02-01T00:00", "02-02T09:15"]


@pytest.mark.parametrize("stamp", ["31/12/2022 23:45+01:00", "31/12/2022 22:45Z", "2022-12-31 23:45 (CET)"])
def test_an_offset_in_the_file_goes_before_the_zone_given(read, stamp: str) -> None:
    for zone in ({}, {"timezone": "America/New_York"}):
        assert starts(read(f"{stamp};1", **zone)) == ["12-31T22:45"]


def test_a_zone_applies_to_parquet_times_that_have_none(tmp_path) -> None:
    path = tmp_path / "naive.parquet"
    index = pd.DatetimeIndex(["2024-07-01T00:00", "2024-07-01T00:15"], name="datetime")
    pd.DataFrame({PRICE: [1.0, 2.0]}, index=index).to_parquet(path)
    assert starts(read_table(path, timezone="Europe/Brussels")) == ["06-30T22:00", "06-30T22:15"]


def test_a_zone_that_does_not_exist_and_a_sign_that_is_none_are_refused_together(read) -> None:
    with pytest.raises(BadInput) as refusal:
        read("x;y", timezone="Brussels", decimal="·")
    assert [fault.where for fault in refusal.value.faults] == ["timezone", "decimal"]
    assert "'Brussels' is not a time zone: give a name such as Europe/Brussels" in str(refusal.value)


@pytest.mark.parametrize("stamp", ["12/31/2022 23:45", "30/02/2022 00:00", "31/12/2022 24:00", "31/12/2022", "44926.5"])
def test_what_is_no_local_time_is_refused(refused, stamp: str) -> None:
    assert refused(f"{stamp};1", timezone="Europe/Brussels") == [f"2: '{stamp}' is not an ISO 8601 time with an offset"]


def test_dates_that_make_sense_with_the_month_first_only_are_refused(refused, read) -> None:
    american = [f"1/{day}/2022 00:00;1" for day in range(1, 13)]
    assert refused(*american, timezone="Europe/Brussels") == [
        (
            "2: dates are consecutive only if the month stands before the day: "
            "give them as day/month/year or year-month-day"
        )
    ]
    belgian = [f"{day}/1/2022 00:00;1" for day in range(1, 13)]
    assert len(read(*belgian, timezone="Europe/Brussels").frame) == 12


# The nights on which the clock changes

OCTOBER = [f"30/10/2022 {clock}" for clock in ("01:45", *["02:00", "02:15", "02:30", "02:45"] * 2, "03:00")]
OCTOBER_UTC = pd.date_range("2022-10-29T23:45Z", periods=10, freq="15min")


@pytest.mark.parametrize("backward", [False, True])
def test_an_hour_that_occurs_twice_is_resolved_by_the_order_of_the_rows(read, backward: bool) -> None:
    rows = [f"{stamp};{number}" for number, stamp in enumerate(OCTOBER)][:: -1 if backward else 1]
    table = read(*rows, **BELGIUM)
    assert list(table.frame.index) == list(OCTOBER_UTC)
    assert table.frame[PRICE].to_list() == list(range(10))
    assert table.gaps() == []


@pytest.mark.parametrize("backward", [False, True])
def test_a_row_missing_in_the_doubled_hour_is_a_gap_in_the_pass_that_lacks_it(read, backward: bool) -> None:
    rows = [f"{stamp};1" for number, stamp in enumerate(OCTOBER) if number != 6][:: -1 if backward else 1]
    assert read(*rows, **BELGIUM).gaps() == [(OCTOBER_UTC[6], OCTOBER_UTC[7])]


def test_a_doubled_hour_that_stands_once_is_refused_with_its_rows(refused) -> None:
    once = [f"{stamp};1" for stamp in (*OCTOBER[:5], OCTOBER[-1])]
    assert refused(*once, **BELGIUM) == [
        (
            "3: '30/10/2022 02:00' occurs twice in Europe/Brussels, and the order of the rows does not show which of "
            "the two is meant; the same in 4 lines (3, 4, 5 ... 6): give times with an offset (+02:00, +01:00)"
        )
    ]


@pytest.mark.parametrize(
    "order",
    [
        [0, 5, 6, 7, 8, 9, 1, 2, 3, 4],  # the second pass behind the end
        [9, 0, 1, 2, 3, 4, 5, 6, 7, 8],  # no order at all
        [0, 1, 1, 2, 2, 3, 3, 4, 4, 9],  # each row twice
    ],
)
def test_a_doubled_hour_in_rows_without_a_plain_order_is_refused(refused, order: Sequence[int]) -> None:
    faults = refused(*(f"{OCTOBER[number]};1" for number in order), **BELGIUM)
    assert any("occurs twice in Europe/Brussels" in fault for fault in faults)


def test_a_time_that_the_clock_leaves_out_in_march_is_refused(refused) -> None:
    rows = ["26/03/2023 01:45;1", "26/03/2023 02:00;1", "26/03/2023 03:00;1"]
    assert refused(*rows, **BELGIUM) == [
        (
            "3: '26/03/2023 02:00' does not exist in Europe/Brussels: the clock skips it when summer time begins: "
            "give times with an offset"
        )
    ]


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dates(pd.Timestamp("2020-01-01").date(), pd.Timestamp("2026-01-01").date()),
    st.integers(1, 400),
    st.booleans(),
    st.sampled_from(["%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%Y-%m-%d %H:%M"]),
)
def test_whole_local_days_read_back_as_they_were(tmp_path, day, quarters: int, backward: bool, form: str) -> None:
    index = pd.date_range(pd.Timestamp(day, tz="Europe/Brussels"), periods=quarters, freq="15min")
    nights = pd.DatetimeIndex(index.tz_localize(None))
    last_is_in_the_first_pass = nights[-1] not in nights[:-1] and nights[-1].hour == 2
    if last_is_in_the_first_pass:
        index = index[:-4]
    if not len(index):
        return
    rows = [f"{stamp.strftime(form)};1,5" for stamp in (index[::-1] if backward else index)]
    table = read_table(write(tmp_path, HEADER, *rows), **BELGIUM)
    assert list(table.frame.index) == list(index.tz_convert("UTC"))


# Numbers


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("-17,95", -17.95),
        ("1.234,5", 1234.5),
        ("1 234,5", 1234.5),
        ("0\u00a0234\u00a0567,25", 234567.25),
        ("1\u202f234,5", 1234.5),
        ("1'234,5", 1234.5),
        ("\u221217,95", -17.95),
        ("12", 12.0),
        (" 3,5 ", 3.5),
        (",5", 0.5),
        ("1,5E+02", 150.0),
        ("-4.574,69", -4574.69),
    ],
)
def test_numbers_with_a_decimal_comma_are_read(read, written: str, value: float) -> None:
    assert read(f"2024-01-01T00:00Z;{written}", decimal=",").frame[PRICE].to_list() == [value]


@pytest.mark.parametrize(("written", "value"), [("1 234.5", 1234.5), ("1,234.5", 1234.5), ("\u22121'234.5", -1234.5)])
def test_numbers_with_a_decimal_point_may_have_groups(read, written: str, value: float) -> None:
    assert read(f'2024-01-01T00:00Z;"{written}"').frame[PRICE].to_list() == [value]


@pytest.mark.parametrize("written", ["12.5", "1.23,4", "1,234.5", "1,2,3", "12.34.567", "x", "1 2", ",", "-"])
def test_what_is_no_number_with_a_decimal_comma_is_refused(refused, written: str) -> None:
    assert refused(f"2024-01-01T00:00Z;{written}", decimal=",") == [
        f"2: Imbalance Price: '{written}' is not a number: the decimal sign is a comma"
    ]


def test_a_comma_before_three_digits_is_never_taken_for_a_sign_between_groups(refused) -> None:
    (fault,) = refused("2024-01-01T00:00Z;1,234")
    assert fault == (
        "2: Imbalance Price: '1,234' is not a number: "
        "the decimal sign is a point; give --decimal , if it is a comma here"
    )


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("-17,95", "1,234", "12"), [-17.95, 1.234, 12.0]),
        (("-17.95", "1.234", "12"), [-17.95, 1.234, 12.0]),
        (("1.234,5", "1.234"), [1234.5, 1234.0]),
        (("1234,567", "1,234"), [1234.567, 1.234]),
        (("0,123", "1,234"), [0.123, 1.234]),
        (("1 234,567", "3"), [1234.567, 3.0]),
        (("0.234.567", "3"), [234567.0, 3.0]),
        (("12", "13"), [12.0, 13.0]),
    ],
)
def test_the_decimal_sign_is_found_from_the_whole_column(read, cells: Sequence[str], values: list[float]) -> None:
    rows = [f"2024-01-01T00:{15 * number:02d}Z;{cell}" for number, cell in enumerate(cells)]
    assert read(*rows, decimal="auto").frame[PRICE].to_list() == values


def test_other_columns_of_the_file_show_the_decimal_sign_too(read) -> None:
    frame = read("2024-01-01T00:00Z;1,234;-7,5", header=f"{HEADER};System imbalance", decimal="auto").frame
    assert frame.iloc[0].to_dict() | {"quality": None} == {PRICE: 1.234, "system_imbalance_mw": -7.5, "quality": None}


def test_a_column_that_does_not_show_its_decimal_sign_is_refused_with_the_remedy(refused) -> None:
    rows = ["2024-01-01T00:00Z;12", "2024-01-01T00:15Z;1,234", "2024-01-01T00:30Z;2,345"]
    assert "3: '1,234' may have a decimal comma or point: give --decimal , or --decimal ." in refused(
        *rows, decimal="auto"
    )


def test_both_decimal_signs_in_one_file_are_refused_with_an_example_of_each(refused) -> None:
    faults = refused("2024-01-01T00:00Z;1,5", "2024-01-01T00:15Z;1.5", decimal="auto")
    assert "3: '1.5' has a decimal point and '1,5' a decimal comma: give --decimal , or --decimal ." in faults


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(-5000, 5000, places=2).map(float), min_size=1, max_size=8), st.sampled_from(["", ".", " "]))
def test_numbers_written_with_a_comma_read_back_equal(tmp_path, values: list[float], group: str) -> None:
    cells = [f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", group) for value in values]
    rows = [f"2024-01-01T{number:02d}:00Z;{cell}" for number, cell in enumerate(cells)]
    path = write(tmp_path, HEADER, *rows)
    for decimal in (",", "auto"):
        np.testing.assert_array_equal(read_table(path, decimal=decimal).frame[PRICE], values)


def test_a_market_is_read_from_files_that_a_spreadsheet_saved(tmp_path) -> None:
    prices = write(tmp_path, "sep=;", HEADER, *(f"{stamp};{number},5" for number, stamp in enumerate(OCTOBER)))
    day_ahead = write(
        tmp_path,
        "Datetime;Day-ahead Price [EUR/MWh]",
        *(f"30/10/2022 {hour}:00;{price},25" for hour, price in ((1, 40), (2, 50), (2, 60), (3, 70))),
        name="day_ahead.csv",
    )
    market = read_market(prices, day_ahead=day_ahead, **BELGIUM)
    assert list(market.frame.index) == list(OCTOBER_UTC)
    known = market.known_at(int(market.quarter_hours[0])).gather("day_ahead_price_eur_mwh", 15 * np.arange(10))
    assert known[0].tolist() == [40.25, *[50.25] * 4, *[60.25] * 4, 70.25]


def test_without_a_zone_and_a_sign_such_a_file_is_refused_in_two_lines(tmp_path) -> None:
    path = write(tmp_path, HEADER, *(f"01/01/2022 {hour:02d}:00;-17,95" for hour in range(24)))
    faults = faults_of(path)
    assert len(faults) == 2
    assert "24 lines" in faults[0]
    assert "--timezone Europe/Brussels" in faults[0]
    assert "24 lines" in faults[1]
    assert "--decimal ," in faults[1]
