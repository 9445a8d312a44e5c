"""Where the money between a strategy and perfect foresight went.

Contract: every EUR of the gap is charged to one decision and one cause, and the causes add up to the gap exactly. Each
decision is compared with the best one from the same state, in hindsight (see `regret`). The causes:

- `wrong_direction_eur`: it bought where hindsight, from the same state, sells; or sold where hindsight buys.
- `held_back_eur`: it did nothing, or less than it could, where hindsight trades.
- `budget_spent_eur`: it sold where hindsight waits, and the cycles spent were wanted later. This is what the next state
  would be worth more if it had those cycles back.
- `soc_in_the_way_eur`: it traded where hindsight waits, and by that had nothing left to sell, or no room to buy, when
  hindsight would have traded the same way: before it next traded the other way.
- `wrong_time_eur`: it traded where hindsight waits, and neither is so: the trade was better made later, or not at all.
- `rest_eur`: what is not attainable, because the ceiling may take and give energy in one quarter-hour; and rounding.

Efficiency and wear are in every value, so they need no cause of their own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from arbitrage.arrays import Flags, Floats
from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.hindsight.foresight_lattice import LatticeShape, lattice_shape
from arbitrage.backtest.hindsight.regret import Regrets, Trajectory, span_regrets
from arbitrage.battery import wear_cost_eur
from arbitrage.settling import settle_eur

CAUSES = (
    "wrong_direction_eur",
    "held_back_eur",
    "wrong_time_eur",
    "soc_in_the_way_eur",
    "budget_spent_eur",
    "rest_eur",
)
CAUSE_IN_WORDS = {
    "wrong_direction_eur": "wrong direction",
    "held_back_eur": "wrong time: held back",
    "wrong_time_eur": "wrong time: traded too soon",
    "soc_in_the_way_eur": "empty or full when it mattered",
    "budget_spent_eur": "cycle budget spent too early",
    "rest_eur": "out of anyone's reach",
}

_SEGMENTS = range(80, 121)
_MOVED = 1e-9
"""MWh for each MWh of capacity above which energy was moved."""


def attribute_gap(backtest: Backtest) -> pd.DataFrame:
    """What each quarter-hour lost and why: columns CAUSES in EUR, indexed like the ledger.

    All of it sums to the ceiling's profit less the strategy's, and so do the rows of each span.
    """
    law, ledger = backtest.battery.law, backtest.ledger
    shape = lattice_shape(law, _SEGMENTS)
    ceiling_eur = _ceiling_eur(backtest)
    parts = [
        _span_causes(backtest, shape, np.flatnonzero(span), float(ceiling_eur[span].sum()))
        for span in (ledger["span"].to_numpy() == number for number in ledger["span"].unique())
    ]
    return pd.DataFrame(np.concatenate(parts), index=ledger.index, columns=list(CAUSES))


def gap_by_cause(backtest: Backtest) -> dict[str, float]:
    """EUR a Brussels day lost to each cause."""
    days = backtest.ledger["brussels_day"].nunique()
    return {str(name): float(total) / days for name, total in attribute_gap(backtest).sum().items()}


def _ceiling_eur(backtest: Backtest) -> Floats:
    """Profit of the optimal schedule in each quarter-hour [n]."""
    foresight, law = backtest.foresight, backtest.battery.law
    price = np.nan_to_num(backtest.ledger["imbalance_price_eur_mwh"].to_numpy())
    wear_eur = wear_cost_eur(law, foresight.discharge_mwh / law.discharge_efficiency)
    return np.asarray(settle_eur(price, foresight.discharge_mwh - foresight.charge_mwh) - wear_eur)


def _span_causes(backtest: Backtest, shape: LatticeShape, rows: npt.NDArray[np.int64], ceiling_eur: float) -> Floats:
    """EUR [quarter-hours of the span, CAUSES]."""
    trajectory = _trajectory(backtest.ledger.iloc[rows])
    regrets = span_regrets(backtest.battery.law, shape, trajectory)
    causes = _sort_by_cause(trajectory, regrets, _MOVED * backtest.battery.capacity_mwh)
    missing = ceiling_eur - float(trajectory.profit_eur.sum()) - float(causes.sum())
    causes[:, -1] += missing / len(rows)
    return causes


def _trajectory(ledger: pd.DataFrame) -> Trajectory:
    """The rows of one span."""
    days = ledger["brussels_day"].to_numpy()
    new_day = np.concatenate(([True], days[1:] != days[:-1]))
    used_end = ledger["cycles_used"].to_numpy(np.float64)
    return Trajectory(
        price_eur_mwh=np.where(ledger["settled"], ledger["imbalance_price_eur_mwh"], np.nan).astype(np.float64),
        new_day=new_day,
        net_mwh=ledger["net_energy_mwh"].to_numpy(np.float64),
        profit_eur=ledger["profit_eur"].to_numpy(np.float64),
        soc_start_mwh=ledger["soc_start_mwh"].to_numpy(np.float64),
        soc_end_mwh=ledger["soc_end_mwh"].to_numpy(np.float64),
        used_start=np.where(new_day, 0.0, np.concatenate(([0.0], used_end[:-1]))),
        used_end=used_end,
    )


def _sort_by_cause(trajectory: Trajectory, regrets: Regrets, moved_mwh: float) -> Floats:
    """Regrets [n] as EUR [n, CAUSES]; up to `moved_mwh` is rounding."""
    net, best, regret = trajectory.net_mwh, regrets.best_net_mwh, regrets.regret_eur
    against = net * best < 0.0
    less = ~against & (np.abs(net) < np.abs(best))
    sold, bought = (~against & ~less & (way * net > moved_mwh) for way in (1.0, -1.0))
    budget = np.where(sold, np.minimum(regret, regrets.budget_eur), 0.0)
    blocked = (sold & _comes_first(regrets.nothing_left, net < -moved_mwh)) | (
        bought & _comes_first(regrets.no_room, net > moved_mwh)
    )
    soon = np.where(sold | bought, regret - budget, 0.0)
    by_cause = {
        "wrong_direction_eur": np.where(against, regret, 0.0),
        "held_back_eur": np.where(less, regret, 0.0),
        "wrong_time_eur": np.where(blocked, 0.0, soon),
        "soc_in_the_way_eur": np.where(blocked, soon, 0.0),
        "budget_spent_eur": budget,
    }
    sorted_eur = sum(by_cause.values(), np.zeros(len(regret)))
    by_cause["rest_eur"] = regrets.rest_eur + (regret - sorted_eur)
    return np.column_stack([by_cause[name] for name in CAUSES])


def _comes_first(event: Flags, end: Flags) -> Flags:
    """Whether, after each place [n], the event happens before the end does."""
    never = len(event)
    return _next_place(event, never) < np.minimum(_next_place(end, never), never)


def _next_place(flags: Flags, never: int) -> npt.NDArray[np.int64]:
    """The first place after each [n] where a flag is up; `never` where there is none."""
    places = np.where(flags, np.arange(len(flags)), never)
    upcoming = np.minimum.accumulate(places[::-1])[::-1]
    return np.append(upcoming[1:], never)
