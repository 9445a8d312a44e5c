"""Parsing a CSV file into cells.

Contract
- The delimiter is the one that splits the header into most columns, or the one that a first line `sep=;` names, as
  spreadsheets write it.
- The whole file is read as one block, so that the number of a row is the number of its line.
- A row whose number of fields differs from the header's is a fault with its line. A blank row is skipped.
"""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow_csv

from arbitrage.errors import BadInput, Fault
from arbitrage.market.files.records import Records, list_faults

DELIMITERS = ";,\t|"
"""In order of preference, where several split the header into equally many columns."""
_LONGEST_HEADER = 65_536
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<delimiter>[^"\n]*)"?', re.IGNORECASE)
_POSSIBLE_DELIMITER = r"[\t !#$%&()*,/:;<=>?@\[\]^_`{|}~]"
_IN_WORDS = {"\t": "a tab"}


class _RaggedRows:
    """Collects the rows whose width differs from the header's; Arrow calls it for each of them."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.widths: list[int] = []

    def __call__(self, row: arrow_csv.InvalidRow) -> str:
        self.lines.append(row.number)
        self.widths.append(row.actual_columns if row.text.strip() else 0)
        return "skip"


def csv_records(name: str, text: str) -> Records:
    """Parse CSV text; `text` has a line that is not blank, and all its lines end in a line feed.

    Raises BadInput if it has no header line, or a quoted value over several lines.
    """
    header, header_line, delimiter = _header(name, text)
    if header.startswith('"') and len(_split(header, delimiter)) == 1:
        text = _unwrapped(text)
        header, header_line, delimiter = _header(name, text)
    names = _split(header, delimiter)
    ragged = _RaggedRows()
    columns = _columns(name, text, header_line, delimiter, len(names), ragged)
    line_count = text.count("\n")
    if header_line + len(columns[0]) + len(ragged.lines) != line_count:
        raise BadInput([Fault(name, "a quoted value runs over several lines", _first_long_record(text, delimiter))])
    lines = np.setdiff1d(np.arange(header_line + 1, line_count + 1), ragged.lines)
    filled = _filled_rows(columns)
    return Records(
        name,
        tuple(title.strip() for title in names),
        tuple(column.filter(pa.array(filled)) for column in columns),
        lines[filled],
        "line",
        tuple(_ragged_faults(name, ragged, delimiter, len(names))),
        header_line=header_line,
    )


def _header(name: str, text: str) -> tuple[str, int, str]:
    """The line of column names, its number, and the delimiter."""
    filled = ((n, line.rstrip("\n")) for n, line in enumerate(io.StringIO(text, newline="\n"), 1) if line.strip())
    number, line = next(filled, (1, ""))
    named = _SEPARATOR_LINE.fullmatch(line.strip(" "))
    if named is None:
        delimiter = _best_delimiter(line) or DELIMITERS[0]
    else:
        delimiter = named["delimiter"]
        if not re.fullmatch(_POSSIBLE_DELIMITER, delimiter):
            raise BadInput(
                [Fault(name, f"sep= names {delimiter!r}, which is not a delimiter: give one of ; , | or a tab", number)]
            )
        number, line = next(filled, (number, ""))
    if not line:
        raise BadInput([Fault(name, "holds no column names", number)])
    if len(line) > _LONGEST_HEADER:
        raise BadInput([Fault(name, "is not a table: its first line is too long for column names", number)])
    return line, number, delimiter


def _best_delimiter(line: str) -> str | None:
    """The delimiter that splits a line into most fields; None where none splits it."""
    if len(line) > _LONGEST_HEADER:
        return None
    best = max(DELIMITERS, key=lambda candidate: len(_split(line, candidate)))
    return best if len(_split(line, best)) > 1 else None


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter))


def _unwrapped(text: str) -> str:
    """The text without the quotes around whole lines.

    A spreadsheet writes such quotes if it read each line as one cell, delimiters included.
    """
    lines = (_split(line, DELIMITERS[0]) if line.startswith('"') else [line] for line in text.split("\n"))
    return "\n".join(DELIMITERS[0].join(fields) for fields in lines)


def _columns(
    name: str, text: str, skip_lines: int, delimiter: str, width: int, ragged: _RaggedRows
) -> list[pa.ChunkedArray]:
    """All cells as strings, column by column; the file is one block, so that row numbers are line numbers."""
    data = text.encode()
    titles = [str(position) for position in range(width)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            arrow_csv.ReadOptions(use_threads=False, block_size=len(data), skip_rows=skip_lines, column_names=titles),
            arrow_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=ragged),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(titles, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowException as error:
        raise BadInput([Fault(name, f"cannot be read as CSV: {error}")]) from error
    return list(table.columns)


def _filled_rows(columns: list[pa.ChunkedArray]) -> npt.NDArray[np.bool_]:
    """Which rows have a value; blank lines and rows of delimiters alone have none."""
    filled = np.zeros(len(columns[0]), dtype=np.bool_)
    for column in columns:
        filled |= column.is_valid().to_numpy()
    return filled


def _ragged_faults(name: str, ragged: _RaggedRows, delimiter: str, width: int) -> list[Fault]:
    rows = [(line, found) for line, found in zip(ragged.lines, ragged.widths, strict=True) if found]
    lines = np.array([line for line, _ in rows], dtype=np.int64)
    split_at = _IN_WORDS.get(delimiter, f"'{delimiter}'")
    return list_faults(
        name,
        "line",
        lines,
        lambda n: f"has {rows[n][1]} fields split at {split_at}, the header has {width} (delimiters mixed?)",
    )


def _first_long_record(text: str, delimiter: str) -> int | None:
    """The first line of the first record that extends over several lines."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    before = 0
    try:
        for _ in reader:
            if reader.line_num > before + 1:
                return before + 1
            before = reader.line_num
    except csv.Error:
        return before + 1
    return None
