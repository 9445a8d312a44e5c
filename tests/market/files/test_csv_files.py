"""CSV as spreadsheets and portals write it: delimiters, a line that names them, quotes around lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from arbitrage.errors import BadInput
from arbitrage.market.files.read import read_answer, read_table
from arbitrage.market.point_in_time import PRICE
from tests.shared_data import shared_file

HEADER = ("Datetime", "Resolution code", "Quality status", "Imbalance Price")
ROWS = (
    ("2025-05-31T00:00:00+02:00", "PT15M", "Validated", "12.5"),
    ("2025-05-31T00:15:00+02:00", "PT15M", "", "-3.1"),
)


def text_of(delimiter: str, rows: Sequence[Sequence[str]] = (HEADER, *ROWS)) -> str:
    return "".join(f"{delimiter.join(row)}\n" for row in rows)


def prices_of(text: str) -> list[float]:
    return read_answer("text", text.encode()).frame[PRICE].to_list()


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_any_delimiter_is_read_with_and_without_a_line_that_names_it(delimiter: str, mark: str, ending: str) -> None:
    plain = text_of(delimiter)
    for named in ("", f"sep={delimiter}\n", f'"SEP={delimiter}"\n'):
        assert prices_of(mark + (named + plain).replace("\n", ending)) == [12.5, -3.1]


@pytest.mark.parametrize("name", ["05_tab.csv", "05_pipe.csv", "05_sep_line.csv"])
def test_the_cases_of_other_delimiters_are_read(name: str) -> None:
    table = read_table(shared_file(f"../cases/{name}"))
    assert table.frame[PRICE].to_list() == [12.5, -3.1]
    assert table.frame.index[0] == pd.Timestamp("2025-05-30T22:00Z")


def test_a_line_that_names_the_delimiter_counts_as_a_line() -> None:
    with pytest.raises(BadInput) as refusal:
        prices_of("sep=;\n" + text_of(";").replace("12.5", "dear"))
    assert [(fault.line, fault.message) for fault in refusal.value.faults] == [
        (3, "Imbalance Price: 'dear' is not a number")
    ]


def test_a_named_delimiter_goes_before_one_that_splits_the_header_into_more() -> None:
    text = "sep=;\ndatetime;imbalanceprice;a,b,c,d\n2025-05-31T00:00:00Z;1.5;1,2,3,4\n"
    assert prices_of(text) == [1.5]


def test_the_last_cell_of_a_table_split_at_tabs_may_be_empty() -> None:
    rows = [(*row[:2], row[3], row[2]) for row in (HEADER, *ROWS)]
    assert prices_of(text_of("\t", rows)) == [12.5, -3.1]


def test_lines_that_a_spreadsheet_quoted_whole_are_read() -> None:
    """As it saves a file whose delimiter it took for a part of the text."""
    quoted = "".join(f'"""{line[0]}"",{",".join(line[1:])}"\n' for line in (HEADER, *ROWS))
    assert prices_of(quoted) == [12.5, -3.1]


def test_a_bar_in_a_column_name_does_not_split_it() -> None:
    assert prices_of('"Datetime","Imbalance Price","BZN|BE"\n"2025-05-31T00:00:00Z","1.5",""\n') == [1.5]


def test_an_empty_file_is_refused_as_such(tmp_path: Path) -> None:
    path = shared_file("../cases/vertical_tab.csv")
    with pytest.raises(BadInput, match=r"vertical_tab\.csv: is empty"):
        read_table(path)
