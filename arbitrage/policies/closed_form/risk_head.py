"""The risk head: seven numbers over the risk-neutral advantages, scaled by the risk aversion when a decision is made.

Contract
- All numbers zero is the risk-neutral policy, bit for bit; the risk aversion at zero is all numbers zero.
- With size_eur the expected size of the advantage at the time, soc the filled share of the SoC window, surplus the
  day's profit against what a day usually offers (below) and evening rising from 0 at 19:00 Brussels to 1 at midnight:

      charge    less size_eur x [charge_margin    + w + profit_response x surplus + soc_pull x (soc - 1/2)
                                                                            + night_pull x evening x (1/2 + soc)]
      discharge less size_eur x [discharge_margin + w + profit_response x surplus - soc_pull x (soc - 1/2)
                                                                            - night_pull x evening x soc]

  where w = early_margin x the share of the running quarter-hour that is still to come, which only policies of the
  minute have; and power is rated power x clip(1 + power_change, 0.05, 1).
- surplus = clip(profit so far today / (rated power x 1 h x usual daily price spread) - 1, -1.5, 1.5). Profit so far is
  what is known of it (see `settling.KnownProfit`). The usual spread is the mean, over the fourteen days that end at
  midnight, of the highest less the lowest price known by then; where none is known the surplus is 0.
- What is read of a time depends on that time alone, to the last bit.

The numbers are found by search on whole-day profits (`risk_search`): the risk of a day is not the sum of its steps'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.errors import BadInput, Fault
from arbitrage.features.encoder import Encoded
from arbitrage.market.point_in_time import PRICE, KnownMarket
from arbitrage.policies.closed_form.random_features import row_products
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, brussels_day_numbers, brussels_midnight


class HeadParameters(NamedTuple):
    """The numbers of the head."""

    charge_margin: float = 0.0
    discharge_margin: float = 0.0
    profit_response: float = 0.0
    soc_pull: float = 0.0
    night_pull: float = 0.0
    power_change: float = 0.0
    early_margin: float = 0.0


NAMES = HeadParameters._fields
MOST_RISK_AVERSE = 0.95
"""Greatest risk aversion; at 1 the mean would have no weight."""

_SPREAD_DAYS = 14
_DAY_QUARTER_HOURS = 96
_EVENING_MIN = 5 * 60
_LEAST_POWER_FRACTION = 0.05
_SURPLUS_LIMIT = 1.5
_CLIP = 4.0
"""Standard deviations beyond which a feature is taken as just far."""


class AdvantageSize(NamedTuple):
    """How large advantages are expected to be: the logarithm of their size over the scale, linear in the features."""

    mean: Singles
    """Shape [features]; of the training rows."""
    std: Singles
    """Shape [features]; of the training rows."""
    coefficients: Singles
    """Shape [1 + features]; the constant first."""

    def size_eur(self, encoded: Encoded) -> Floats:
        """Expected size in EUR at each of the encoded times, shape [n]."""
        return encoded.scale_eur_mwh * np.exp(row_products(size_regressors(self, encoded.features), self.coefficients))


def size_regressors(size: AdvantageSize, features: Singles) -> Singles:
    """A constant and the standardised features, shape [n, 1 + features]."""
    scaled = np.clip((features - size.mean) / size.std, -_CLIP, _CLIP)
    return np.concatenate([np.ones((len(features), 1), dtype=np.float32), scaled], axis=1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class RiskHead:
    """Fitted to one policy."""

    size: AdvantageSize
    coefficients: Floats
    """Shape [powers, 7]; the numbers are the polynomial in risk aversion without a constant that these give."""

    def parameters(self, risk_aversion: float) -> HeadParameters:
        """The head's numbers at a risk aversion.

        Raises BadInput outside 0 to MOST_RISK_AVERSE.
        """
        refuse_outside_range(risk_aversion)
        powers = risk_aversion ** np.arange(1, len(self.coefficients) + 1)
        return HeadParameters(*(powers @ self.coefficients).tolist())


def refuse_outside_range(risk_aversion: float) -> None:
    """Raises BadInput outside 0 to MOST_RISK_AVERSE."""
    if not 0.0 <= risk_aversion <= MOST_RISK_AVERSE:
        message = f"must be between 0, which is risk-neutral, and {MOST_RISK_AVERSE}, not {risk_aversion}"
        raise BadInput([Fault("risk_aversion", message)])


class RiskContext(NamedTuple):
    """What the head reads of T times beside the battery's state, arrays of shape [T]."""

    size_eur: Floats
    usual_eur: Floats
    """Rated power x 1 h x the usual daily price spread; 0 where it is not known."""
    evening: Floats
    to_come: Floats
    """Share of the running quarter-hour that is still to come."""


def read_context(known: KnownMarket, size_eur: Floats, power_mw: float, step_min: int) -> RiskContext:
    """Context at the times of `known`, for decisions of `step_min` minutes.

    size_eur: shape [T], see `AdvantageSize`.
    """
    times = known.times
    days, rows = np.unique(brussels_day_numbers(times), return_inverse=True)
    midnights = np.array([(brussels_midnight(int(day)), brussels_midnight(int(day) + 1)) for day in days])
    minute = times % MINUTES_PER_QUARTER_HOUR
    left = (MINUTES_PER_QUARTER_HOUR - minute - step_min) / MINUTES_PER_QUARTER_HOUR
    return RiskContext(
        size_eur=size_eur,
        usual_eur=power_mw * usual_spreads_eur_mwh(known, midnights[:, 0])[rows],
        evening=np.clip(1.0 - (midnights[rows, 1] - times) / _EVENING_MIN, 0.0, 1.0),
        to_come=left,
    )


def usual_spreads_eur_mwh(known: KnownMarket, midnights: Numbers) -> Floats:
    """Mean daily price spread of the fortnight before each midnight, as known then, shape [days]; 0 if nothing is.

    Days are counted back from midnight in steps of 24 hours.
    """
    back = -MINUTES_PER_QUARTER_HOUR * np.arange(1, _SPREAD_DAYS * _DAY_QUARTER_HOURS + 1)
    prices = known.as_of(midnights, midnights).gather(PRICE, back)
    by_day = prices.reshape(len(midnights), _SPREAD_DAYS, _DAY_QUARTER_HOURS)
    is_known = ~np.isnan(by_day)
    highest = np.where(is_known, by_day, -np.inf).max(axis=2)
    lowest = np.where(is_known, by_day, np.inf).min(axis=2)
    has_price = is_known.any(axis=2)
    total = np.where(has_price, highest - lowest, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(has_price.sum(axis=1), 1))


@numba.njit(cache=True)
def surplus_of(profit_today_eur: float, usual_eur: float) -> float:
    """The day's profit so far against what a day usually offers; 0 where that is not known."""
    if usual_eur <= 0.0:
        return 0.0
    return float(min(max(profit_today_eur / usual_eur - 1.0, -_SURPLUS_LIMIT), _SURPLUS_LIMIT))


@numba.njit(cache=True)
def adjusted_advantages(
    head: HeadParameters,
    context: tuple[float, float, float, float],
    profit_today_eur: float,
    soc_fraction: float,
    advantages_eur: tuple[float, float],
) -> tuple[float, float]:
    """Advantages of charging and discharging as the head sees them; context: the fields of a RiskContext at a time."""
    size_eur, usual_eur, evening, to_come = context
    common = head.profit_response * surplus_of(profit_today_eur, usual_eur) + head.early_margin * to_come
    pull = head.soc_pull * (soc_fraction - 0.5)
    night = head.night_pull * evening
    charge = advantages_eur[0] - size_eur * (head.charge_margin + common + pull + night * (0.5 + soc_fraction))
    discharge = advantages_eur[1] - size_eur * (head.discharge_margin + common - pull - night * soc_fraction)
    return charge, discharge


@numba.njit(cache=True)
def power_fraction(head: HeadParameters) -> float:
    """Share of rated power that is asked for."""
    return float(min(max(1.0 + head.power_change, _LEAST_POWER_FRACTION), 1.0))
