"""The country's wind and solar, from sets that give them by region.

Contract
- Wind has no row for the country: it is the sum of its parts (offshore and onshore, region, kind of connection). A sum
  from which a part is missing is absent, not smaller. The parts are those that occur in the file.
- Solar has a row for the country beside those of regions and provinces: it alone is taken, nothing is summed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from arbitrage.errors import Fault
from arbitrage.market.files.revisions import RecordBatch, Unique, unique_starts
from arbitrage.market.files.schemas import PART_COLUMNS, PART_DAY_AHEAD, REGION, Kind
from arbitrage.market.point_in_time import SOLAR_FORECAST, WIND_FORECAST

COUNTRY = "Belgium"
_NAMES: Mapping[Kind, Mapping[str, str]] = {
    Kind.WIND_BY_PART: {
        PART_DAY_AHEAD: WIND_FORECAST,
        "recent_forecast_mw": "wind_forecast_recent_mw",
        "measured_mw": "wind_measured_mw",
    },
    Kind.SOLAR_BY_REGION: {
        PART_DAY_AHEAD: SOLAR_FORECAST,
        "recent_forecast_mw": "solar_forecast_recent_mw",
        "measured_mw": "solar_measured_mw",
    },
}
KINDS = frozenset(_NAMES)
"""Kinds of tables that hold parts of the country."""


def country_total(pile: RecordBatch, kind: Kind) -> Unique:
    """One row a start with the values of the country, named as in a table of wind and solar forecasts."""
    if kind is Kind.SOLAR_BY_REGION:
        region = pile.frame[REGION].fillna("").str.strip().str.casefold()
        country = pile.take(np.flatnonzero(region == COUNTRY.casefold()))
        unique = unique_starts(_values(country, kind))
        if len(country.frame):
            return unique
        return Unique(unique.frame, unique.places, 0, unique.replaced, (_no_country(pile),))
    return _summed(pile, kind) if len(pile.frame) else unique_starts(_values(pile, kind))


def _no_country(pile: RecordBatch) -> Fault:
    return Fault(pile.paths[0], f"gives solar by region, but has no row for {COUNTRY}")


def _values(pile: RecordBatch, kind: Kind) -> RecordBatch:
    """The same rows with their numbers only, under the names of this house."""
    names = {name: ours for name, ours in _NAMES[kind].items() if name in pile.frame}
    frame = pile.frame[list(names)].rename(columns=names)
    return RecordBatch(frame, pile.files, pile.places, pile.paths, pile.place_words)


def _summed(pile: RecordBatch, kind: Kind) -> Unique:
    number = pile.frame.groupby(list(PART_COLUMNS), dropna=False, sort=True).ngroup().to_numpy()
    rows_of_parts = [np.flatnonzero(number == part) for part in range(number.max() + 1)]
    parts = [unique_starts(_values(pile.take(rows), kind)) for rows in rows_of_parts]
    columns = parts[0].frame.columns
    sums = {
        name: pd.concat([part.frame[name] for part in parts], axis=1, sort=True).sum(axis=1, min_count=len(parts))
        for name in columns
    }
    places = pd.concat([pd.Series(part.places, part.frame.index) for part in parts]).groupby(level=0).min().sort_index()
    return Unique(
        pd.DataFrame(sums),
        places.to_numpy(dtype=np.int64),
        sum(part.collapsed for part in parts),
        parts[0].replaced,
        tuple(fault for part in parts for fault in part.faults),
    )
