"""Reading the store: tables with the columns of `read_table`, and a market built from them.

Contract: a span without records gives None for its table, never an empty or filled one.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.series import MarketSeries, MinuteSource, build_market
from arbitrage.market.store.datasets import DAY_AHEAD_PRICES, MINUTES, PRICES, SOLAR, WIND, RecordType
from arbitrage.market.store.store import Stage, Store


@dataclass(frozen=True, slots=True)
class StoredTables:
    """Stored records of a span, one for each interval, indexed by UTC start; None where there are none."""

    prices: pd.DataFrame | None
    minutes: pd.DataFrame | None
    day_ahead: pd.DataFrame | None
    forecasts: pd.DataFrame | None
    """Wind and solar, in one table."""


def stored_tables(
    store: Store,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    *,
    stage: Stage = Stage.LATEST,
    as_of: pd.Timestamp | None = None,
) -> StoredTables:
    """The tables of [start, end), or of all; `as_of`: use only revisions seen by then.

    Raises BadInput if a file of the store is damaged.
    """

    def table(record_type: RecordType, which: Stage) -> pd.DataFrame | None:
        frame = store.frame(record_type, start, end, stage=which, as_of=as_of)
        return frame if len(frame) else None

    # Only prices and minutes carry a quality status; other tables have no validated revision.
    unvalidated = Stage.LATEST if stage is Stage.VALIDATED else stage
    forecasts = [frame for record_type in (WIND, SOLAR) if (frame := table(record_type, unvalidated)) is not None]
    return StoredTables(
        table(PRICES, stage),
        table(MINUTES, stage),
        table(DAY_AHEAD_PRICES, unvalidated),
        pd.concat(forecasts, axis=1, sort=True) if forecasts else None,
    )


def stored_market(
    store: Store,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    *,
    stage: Stage = Stage.LATEST,
    as_of: pd.Timestamp | None = None,
    publication_delay_min: int | None = None,
) -> MarketSeries:
    """The market of [start, end), or of all that is stored; see `stored_tables` and `build_market`.

    Raises BadInput if the store has no price of the span, or if a file of the store is damaged.
    """
    tables = stored_tables(store, start, end, stage=stage, as_of=as_of)
    if tables.prices is None:
        raise BadInput([Fault(str(store.directory), "holds no imbalance price of that span; fetch it first")])
    return build_market(
        tables.prices,
        day_ahead=tables.day_ahead,
        forecasts=tables.forecasts,
        minutes=tables.minutes,
        minute_source=MinuteSource.RECORDED,
        publication_delay_min=publication_delay_min,
    )
