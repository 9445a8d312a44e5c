"""Test figures for the card of a policy.

Contract
- Only days that the policy neither learned from nor was chosen on are tested; a backtest that touches one of those is
  refused, whichever data they come from. What the card does not say is taken as learned from.
- Figures are those of the policy's own battery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from arbitrage.backtest.engine import Backtest
from arbitrage.backtest.in_sample import days_seen
from arbitrage.backtest.metrics import summary
from arbitrage.battery import Battery
from arbitrage.errors import Fault, refuse
from arbitrage.market.series import MarketSeries
from arbitrage.market.splits import Span, rows_of
from arbitrage.policies.checkpoint.load import Card
from arbitrage.quarter_hour import DayNumbers, calendar_day

_FIGURES = (
    "days",
    "profit_eur_per_day",
    "profit_eur_per_day_interval",
    "perfect_foresight_eur_per_day",
    "capture_fraction",
    "cycles_per_day",
    "tail_level",
    "value_at_risk_eur",
    "conditional_value_at_risk_eur",
    "worst_day_eur",
    "coverage_fraction",
    "violations",
)


def refuse_recording(card: Card, battery: Battery, market: MarketSeries, selection: Sequence[Span]) -> None:
    """Raise BadInput, naming all faults, if a test on the selection may not be written on the card."""
    faults = [*learned_days(card, np.unique(market.day_numbers[rows_of(selection)]))]
    if asdict(battery) != card.get("battery"):
        faults.append(Fault("record", "the battery is not the one that the policy was trained for"))
    refuse(faults)


def figures_for_card(result: Backtest, selection: Sequence[Span], market: MarketSeries, facts: dict[str, Any]) -> Card:
    """What the card keeps of a backtest; `facts` say where the figures come from (data, delay, code revision)."""
    days = np.unique(market.day_numbers[rows_of(selection)])
    figures = summary(result)
    return {
        **{name: figures[name] for name in _FIGURES},
        "first_day": str(calendar_day(int(days[0]))),
        "last_day": str(calendar_day(int(days[-1]))),
        **facts,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def learned_days(card: Card, days: DayNumbers) -> list[Fault]:
    """A fault for training and for validation days among the Brussels days [n] that are tested."""
    seen = days_seen(card, days)
    if seen is None:
        return [Fault("record", "the card does not say on which days the policy learned")]
    return [Fault("record", sentence) for sentence in seen.sentences()]
