"""National wind and solar totals, from datasets that give them by region.

Contract
- Wind has no row for the country. Its total is the sum of the parts that occur in the file (offshore or onshore,
  region, kind of connection). Where a part is missing, the sum is absent, not smaller.
- Solar has a row for the country beside those of regions and provinces. Only that row is used; nothing is summed.
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
"""Kinds of tables that give values by region."""


def country_total(batch: RecordBatch, kind: Kind) -> Unique:
    """One row for each start with the national values; columns as in a table of wind and solar forecasts."""
    if kind is Kind.SOLAR_BY_REGION:
        region = batch.frame[REGION].fillna("").str.strip().str.casefold()
        country = batch.take(np.flatnonzero(region == COUNTRY.casefold()))
        unique = unique_starts(_values(country, kind))
        if len(country.frame):
            return unique
        return Unique(unique.frame, unique.places, 0, unique.replaced, (_no_country(batch),))
    return _summed(batch, kind) if len(batch.frame) else unique_starts(_values(batch, kind))


def _no_country(batch: RecordBatch) -> Fault:
    message = f"gives solar by region, but has no row for {COUNTRY}; export it with the region {COUNTRY}"
    return Fault(batch.paths[0], message)


def _values(batch: RecordBatch, kind: Kind) -> RecordBatch:
    """The same rows with their numbers only, under the column names of the national table."""
    names = {name: ours for name, ours in _NAMES[kind].items() if name in batch.frame}
    frame = batch.frame[list(names)].rename(columns=names)
    return RecordBatch(frame, batch.files, batch.places, batch.paths, batch.place_words)


def _summed(batch: RecordBatch, kind: Kind) -> Unique:
    number = batch.frame.groupby(list(PART_COLUMNS), dropna=False, sort=True).ngroup().to_numpy()
    rows_of_parts = [np.flatnonzero(number == part) for part in range(number.max() + 1)]
    parts = [unique_starts(_values(batch.take(rows), kind)) for rows in rows_of_parts]
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
