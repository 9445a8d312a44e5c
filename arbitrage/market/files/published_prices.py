"""Published files of day-ahead prices: selecting the Belgian prices of the coupled auction.

Contract
- A row without a price means that none was published. It is left out and counted, and its interval is a gap.
- Rows of another auction than the first (Sequence 2 and so on) are left out and counted.
- A price of another area than Belgium, or in another currency than the euro, is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from arbitrage.arrays import Flags
from arbitrage.errors import Fault
from arbitrage.market.files.recognition import Recognised
from arbitrage.market.files.records import Records, quoted, shows
from arbitrage.market.files.schemas import AREA, CURRENCY, SEQUENCE
from arbitrage.market.files.values.cells import as_strings, texts
from arbitrage.market.point_in_time import DAY_AHEAD

_BELGIUM = frozenset({"", "BE", "BELGIUM", "BELGIUM (BE)", "10YBE----------2"})
_EURO = frozenset({"", "EUR", "EUR/MWH"})
_FIRST_AUCTION = frozenset({"", "1", "SEQUENCE 1", "WITHOUT SEQUENCE"})
_AREA_NAME = re.compile(r"(?:BZN|CTY|CTA|MBA|BZA)\s*\|\s*(?P<area>.*)", re.IGNORECASE)
"""Areas as ENTSO-E names them, the kind of area first: bidding zone, country, control area."""

Cells = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Published:
    """The rows to read, and the numbers of rows left out."""

    records: Records
    faults: tuple[Fault, ...] = ()
    without_price: int = 0
    of_other_auctions: int = 0


def published(records: Records, known: Recognised) -> Published:
    """The rows of a file with a price of the coupled auction; all rows where the layout has no others."""
    if not known.layout.no_price:
        return Published(records)
    faults = _other_area_named(records)
    remedy = "export the prices of Belgium (BZN|BE)"
    faults += _refused(records, known, AREA, _is_belgium, "is not the Belgian area", remedy)
    faults += _refused(
        records, known, CURRENCY, lambda cell: cell.upper() in _EURO, "is not in euros", "export the prices in EUR"
    )
    first = _flags(records, known, SEQUENCE, lambda cell: " ".join(cell.upper().split()) in _FIRST_AUCTION)
    price = ~_flags(records, known, DAY_AHEAD, lambda cell: cell.lower() in known.layout.no_price)
    return Published(
        records.take(first & price),
        tuple(faults),
        without_price=int(np.count_nonzero(first & ~price)),
        of_other_auctions=int(np.count_nonzero(~first)),
    )


def _is_belgium(cell: str) -> bool:
    kind = _AREA_NAME.fullmatch(cell)
    return (kind["area"] if kind else cell).strip().upper() in _BELGIUM


def _other_area_named(records: Records) -> list[Fault]:
    """Faults of columns named after another area; the older layout of ENTSO-E names its area column so."""
    named = [name for name in records.names if _AREA_NAME.fullmatch(name) and not _is_belgium(name)]
    message = "names another area than Belgium: export the prices of Belgium (BZN|BE)"
    return [Fault(records.path, f"column {quoted(name)} {message}", records.header_line) for name in named]


def _refused(
    records: Records, known: Recognised, name: str, accepts: Callable[[str], bool], message: str, remedy: str
) -> list[Fault]:
    """Faults of the rows whose cell in a column is not accepted."""
    rows = np.flatnonzero(~_flags(records, known, name, accepts))
    cells = records.columns[known.positions[name]] if len(rows) else pa.chunked_array([], pa.string())
    return records.faults_at(rows, shows(as_strings(cells), message), remedy)


def _flags(records: Records, known: Recognised, name: str, accepts: Callable[[str], bool]) -> Flags:
    """Whether each cell [rows] of a column is accepted, empty cells as empty text; true without the column."""
    if name not in known.positions:
        return np.ones(len(records.places), dtype=np.bool_)
    cells = [cell.strip() if cell else "" for cell in texts(records.columns[known.positions[name]])]
    accepted = {cell: accepts(cell) for cell in set(cells)}
    return np.array([accepted[cell] for cell in cells], dtype=np.bool_)
