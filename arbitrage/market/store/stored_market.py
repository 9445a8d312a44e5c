"""From the store into the house: tables in the columns of `read_table`, and a market made of them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from arbitrage.errors import BadInput, Fault
from arbitrage.market.series import MarketSeries, MinuteSource, build_market
from arbitrage.market.store.datasets import DAY_AHEAD_PRICES, MINUTES, PRICES, SOLAR, WIND, RecordType
from arbitrage.market.store.store import Stage, Store


@dataclass(frozen=True, slots=True)
class StoredTables:
    """What the store holds of a span, one record an interval, indexed by UTC start; None where it holds nothing."""

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
    """The tables of [start, end), or of all; `as_of` takes only what was seen by then. Raises BadInput if damaged."""

    def table(shelf: RecordType, which: Stage) -> pd.DataFrame | None:
        frame = store.frame(shelf, start, end, stage=which, as_of=as_of)
        return frame if len(frame) else None

    # Only prices have a status; of what has none, nothing is validated.
    unvalidated = Stage.LATEST if stage is Stage.VALIDATED else stage
    forecasts = [frame for shelf in (WIND, SOLAR) if (frame := table(shelf, unvalidated)) is not None]
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

    Raises BadInput if the store has no price of the span.
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
