"""No content of a file ends in anything but a table or a refusal."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.market.files.read import read_answer
from tests.examples import examples
from tests.shared_data import shared_file

BELGIUM = {"timezone": "Europe/Brussels", "decimal": "auto"}
GENUINE = (
    "ods047_portal_csv_labels_bom_crlf.csv",
    "ods136_si_forecast_current_qh.csv",
    "ods161_portal_csv_labels_bom_lf_NV.csv",
    "ods134_records_envelope_RECONSTRUCTED.json",
    "merit_order_volume_level_prices_2023-01-25.json",
)
OWN = (
    (
        b'"MTU (CET/CEST)","Day-ahead Price [EUR/MWh]","Currency","BZN|BE"\n'
        b'"30.10.2022 02:00 - 30.10.2022 03:00","46.60","EUR",""\n'
    ),
    (
        b'"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)"\n'
        b'"26/10/2025 02:45:00 (CEST) - 26/10/2025 02:00:00 (CET)","BZN|BE","Sequence 1","1"\n'
    ),
    b'{"unix_seconds": [1759269600, 1759270500], "price": [1.5, null], "unit": "EUR / MWh"}',
    b"sep=;\nDatetime;Imbalance Price\n30/10/2022 02:45;-17,95\n31/12/2022 23:45;1.234,5\n",
)
ODD = [
    text.encode()
    for text in ("\x0b", "\x0c\x1c\x1d\x1e", "\x85", "\u2028\u2029", "\u00a0", "\ufeff", "\r", '"', "'", ";", "\t", "|")
] + [b"\0", b"\xff\xfe", b"PAR1", b"9" * 400, b"1e999", b"nan", b"-inf", b"[[[[", b"9999-12-31 23:59", b" - ", b"sep="]


def outcome(content: bytes, **options: str) -> str:
    """`read`, or the message of the first fault."""
    try:
        read_answer("file", content, **options).gaps()
    except BadInput as refusal:
        str(refusal).encode()
        return refusal.faults[0].message
    return "read"


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_genuine_files_are_read_or_refused(data: st.DataObject) -> None:
    own = data.draw(st.booleans())
    whole = (
        data.draw(st.sampled_from(OWN))
        if own
        else shared_file(f"formats/{data.draw(st.sampled_from(GENUINE))}").read_bytes()[:3000]
    )
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 12))] = data.draw(st.sampled_from(ODD) | st.binary(max_size=3))
    content = bytes(damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged)
    for options in ({}, BELGIUM):
        assert outcome(content, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0b", "is empty"),
        (b'"', "holds no column names"),
        (b'""\n', "holds no column names"),
        (b"[" * 100_000, "is not valid JSON"),
        (b'{"a":' * 100_000, "is not valid JSON"),
        (b"[" + b"9" * 5_000 + b"]", "is not valid JSON"),
        (b'[{"datetime": "2024-06-01T00:00Z", "imbalanceprice": 1e999}]', "record 1: imbalanceprice is infinite"),
        (b'[{"\\ud800": 1}]', "unknown columns: \\ud800"),
        (b"datetime,imbalanceprice\n2024-06-01T00:00Z," + b"9" * 400 + b"\n", "imbalanceprice is infinite"),
        (b"PAR1", "is a damaged Parquet file"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip; unpack it first"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet"),
        (b"\xfd7zXZ\x00", "is compressed"),
        ("datetime".encode("utf-16-le"), "is binary, not text"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"%PDF-1.7", "is a PDF document"),
    ],
)
def test_content_that_is_no_table_is_refused_in_plain_words(content: bytes, message: str) -> None:
    assert outcome(content).startswith(message)


COLUMNS = ("datetime", "imbalanceprice", "qualitystatus", "resolutioncode", "systemimbalance", "price_source")
TYPES = {
    "lists": pa.array([[1], [2]]),
    "structures": pa.array([{"a": 1}, {"a": 2}]),
    "bytes": pa.array([b"1", b"\xff"]),
    "dictionaries of integers": pa.array([1, 2]).dictionary_encode(),
    "durations": pa.array([1, 2], pa.duration("us")),
    "days": pa.array([19_723, 19_724], pa.date32()),
    "nothing": pa.nulls(2),
    "truth values": pa.array([True, False]),
    "integers beyond what a float holds": pa.array([2**62 + 1, 1]),
    "half floats": pa.array(np.array([1, 2], np.float16)),
    "views of text": pa.array(["1", "2"], pa.string_view()),
    "views of bytes": pa.array([b"1", b"2"], pa.binary_view()),
    "times of no known zone": pa.array([1, 2], pa.timestamp("us", tz="Mars/Base")),
    "times beyond the calendar": pa.array([2**62, 1], pa.timestamp("us")),
    "zoned times beyond the calendar": pa.array([-(2**62), 1], pa.timestamp("ms", tz="UTC")),
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", TYPES)
def test_parquet_columns_of_any_type_are_read_or_refused(kind: str, column: str) -> None:
    times = [dt.datetime(2024, 1, 1, 0, minute, tzinfo=dt.UTC) for minute in (0, 15)]
    table = {"datetime": pa.array(times), "imbalanceprice": pa.array([1.0, 2.0]), column: TYPES[kind]}
    content = io.BytesIO()
    parquet.write_table(pa.table(table), content)
    for options in ({}, BELGIUM):
        assert outcome(content.getvalue(), **options)


@pytest.mark.parametrize("kind", TYPES)
def test_published_prices_with_columns_of_any_type_are_read_or_refused(kind: str) -> None:
    columns = ("unix_seconds", "price", "Area", "Currency", "Sequence", "MTU (UTC)", "Day-ahead Price (EUR/MWh)")
    for column in columns:
        plain = {"MTU (UTC)": pa.array(["01/01/2025 00:00 - 01/01/2025 01:00", "x"])}
        plain["Day-ahead Price (EUR/MWh)"] = pa.array(["1.0", None])
        content = io.BytesIO()
        parquet.write_table(pa.table({**plain, column: TYPES[kind]}), content)
        assert outcome(content.getvalue())


def test_parquet_columns_of_one_name_are_refused_by_it() -> None:
    columns = [pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]), pa.array([1.0]), pa.array([2.0])]
    content = io.BytesIO()
    parquet.write_table(pa.table(columns, names=["datetime", "imbalanceprice", "imbalanceprice"]), content)
    assert outcome(content.getvalue()).startswith("columns imbalanceprice and imbalanceprice both stand for")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    from arbitrage.market.files.read import read_table

    for path in (tmp_path, tmp_path / "absent.csv", Path("a\0b")):
        with pytest.raises(BadInput, match="cannot be read"):
            read_table(path)
