"""Who decides for a battery, and what came of it: the policy that acts, and a challenger in its shadow.

Contract: a challenger sees what the acting policy sees and moves nothing. Its battery does not exist, but obeys the
same law and is scored by the same settled prices, so that the difference between the two is that of their decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from arbitrage.live.decider import LiveDecider
from arbitrage.live.decision import AssetState, LiveDecision
from arbitrage.live.feed import Snapshot
from arbitrage.live.live_battery import LiveBattery
from arbitrage.live.reconciliation import Flow
from arbitrage.policies.protocol import NEUTRAL, RiskChoice
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, energy_mwh


@dataclass(frozen=True, slots=True)
class Setpoint:
    """The setpoint of a battery and its reason, in the words of the decision contract."""

    valid_from: int
    """Epoch minute."""
    valid_until: int
    power_mw: float
    reason: str
    fallback_level: int
    fallback_reason: str | None
    quality: str
    shield_rule: str | None
    price_seen_eur_mwh: float | None


Decide = Callable[[Snapshot, int, float, AssetState], Setpoint]
"""From a snapshot, the epoch minute at which an interval begins, the time in seconds and a state to an order."""


def setpoint_of(decision: LiveDecision) -> Setpoint:
    """A decision as an order."""
    frame, rule = decision.frame, decision.shield.rule
    return Setpoint(
        valid_from=frame.valid_from,
        valid_until=frame.valid_until,
        power_mw=decision.power_mw,
        reason=decision.reasons[0].code,
        fallback_level=frame.level.number,
        fallback_reason=frame.fallback_reason,
        quality=frame.judgement.quality.value,
        shield_rule=None if rule is None else rule.value,
        price_seen_eur_mwh=frame.price_seen_eur_mwh,
    )


def deciding(decider: LiveDecider, risk: RiskChoice = NEUTRAL) -> Decide:
    """Decide in this process."""

    def decide(snapshot: Snapshot, time: int, now_s: float, state: AssetState) -> Setpoint:
        return setpoint_of(decider.prepare_live(snapshot, time, now_s, risk).decide(state))

    return decide


@dataclass(slots=True)
class Contender:
    """One who decides, its battery, and what it has made."""

    name: str
    decide: Decide
    asset: LiveBattery
    settled_eur: float = 0.0
    """At prices that are known."""
    flows: list[Flow] = field(default_factory=list)
    last: Setpoint | None = None

    @property
    def profit_eur(self) -> float:
        """Settled cash less all wear."""
        return self.settled_eur - self.asset.wear_eur

    def live(self, snapshot: Snapshot, time: int, now_s: float) -> Setpoint | None:
        """Have the interval that begins at `time`, an epoch minute, decided and live it; None while one is running."""
        if self.last is not None and time < self.last.valid_until:
            return None
        reported = self.decide(snapshot, time, now_s, self.asset.at(time))
        worn_eur = self.asset.wear_eur
        flowed_mw = self.asset.follow(reported.valid_from, reported.valid_until, reported.power_mw)
        energy = energy_mwh(flowed_mw, reported.valid_until - reported.valid_from)
        quarter_hour = reported.valid_from - reported.valid_from % MINUTES_PER_QUARTER_HOUR
        self.flows.append(Flow(quarter_hour, energy, reported.price_seen_eur_mwh, self.asset.wear_eur - worn_eur))
        self.last = reported
        return reported

    def settle(self, prices: Mapping[int, float], now: int) -> None:
        """Settle the quarter-hours that wait and have a price by now, in order of time."""
        for start in sorted(self.asset.unsettled):
            if start in prices:
                self.settled_eur += self.asset.settle(start, prices[start], now)
