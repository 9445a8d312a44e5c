"""Parsing a JSON document: an array of records, an object with `results`, or a response of Energy-Charts.

Contract
- A record is an object. All records of a file have the same fields, each once.
- A document that cannot be parsed is refused with its place. Errors of the parser become `BadInput`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.market.files.records import Records, list_faults, quoted
from arbitrage.market.files.schemas import DURATIONS_MIN, RESOLUTION, UNIX_SECONDS
from arbitrage.market.files.values.durations import durations_min
from arbitrage.quarter_hour import BRUSSELS, MINUTES_PER_QUARTER_HOUR

_QUARTER = re.compile(r"(\d{2}/\d{2}/\d{4} \d{2}:\d{2}) -> (\d{2}:\d{2})")
_PRICE = "price"
_FIELDS_SHOWN = 10
_UNIT = "EUR/MWH"
_SECONDS = range(-(2**40), 2**40)
"""Accepted seconds since 1970; the checks of the rows limit them to this century."""

JsonRow = Mapping[str, object]


def json_records(name: str, text: str) -> Records:
    """Parse a document. Raises BadInput if it is not JSON, or of an unknown form."""
    document = _document(name, text)
    if isinstance(document, dict) and {UNIX_SECONDS, _PRICE} <= document.keys():
        return _energy_charts(name, document)
    rows, left_out = _json_rows(name, document)
    names = tuple(rows[0])
    mixed = np.array([number for number, row in enumerate(rows, start=1) if row.keys() != rows[0].keys()], np.int64)
    faults = list_faults(name, "record", mixed, lambda n: _mixed_fields(rows[0], rows[mixed[n] - 1]))
    columns = tuple(pa.chunked_array([pa.array([_cell(row.get(key)) for row in rows], pa.string())]) for key in names)
    return Records(
        name, names, columns, np.arange(1, len(rows) + 1), "record", tuple(faults), records_left_out=left_out
    )


def _document(name: str, text: str) -> object:
    repeated: dict[str, None] = {}

    def as_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            repeated.update(dict.fromkeys(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
        return found

    try:
        document = json.loads(text, object_pairs_hook=as_object)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise BadInput([Fault(name, f"is not valid JSON: {error}", line)]) from error
    refuse(Fault(name, f"gives the field {quoted(field)} more than once in one object") for field in repeated)
    return document


def _energy_charts(name: str, document: dict[str, object]) -> Records:
    """A response of Energy-Charts: a list of times, a list of prices, and the unit of the prices.

    Intervals without a price still count when the duration of each interval is derived.
    """
    seconds, prices = document[UNIX_SECONDS], document[_PRICE]
    if not isinstance(seconds, list) or not isinstance(prices, list):
        raise BadInput([Fault(name, f"{UNIX_SECONDS} and {_PRICE} must be lists")])
    faults = []
    if len(seconds) != len(prices):
        faults.append(
            Fault(name, f"has {len(seconds):,} {UNIX_SECONDS} and {len(prices):,} {_PRICE}: their numbers must agree")
        )
    unit = document.get("unit", _UNIT)
    if "".join(str(unit).upper().split()) != _UNIT:
        faults.append(Fault(name, f"unit is {quoted(str(unit))}, but prices are needed in EUR / MWh"))
    bad = np.array([n for n, time in enumerate(seconds, start=1) if not _is_second(time)], dtype=np.int64)
    faults += list_faults(
        name,
        "record",
        bad,
        lambda n: f"{UNIX_SECONDS}: {quoted(str(seconds[bad[n] - 1]))} is not a time in whole seconds",
    )
    refuse(faults)
    stamps = pa.array(np.array(seconds, dtype=np.int64) * 1_000_000, pa.timestamp("us", tz="UTC"))
    columns = (stamps, pa.array(_resolutions(seconds), pa.string()), pa.array(map(_cell, prices), pa.string()))
    return Records(
        name,
        (UNIX_SECONDS, RESOLUTION, _PRICE),
        tuple(pa.chunked_array([column]) for column in columns),
        np.arange(1, len(seconds) + 1),
        "record",
    )


def _is_second(time: object) -> bool:
    return type(time) is int and time in _SECONDS


def _resolutions(seconds: Sequence[int]) -> list[str]:
    """The resolution code of each interval, from all starts, with or without a price."""
    starts, row_of = np.unique(np.array(seconds, dtype=np.int64) // 60, return_inverse=True)
    codes = {minutes: code for code, minutes in DURATIONS_MIN.items()}
    return [codes[minutes] for minutes in durations_min(starts)[row_of].tolist()]


def _json_rows(name: str, document: object) -> tuple[list[JsonRow], int]:
    """The records of a JSON document, and how many more its `total_count` announces."""
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
        raise BadInput([Fault(name, "is a description of a dataset (datapackage), not its data; export the records")])
    for field in ("message", "error_code", "detail"):
        if field in document:
            raise BadInput([Fault(name, f"is an error response of the service: {quoted(str(document[field]))[1:-1]}")])
    raise BadInput([Fault(name, "is JSON of an unknown form; give an array of records or an object with results")])


def _mixed_fields(first: JsonRow, other: JsonRow) -> str:
    differing = sorted(first.keys() ^ other.keys())
    shown = ", ".join(quoted(field)[1:-1] for field in differing[:_FIELDS_SHOWN])
    return f"has other fields than record 1 ({shown}): give each kind of record its own file"


def _cell(value: object) -> str | None:
    """A JSON value as text; numbers in the shortest form that reads back the same."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode() or None


def _flat_merit_order(row: JsonRow) -> JsonRow:
    """A record `{day: {"Quarter": ..., levels}}` of the former web site, flattened; any other record unchanged."""
    inner = next(iter(row.values()))
    if len(row) != 1 or not isinstance(inner, dict) or "Quarter" not in inner:
        return row
    return {"Datetime": _start_of_quarter(str(inner["Quarter"]))} | {
        level: price for level, price in inner.items() if level != "Quarter"
    }


def _start_of_quarter(quarter: str) -> str:
    """Start of `25/01/2023 00:00 -> 00:15`, Brussels time on that web site, as ISO 8601 with its UTC offset.

    Ambiguous and nonexistent local times are returned unchanged, and so refused later as times without an offset.
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
