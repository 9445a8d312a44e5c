"""The price rule of the Belgian imbalance settlement.

Contract
- price = marginal incremental price + alpha + alpha' in shortage (system imbalance < 0),
          marginal decremental price - alpha - alpha' in surplus (system imbalance > 0).
- x = (|SI_q| + |SI_(q-1)|) / 2;  alpha = 0 where |SI_q| <= 150 MW, else 200 / (1 + exp((450 - x) / 65)) * cp.
- cp, from 14-02-2022: in shortage 1 up to a marginal incremental price of 200, falling linearly to 0 at 400;
  in surplus 1 down to a marginal decremental price of 0, falling linearly to 0 at -200. Before that day cp = 1.
- alpha' (from 22-05-2024) is published, not computed here.
- Energy is settled net over the quarter-hour, see `arbitrage.settling.settle_eur`.

Sources: Elia's imbalance tariff as checked on published records (README of the data). Not verified, because no
records were available: cp = 1 from 2020 to 13-02-2022, and that a system imbalance of exactly 0 settles as a surplus.

Elia computes with more digits than it publishes: from published inputs (prices to 0.01 EUR/MWh, imbalance to 0.001 MW)
a computed price is within 0.01 EUR/MWh of the published one, and equal to it in 97 of 100 rows.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt

from arbitrage.arrays import Floats
from arbitrage.errors import BadInput, Fault
from arbitrage.quarter_hour import EpochMinutes, brussels_midnight, day_number, utc_timestamps

SINGLE_PRICE_SINCE = brussels_midnight(day_number(dt.date(2020, 1, 1)))
"""Epoch minute from which the rule applies."""
SCARCITY_FACTOR_SINCE = brussels_midnight(day_number(dt.date(2022, 2, 14)))
"""Epoch minute from which alpha falls to 0 at extreme marginal prices. Before, it did not (not verified)."""

_ALPHA_FREE_MW = 150.0
_ALPHA_LIMIT_EUR_MWH = 200.0
_ALPHA_MIDDLE_MW = 450.0
_ALPHA_WIDTH_MW = 65.0
_FADING_EUR_MWH = 200.0
_NO_ALPHA_ABOVE_EUR_MWH = 400.0
_NO_ALPHA_BELOW_EUR_MWH = -200.0


def alpha_component_eur_mwh(
    starts: EpochMinutes,
    system_imbalance_mw: npt.ArrayLike,
    previous_system_imbalance_mw: npt.ArrayLike,
    marginal_incremental_price_eur_mwh: npt.ArrayLike,
    marginal_decremental_price_eur_mwh: npt.ArrayLike,
) -> Floats:
    """The alpha component of quarter-hours that begin at `starts` (epoch minutes), all shapes [n], unrounded.

    `previous_system_imbalance_mw` belongs to the quarter-hour before; where it is unknown (NaN) so is alpha, unless
    the system imbalance is too small for any. Raises BadInput for quarter-hours before 2020.
    """
    _refuse_before_single_price(starts)
    imbalance_mw = np.asarray(system_imbalance_mw, dtype=np.float64)
    mean_mw = (np.abs(imbalance_mw) + np.abs(np.asarray(previous_system_imbalance_mw, dtype=np.float64))) / 2.0
    full = _ALPHA_LIMIT_EUR_MWH / (1.0 + np.exp((_ALPHA_MIDDLE_MW - mean_mw) / _ALPHA_WIDTH_MW))
    incremental = np.asarray(marginal_incremental_price_eur_mwh, dtype=np.float64)
    decremental = np.asarray(marginal_decremental_price_eur_mwh, dtype=np.float64)
    headroom = np.where(
        imbalance_mw < 0.0, _NO_ALPHA_ABOVE_EUR_MWH - incremental, decremental - _NO_ALPHA_BELOW_EUR_MWH
    )
    fading = np.where(starts < SCARCITY_FACTOR_SINCE, 1.0, np.clip(headroom / _FADING_EUR_MWH, 0.0, 1.0))
    return np.where(np.abs(imbalance_mw) <= _ALPHA_FREE_MW, 0.0, full * fading)


def imbalance_price_eur_mwh(
    starts: EpochMinutes,
    system_imbalance_mw: npt.ArrayLike,
    marginal_incremental_price_eur_mwh: npt.ArrayLike,
    marginal_decremental_price_eur_mwh: npt.ArrayLike,
    alpha_component_eur_mwh: npt.ArrayLike,
    alpha_prime_component_eur_mwh: npt.ArrayLike = 0.0,
) -> Floats:
    """The imbalance price of quarter-hours that begin at `starts` (epoch minutes), shapes [n], unrounded.

    The components may be published or computed ones. Raises BadInput for quarter-hours before 2020.
    """
    _refuse_before_single_price(starts)
    imbalance_mw = np.asarray(system_imbalance_mw, dtype=np.float64)
    incentive = np.asarray(alpha_component_eur_mwh, np.float64) + np.asarray(alpha_prime_component_eur_mwh, np.float64)
    in_shortage = np.asarray(marginal_incremental_price_eur_mwh, dtype=np.float64) + incentive
    in_surplus = np.asarray(marginal_decremental_price_eur_mwh, dtype=np.float64) - incentive
    return np.where(np.isnan(imbalance_mw), np.nan, np.where(imbalance_mw < 0.0, in_shortage, in_surplus))


def _refuse_before_single_price(starts: EpochMinutes) -> None:
    early = np.flatnonzero(np.asarray(starts) < SINGLE_PRICE_SINCE)
    if len(early):
        first = utc_timestamps(np.atleast_1d(starts)[early[:1]])[0]
        raise BadInput([Fault("starts", f"{first:%Y-%m-%dT%H:%M}Z lies before 2020, when another price rule applied")])
