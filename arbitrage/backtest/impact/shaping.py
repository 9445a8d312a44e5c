"""The known exploit: the price is formed by the minute, energy is settled by the quarter-hour.

What it is. All energy of a quarter-hour is paid one price, and that price is made of what happened in each of its
minutes. To 2024-05-21 the marginal price is the extreme of all minutes: one minute of charging at full power may call a
dearer bid, whose price is then paid for all that is discharged in the other fourteen. Since then it is an average
weighted with the activated volumes, and a mean imbalance within the dead band settles at another price altogether:
what is injected in the right minutes moves both further than the same energy spread evenly. Under either rule the shape
alone earns, without more energy and without a better forecast; the more so the steeper the bids and the larger the
battery.

It is here so that it is not mistaken for skill: a learner set free in this simulator may find it, and its profit
then says little of how well it foresees anything. Shapes found here know the whole quarter-hour before it begins, in a
market that does not answer; no one has that known. On the real market, to inject or withdraw in order to move a
price may be market manipulation under REMIT, Regulation (EU) No 1227/2011, and may breach what a balance responsible
party owes. Nothing here is advice to do so, or an opinion on the law.

Contract
- Shapes are compared at the same net energy, and against spreading it evenly.
- Energy that a shape loses in conversion, over what the even one loses, is bought back at the hour's day-ahead price.
- A shape is one block of minutes at some power and another power in all the others: idle, the battery's full power
  either way, and whatever makes the energy come out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arbitrage.arrays import Flags, Floats
from arbitrage.battery import Battery, wear_cost_eur
from arbitrage.market.simulation.price_impact import MovedMarket
from arbitrage.market.simulation.simulator import Scenario
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR, QUARTER_HOUR_H
from arbitrage.settling import settle_eur, settle_power_eur

_ROUNDING = 1e-9
"""Of the rating, and of the capacity."""


class ShapeGains(NamedTuple):
    """What the best shape earns more than even power, in EUR of each quarter-hour, arrays of shape [n]."""

    one_way_eur: Floats
    """Where no minute runs against the net energy."""
    both_ways_eur: Floats
    """Where minutes may."""


def shapes_mw(mean_mw: float, rated_mw: float) -> Floats:
    """Powers of the minutes [m, 15] that all have this mean and keep to the rating; the first is even."""
    numbers = np.arange(MINUTES_PER_QUARTER_HOUR)
    first, length = (grid.ravel() for grid in np.meshgrid(numbers, numbers[1:]))
    inside = first + length <= MINUTES_PER_QUARTER_HOUR
    block = (numbers >= first[inside, None]) & (numbers < (first + length)[inside, None])
    found = [np.full((1, MINUTES_PER_QUARTER_HOUR), mean_mw)]
    for power_mw in (-rated_mw, 0.0, rated_mw):
        minutes = block.sum(axis=1)
        rest_mw = (MINUTES_PER_QUARTER_HOUR * mean_mw - minutes * power_mw) / (MINUTES_PER_QUARTER_HOUR - minutes)
        kept = np.abs(rest_mw) <= rated_mw * (1.0 + _ROUNDING)
        found.append(np.where(block[kept], power_mw, rest_mw[kept, None]))
    return np.concatenate(found)


def shape_gains(scenario: Scenario, battery: Battery, energy_fraction: float, start: int) -> ShapeGains:
    """The best shape of every quarter-hour from `start` (epoch minute) on, each alone in a market unmoved before it.

    energy_fraction: net energy as a fraction of what rated power moves in a quarter-hour; positive sells, negative
    buys. The battery is taken to be half full.
    """
    market = MovedMarket(scenario, start)
    powers_mw = shapes_mw(energy_fraction * battery.power_mw, battery.power_mw)
    one_way = (powers_mw * energy_fraction >= 0.0).all(axis=1)
    gains = np.zeros((2, len(market.series) - market.row))
    idle = np.zeros(MINUTES_PER_QUARTER_HOUR)
    for row in range(gains.shape[1]):
        worth_eur = _worth_eur(market, battery, powers_mw)
        gains[0, row] = worth_eur[one_way].max() - worth_eur[0]
        gains[1, row] = worth_eur.max() - worth_eur[0]
        market.settle(idle)
    return ShapeGains(*gains)


def spread_evenly(injection_mw: Floats) -> Floats:
    """The same energy of each quarter-hour at constant power; shape [15 n] in and out."""
    by_quarter_hour = injection_mw.reshape(-1, MINUTES_PER_QUARTER_HOUR)
    return np.repeat(by_quarter_hour.mean(axis=1), MINUTES_PER_QUARTER_HOUR)


def shape_in_hindsight(
    scenario: Scenario, battery: Battery, injection_mw: Floats, soc_start_mwh: Floats, start: int
) -> tuple[Floats, Floats]:
    """The injection [15 n] with the energy of each quarter-hour in its best shape, one after the other.

    injection_mw: from `start` (epoch minute) to the scenario's end, shape [15 n]; soc_start_mwh: with which each
    quarter-hour began, shape [n]. Shapes that would leave the SoC window are not tried; a daily cycle budget is not
    looked at. Returns the injection, and what it costs in EUR [n] that it loses more energy than the even one.
    """
    market = MovedMarket(scenario, start)
    means_mw = injection_mw.reshape(-1, MINUTES_PER_QUARTER_HOUR).mean(axis=1)
    chosen, lost_eur = np.empty((len(means_mw), MINUTES_PER_QUARTER_HOUR)), np.empty(len(means_mw))
    for row, mean_mw in enumerate(means_mw):
        tried = shapes_mw(mean_mw, battery.power_mw if mean_mw != 0.0 else 0.0)
        tried = tried[_keeps_window(battery, soc_start_mwh[row], tried)]
        best = int(np.argmax(_worth_eur(market, battery, tried)))
        chosen[row] = tried[best]
        losses_eur = _losses_eur(market, battery, tried[[0, best]])
        lost_eur[row] = losses_eur[1] - losses_eur[0]
        market.settle(chosen[row])
    return chosen.ravel(), lost_eur


def _worth_eur(market: MovedMarket, battery: Battery, powers_mw: Floats) -> Floats:
    """Cash of the next quarter-hour less what lost energy and wear cost, for each of some shapes [m, 15]."""
    price = market.clear(powers_mw).imbalance_price_eur_mwh[:, -1]
    return np.asarray(
        settle_power_eur(price, powers_mw.mean(axis=1), QUARTER_HOUR_H) - _losses_eur(market, battery, powers_mw)
    )


def _losses_eur(market: MovedMarket, battery: Battery, powers_mw: Floats) -> Floats:
    """What it costs to have as much in store as if nothing were lost, and wear, for each of some shapes [m, 15]."""
    law = battery.law
    charged_mwh = np.maximum(-powers_mw, 0.0).sum(axis=1) / MINUTES_PER_HOUR
    discharged_mwh = np.maximum(powers_mw, 0.0).sum(axis=1) / MINUTES_PER_HOUR
    drawn_mwh = discharged_mwh / law.discharge_efficiency
    lost_mwh = charged_mwh * (1.0 - law.charge_efficiency) + drawn_mwh - discharged_mwh
    bought_mwh = lost_mwh / law.charge_efficiency
    return np.asarray(settle_eur(max(market.day_ahead_eur_mwh, 0.0), bought_mwh) + wear_cost_eur(law, drawn_mwh))


def _keeps_window(battery: Battery, soc_mwh: float, powers_mw: Floats) -> Flags:
    """Which of some shapes [m, 15] stay in the SoC window from there; the first one, which is even, is let through."""
    law = battery.law
    stored_mw = np.where(powers_mw < 0.0, -powers_mw * law.charge_efficiency, -powers_mw / law.discharge_efficiency)
    path = soc_mwh + np.cumsum(stored_mw, axis=1) / MINUTES_PER_HOUR
    rounding_mwh = _ROUNDING * law.capacity_mwh
    inside = (path >= law.min_soc_mwh - rounding_mwh) & (path <= law.max_soc_mwh + rounding_mwh)
    even = np.arange(len(powers_mw)) == 0
    return np.asarray(inside.all(axis=1) | even)
