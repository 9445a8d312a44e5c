"""A strategy of one's own and a new rule, each as its one file would be, kept outside the project."""

from __future__ import annotations

from pathlib import Path

OWN = '''"""Buys below the day-ahead price, sells above."""

from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.policies.own_strategy import Now, Strategy


class BelowAndAbove(Strategy):
    """Buys below the day-ahead price, sells above."""

    needs = (Need(PRICE), Need(DAY_AHEAD))

    def power_mw(self, now: Now) -> float:
        gap_eur_mwh = now.last_price_eur_mwh - now.day_ahead_price_eur_mwh
        return -now.battery.power_mw if gap_eur_mwh < -30.0 else now.battery.power_mw if gap_eur_mwh > 30.0 else 0.0
'''
PRICES_ALONE = '''from arbitrage.policies.own_strategy import Now, Strategy


class AroundTheMean(Strategy):
    """Buys below the mean of a day's prices, sells above."""

    def power_mw(self, now: Now) -> float:
        day = now.history(96)
        mean = day[day == day].mean() if (day == day).any() else 0.0
        return now.battery.power_mw if now.last_price_eur_mwh > mean else -now.battery.power_mw
'''
NEW_RULE = """from arbitrage.policies.rules import ThresholdRule, tune
from arbitrage.policies.strategy_spec import StrategySpec

RULE = StrategySpec(
    name="new-rule",
    description="The threshold rule, under another name.",
    make=lambda: ThresholdRule(name="new rule"),
    tune=lambda *days: tune(ThresholdRule(name="new rule"), *days),
)
"""


def written(folder: Path, text: str = OWN, name: str = "below_and_above.py") -> Path:
    """The file of a strategy."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
