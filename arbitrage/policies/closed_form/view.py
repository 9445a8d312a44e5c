"""A learned policy's reading of the market, waiting for a battery's state: the advantages, and what risk makes of them.

Contract
- The advantage of an action over idling is what the price chain says, corrected by what realised advantages taught:
  energy x one-step price forecast - wear + continuation under the chain + scale x ridge correction.
- The larger positive advantage is taken, else idle. Members of an ensemble are averaged before choosing.
- Risk comes after: `risk_head` alters the advantages by the risk aversion; a preference adds weight x
  (risk measure of the action's outcomes - that of idling's), outcomes being those of the quantile critic. With neither
  it is the risk-neutral policy, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from arbitrage.arrays import Floats, Numbers, Singles
from arbitrage.battery import BatteryState
from arbitrage.features.encoder import Encoded
from arbitrage.policies.closed_form.lattice import Lattice, cell
from arbitrage.policies.closed_form.quantile_critic import outcomes_eur as critic_outcomes_eur
from arbitrage.policies.closed_form.random_features import RandomFeatures
from arbitrage.policies.closed_form.risk_head import HeadParameters, RiskContext, adjusted_advantages, power_fraction
from arbitrage.policies.networks import Network
from arbitrage.policies.protocol import Intent, TrainedInputs
from arbitrage.quarter_hour import QUARTER_HOUR_H
from arbitrage.risk import RiskPreference, risk_eur
from arbitrage.settling import CHARGE, DISCHARGE, action_power_mw, greedy_action, possible_power_mw, settle_eur

_REASONS = ("charging_beats_idling", "discharging_beats_idling", "idling_is_best")
_RISK_REASONS = ("risk_aversion_charges", "risk_aversion_discharges", "risk_aversion_idles")
"""Where the risk-neutral policy would do something else."""


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member's reading of the market at T times in Q quarter-hours."""

    regressors: Singles
    """Shape [Q, correction regressors]."""
    correction: Singles
    """Shape [2, nodes, correction regressors]."""
    forecast_eur_mwh: Floats
    """Shape [T]."""
    continuation_eur: Singles
    """Shape [T, 2, nodes]."""


@dataclass(frozen=True, slots=True)
class RiskAdjustment:
    """The risk head at a risk aversion, at T times."""

    parameters: HeadParameters
    context: RiskContext

    def at(self, at: int) -> tuple[float, float, float, float]:
        """What the head reads of the `at`-th time."""
        context = self.context
        return context.size_eur[at], context.usual_eur[at], context.evening[at], context.to_come[at]


@dataclass(frozen=True, slots=True)
class ClosedFormView:
    """The policy's reading of the market at T times in Q quarter-hours."""

    lattice: Lattice
    encoded: Encoded
    """Of the Q quarter-hours."""
    quarter: Numbers
    """Shape [T]; which of them each time lies in."""
    names: tuple[str, ...]
    """Of the features of a quarter-hour."""
    scaling: RandomFeatures
    """Of the first member: it holds the scale of the features in training."""
    members: tuple[MemberView, ...]
    critic: Network | None
    dialled: RiskAdjustment | None = None
    """None where the risk aversion is 0."""
    preference: RiskPreference | None = None
    """None where outcomes do not count."""

    @property
    def price_forecast_eur_mwh(self) -> Floats:
        """Of the running quarter-hour's final price, mean of the members, shape [T]."""
        return np.asarray(np.mean([member.forecast_eur_mwh for member in self.members], axis=0))

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:
        """Charge or discharge, whichever has the larger positive advantage; else idle."""
        charge = discharge = 0.0
        for member in self.members:
            advantages = self._advantages(member, at, state)
            charge += advantages[0] / len(self.members)
            discharge += advantages[1] / len(self.members)
        neutral = greedy_action(charge, discharge)
        chosen, fraction = neutral, 1.0
        if self.dialled is not None or self.preference is not None:
            at_risk = self._at_risk(at, state, profit_today_eur, (charge, discharge))
            if any(
                math.isfinite(old) and not math.isfinite(new)
                for old, new in zip((charge, discharge), at_risk, strict=True)
            ):
                return Intent(math.nan, "risk_is_not_finite", charge, discharge)
            chosen = greedy_action(*at_risk)
            fraction = 1.0 if self.dialled is None else power_fraction(self.dialled.parameters)
        reason = _REASONS[chosen] if chosen == neutral else _RISK_REASONS[chosen]
        return Intent(action_power_mw(self.lattice.law, chosen) * fraction, reason, charge, discharge)

    def inputs(self, at: int) -> TrainedInputs:
        """The features of the quarter-hour that the `at`-th time lies in, on the first member's scale."""
        features = self.encoded.features[self.quarter[at]]
        return TrainedInputs(self.names, features, self.scaling.mean, self.scaling.std)

    def _at_risk(
        self, at: int, state: BatteryState, profit_today_eur: float, advantages: tuple[float, float]
    ) -> tuple[float, float]:
        """Advantages of charging and discharging after risk aversion and preference."""
        if self.dialled is not None:
            law = self.lattice.law
            soc_fraction = (state.soc_mwh - law.min_soc_mwh) / (law.max_soc_mwh - law.min_soc_mwh)
            context = self.dialled.at(at)
            advantages = adjusted_advantages(
                self.dialled.parameters, context, profit_today_eur, soc_fraction, advantages
            )
        outcomes = self.outcomes_eur(at, state) if self.preference is not None else None
        if self.preference is None or outcomes is None:
            return advantages
        charge, idle, discharge = risk_eur(self.preference.measure, self.preference.level, outcomes).tolist()
        weight = self.preference.weight
        return advantages[0] + weight * (charge - idle), advantages[1] + weight * (discharge - idle)

    def _advantages(self, member: MemberView, at: int, state: BatteryState) -> tuple[float, float]:
        quarter = self.quarter[at]
        return _advantages_at(
            self.lattice,
            member.regressors[quarter],
            member.correction,
            member.forecast_eur_mwh[at],
            self.encoded.scale_eur_mwh[quarter],
            member.continuation_eur[at],
            state.soc_mwh,
            state.cycles_used,
        )

    def outcomes_eur(self, at: int, state: BatteryState) -> Floats | None:
        """Quantiles of the profit to the day's end for charge, idle, discharge; see `quantile_critic`.

        They rest on what was known when the running quarter-hour began.
        """
        if self.critic is None:
            return None
        law = self.lattice.law
        soc_share = (state.soc_mwh - law.min_soc_mwh) / (law.max_soc_mwh - law.min_soc_mwh)
        cycle_share = state.cycles_used / law.max_cycles_per_day if self.lattice.cycle_nodes > 1 else 0.0
        quarter = self.quarter[at]
        scale = float(self.encoded.scale_eur_mwh[quarter])
        return critic_outcomes_eur(self.critic, self.encoded.features[quarter], (soc_share, cycle_share), scale)

    def node_advantages_eur(self) -> Singles:
        """Advantages of charging and discharging at every node, shape [T, 2, nodes]; for learning, not for deciding."""
        lattice, share = self.lattice, np.float32(1.0 / len(self.members))
        energy, wear = lattice.energy_mwh.astype(np.float32), lattice.wear_eur.astype(np.float32)
        scale = self.encoded.scale_eur_mwh.astype(np.float32)[:, None, None]
        total = np.zeros((len(self.quarter), 2, lattice.nodes), dtype=np.float32)
        for member in self.members:
            flat = member.correction.reshape(-1, member.correction.shape[2])
            learned = scale * (member.regressors @ flat.T).reshape(-1, 2, lattice.nodes)
            for at, price in enumerate(member.forecast_eur_mwh.astype(np.float32)):
                cash = settle_eur(price, energy) - wear
                total[at] += share * (cash + member.continuation_eur[at] + learned[self.quarter[at]])
        return total


@numba.njit(cache=True)
def _advantages_at(
    lattice: Lattice,
    regressors: Singles,
    correction: Singles,
    forecast: float,
    scale: float,
    continuation: Singles,
    soc_mwh: float,
    cycles_used: float,
) -> tuple[float, float]:
    """Advantage in EUR of charging and of discharging in a state; minus infinity where it moves nothing."""
    corner, soc_share, cycle_share = cell(lattice, soc_mwh, cycles_used)
    result = np.empty(2)
    for action in range(2):
        if possible_power_mw(lattice.law, soc_mwh, cycles_used, action, 1.0, QUARTER_HOUR_H) == 0.0:
            result[action] = -np.inf
            continue
        total = 0.0
        for above in range(2):
            for beside in range(2 if lattice.cycle_nodes > 1 else 1):
                node = corner + above * lattice.cycle_nodes + beside
                share = (soc_share if above else 1.0 - soc_share) * (cycle_share if beside else 1.0 - cycle_share)
                if share == 0.0:
                    continue
                learned = 0.0
                for j in range(regressors.shape[0]):
                    learned += regressors[j] * correction[action, node, j]
                cash = settle_eur(forecast, lattice.energy_mwh[action, node]) - lattice.wear_eur[action, node]
                total += share * (cash + continuation[action, node] + scale * learned)
        result[action] = total
    return result[CHARGE], result[DISCHARGE]
