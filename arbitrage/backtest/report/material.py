"""All that a tear sheet is made of, computed once: what it draws and what it says come from the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from arbitrage.arrays import Floats
from arbitrage.backtest.attribution import gap_by_cause
from arbitrage.backtest.bootstrap import Estimate
from arbitrage.backtest.comparison import compare_table, daily_profits_eur, leads_of, other_seeds_among
from arbitrage.backtest.engine import PERFECT_FORESIGHT, Backtest
from arbitrage.backtest.metrics import full_summary
from arbitrage.backtest.plain import plain
from arbitrage.backtest.report.figures.rounding import sensible_decimals
from arbitrage.backtest.report.text import ceiling_ledger
from arbitrage.backtest.statistics import estimate
from arbitrage.backtest.valuation import Rainflow, rainflow_cycles

IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Material:
    """A backtest, its rivals, and its other seeds, with their figures."""

    backtest: Backtest
    rivals: tuple[Backtest, ...]
    other_seeds: tuple[Backtest, ...]
    daily_eur: pd.DataFrame
    """Shape [days, strategies]: the backtest's first, then its rivals'."""
    seeds_eur: Floats
    """Shape [seeds, days]: the backtest's first."""
    table: Sequence[Mapping[str, Any]]
    """See `comparison.compare_table`."""
    leads: Mapping[str, Mapping[Any, Any]]
    """By rival; see `statistics.compare_daily`."""
    figures: Mapping[str, Any]
    """See `metrics.full_summary`."""
    causes: Mapping[str, Mapping[str, float]]
    """Of each strategy but the floor and the ceiling: EUR a day lost to each cause."""
    cycles: Rainflow
    ceiling: pd.DataFrame
    """The ledger of perfect foresight."""

    @property
    def days(self) -> int:
        """Brussels days tested."""
        return len(self.daily_eur)

    @property
    def decimals(self) -> int:
        """Decimals of all sums a day."""
        return sensible_decimals(float(self.figures["perfect_foresight_eur_per_day"]))

    @property
    def seeds_mean(self) -> Estimate:
        """Mean over seeds and days."""
        return estimate(self.seeds_eur)

    @property
    def real_rivals(self) -> list[str]:
        """All rivals but the ceiling, from the best to the worst."""
        names = [rival.strategy for rival in self.rivals if rival.strategy != PERFECT_FORESIGHT]
        means = self.daily_eur[names].mean().to_dict()
        return sorted(names, key=lambda name: -means[name])

    def as_json(self) -> dict[str, Any]:
        """The numbers of the page, ready for JSON."""
        seeds = [float(value) for value in self.seeds_eur.mean(axis=1)]
        numbers: dict[str, Any] = plain(
            {
                "figures": self.figures,
                "comparison": self.table,
                "leads": self.leads,
                "gap_by_cause_eur_per_day": self.causes,
                "seeds_eur_per_day": seeds,
                "seeds_mean_eur_per_day_interval": self.seeds_mean.interval,
            }
        )
        return numbers


def gather(backtest: Backtest, rivals: Sequence[Backtest]) -> Material:
    """Compute it all. Raises BadInput where backtests cannot be compared, see `comparison.daily_profits_eur`."""
    everyone = [backtest, *rivals]
    seeds = other_seeds_among(everyone)
    seed_names = [seed.strategy for seed in seeds]
    others = [rival for rival in rivals if rival.strategy not in seed_names]
    daily = daily_profits_eur(everyone)
    figures = full_summary(backtest)
    own = {backtest.strategy: figures["gap_by_cause_eur_per_day"]}
    others_lost = {
        rival.strategy: gap_by_cause(rival) for rival in others if rival.strategy not in {PERFECT_FORESIGHT, IDLE}
    }
    return Material(
        backtest=backtest,
        rivals=tuple(others),
        other_seeds=tuple(seeds),
        daily_eur=daily.drop(columns=seed_names),
        seeds_eur=daily[[backtest.strategy, *seed_names]].to_numpy().T,
        table=compare_table([backtest, *others], seeds),
        leads={str(name): lead.to_dict() for name, lead in leads_of(daily, backtest.strategy, seed_names).iterrows()},
        figures=figures,
        causes=own | others_lost,
        cycles=rainflow_cycles(backtest.ledger, backtest.battery),
        ceiling=ceiling_ledger(backtest),
    )
