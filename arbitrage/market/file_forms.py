"""Taking a market file apart, whatever its form.

Law: the form is told by the content: Parquet by its magic bytes, JSON by its first bracket, else CSV. Whatever cannot
be taken apart is refused with its place; an error of a parsing library never gets out.

Forms: CSV (`;`, `,`, tab or `|`, with or without a line `sep=;` and byte order mark, any line ending), JSON (array, or
object with `results`, or the merit order of the former Elia web site), Parquet.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from arbitrage.errors import BadInput, Fault
from arbitrage.market.csv_form import csv_records
from arbitrage.market.records import Records, list_faults
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR

_NOT_TEXT = {
    b"PK\x03\x04": "is a spreadsheet or a zip archive; save it as CSV",
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
}
_QUARTER = re.compile(r"(\d{2}/\d{2}/\d{4} \d{2}:\d{2}) -> (\d{2}:\d{2})")

JsonRow = Mapping[str, object]


def read_records(path: Path | str) -> Records:
    """Take a file apart. Raises BadInput if it is absent, empty, not text, or of no known form."""
    return take_apart(str(path), _content(Path(path)))


def take_apart(name: str, content: bytes) -> Records:
    """Take the content of a file apart, `name` being how faults call it. Raises BadInput if it is of no known form."""
    if content.startswith(b"PAR1"):
        return _parquet_records(name, content)
    text = _text(name, content)
    if text.lstrip()[:1] in ("[", "{"):
        return _json_records(name, text)
    return csv_records(name, text)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput([Fault(str(path), f"cannot be read: {error.strerror}")]) from error


def _text(name: str, content: bytes) -> str:
    """The text of a file, each of its lines ending in one line feed."""
    for magic, message in _NOT_TEXT.items():
        if content.startswith(magic):
            raise BadInput([Fault(name, message)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput([Fault(name, f"is not UTF-8 text: byte 0x{content[error.start]:02x}", line)]) from error
    if "\0" in text:
        raise BadInput([Fault(name, "is binary, not text", text.count("\n", 0, text.index("\0")) + 1)])
    if not text.strip():
        raise BadInput([Fault(name, "is empty")])
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"


# JSON


def _json_records(name: str, text: str) -> Records:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise BadInput([Fault(name, f"is not valid JSON: {error}", line)]) from error
    rows, left_out = _json_rows(name, document)
    names = tuple(rows[0])
    mixed = np.array([number for number, row in enumerate(rows, start=1) if row.keys() != rows[0].keys()], np.int64)
    faults = list_faults(name, "record", mixed, lambda n: _mixed_fields(rows[0], rows[mixed[n] - 1]))
    columns = tuple(pa.chunked_array([pa.array([_cell(row.get(key)) for row in rows], pa.string())]) for key in names)
    return Records(
        name, names, columns, np.arange(1, len(rows) + 1), "record", tuple(faults), records_left_out=left_out
    )


def _json_rows(name: str, document: object) -> tuple[list[JsonRow], int]:
    """The records of a JSON document, and how many the answer says there are besides."""
    left_out = 0
    if isinstance(document, dict):
        document, left_out = _records_of_object(name, document)
    if not isinstance(document, list) or not document:
        raise BadInput([Fault(name, "holds no records")])
    strange = np.array([n for n, row in enumerate(document, start=1) if not isinstance(row, dict) or not row], np.int64)
    if len(strange):
        raise BadInput(list_faults(name, "record", strange, lambda n: "is not an object with fields"))
    return [_flat_merit_order(row) for row in document], left_out


def _records_of_object(name: str, document: dict[str, object]) -> tuple[object, int]:
    if isinstance(document.get("results"), list):
        records = document["results"]
        total = document.get("total_count")
        held = len(records) if isinstance(records, list) else 0
        return records, max(0, total - held) if isinstance(total, int) else 0
    if "resources" in document:
        raise BadInput([Fault(name, "is a description of a data set (datapackage), not its data")])
    if "error_code" in document or "message" in document:
        raise BadInput([Fault(name, f"is an error answer of the service: {document.get('message')}")])
    raise BadInput([Fault(name, "is JSON of no known form; looked for an array of records or an object with results")])


def _mixed_fields(first: JsonRow, other: JsonRow) -> str:
    differing = sorted(first.keys() ^ other.keys())
    return f"has other fields than record 1 ({', '.join(differing)}): give each kind of record its own file"


def _cell(value: object) -> str | None:
    """A JSON value as text; numbers in the shortest form that reads back the same."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode() or None


def _flat_merit_order(row: JsonRow) -> JsonRow:
    """A record `{day: {"Quarter": ..., levels}}` of the former web site as a flat one; any other as it is."""
    inner = next(iter(row.values()))
    if len(row) != 1 or not isinstance(inner, dict) or "Quarter" not in inner:
        return row
    return {"Datetime": _start_of_quarter(str(inner["Quarter"]))} | {
        level: price for level, price in inner.items() if level != "Quarter"
    }


def _start_of_quarter(quarter: str) -> str:
    """`25/01/2023 00:00 -> 00:15`, which that site gave in Brussels time, with its UTC offset.

    Left as it is, and so refused later as a time without an offset, where the clock shows it twice or never.
    """
    match = _QUARTER.fullmatch(quarter.strip())
    if match is None:
        return quarter
    try:
        local = dt.datetime.strptime(match[1], "%d/%m/%Y %H:%M")
        end = local + dt.timedelta(minutes=MINUTES_PER_QUARTER_HOUR)
    except (ValueError, OverflowError):
        return quarter
    offsets = {local.replace(tzinfo=BRUSSELS, fold=fold).utcoffset() for fold in (0, 1)}
    if len(offsets) > 1 or f"{end:%H:%M}" != match[2]:
        return quarter
    return local.replace(tzinfo=BRUSSELS).isoformat()


# Parquet


def _parquet_records(name: str, content: bytes) -> Records:
    try:
        table = parquet.read_table(pa.BufferReader(content))
        table.validate(full=True)
        names = tuple(table.column_names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput([Fault(name, f"is a damaged Parquet file: {error}")]) from error
    return Records(name, names, tuple(table.columns), np.arange(1, table.num_rows + 1), "row")
