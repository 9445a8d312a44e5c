"""Parsing a market file of any supported format into cells.

Contract
- The format is detected from the content: Parquet by its magic bytes, JSON by its first bracket, otherwise CSV.
- Content that cannot be parsed is refused with its place. Errors of parsing libraries become `BadInput`.

Formats: CSV (`;`, `,`, tab or `|`, with or without a line `sep=;` and byte order mark, any line ending), JSON (array,
object with `results`, merit order of the former Elia web site, response of Energy-Charts), Parquet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from arbitrage.errors import BadInput, Fault
from arbitrage.market.files.csv_files import csv_records
from arbitrage.market.files.json_files import json_records
from arbitrage.market.files.records import Records

_NOT_TEXT = {
    b"PK\x03\x04": "is a spreadsheet or a zip archive; save it as CSV",
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"\xff\xfe": "is UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text; save it as UTF-8",
    b"\xd0\xcf\x11\xe0": "is a spreadsheet of an older kind; save it as CSV",
    b"\xfd7zXZ": "is compressed with xz; unpack it first",
    b"BZh": "is compressed with bzip2; unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it first",
    b"%PDF": "is a PDF document; get the data as CSV, JSON or Parquet",
    b"<": "is a web page or XML; get the data as CSV, JSON or Parquet",
}


def read_records(path: Path | str) -> Records:
    """Parse a file. Raises BadInput if it is absent, empty, not text, or of an unknown format."""
    return parse_records(str(path), _content(Path(path)))


def parse_records(name: str, content: bytes) -> Records:
    """Parse the content of a file; `name` identifies it in faults. Raises BadInput if the format is unknown."""
    if content.startswith(b"PAR1"):
        return _parquet_records(name, content)
    text = _text(name, content)
    if text.lstrip()[:1] in ("[", "{"):
        return json_records(name, text)
    return csv_records(name, text)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path contains a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput([Fault(str(path), f"cannot be read: {reason}")]) from error


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


def _parquet_records(name: str, content: bytes) -> Records:
    try:
        table = parquet.ParquetFile(pa.BufferReader(content)).read()
        table.validate(full=True)
        names = tuple(table.column_names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput([Fault(name, f"is a damaged Parquet file: {error}")]) from error
    return Records(name, names, tuple(map(_without_view, table.columns)), np.arange(1, table.num_rows + 1), "row")


def _without_view(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column cast from a view type to its plain type, since few operations accept views."""
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return column.cast(views[column.type]) if column.type in views else column
