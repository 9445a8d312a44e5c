"""The learned policy as it is served: numbers and compiled loops, no learner and no torch.

Law
- The advantage of an action over idling is what the price chain says, corrected by what realised advantages taught:
  energy x one-step price forecast - wear + continuation under the chain + scale x ridge correction.
- The larger positive advantage is taken, else idle. Members of an ensemble are averaged before choosing.
- A decision depends on its own time and state only: a year read at once and one live decision agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.agents.lattice import CHARGE, DISCHARGE, Lattice, LatticeSize, cell, make_lattice
from arbitrage.agents.networks import Network, hidden_rows
from arbitrage.agents.policy import Intent
from arbitrage.agents.price_chain import DayPlans, PriceChain, Questions, continuation_advantages
from arbitrage.agents.quantile_critic import outcomes_eur as critic_outcomes_eur
from arbitrage.agents.random_features import RandomFeatures
from arbitrage.battery import Battery, BatteryState, clip_power_mw
from arbitrage.errors import Fault, refuse
from arbitrage.market.series import Knowledge
from arbitrage.observation import PLAN_GROUPS, SHORT, Encoded, MarketFeatures
from arbitrage.quarter_hour import (
    MINUTES_PER_QUARTER_HOUR,
    QUARTER_HOUR_H,
    brussels_day_numbers,
    brussels_midnight,
    quarter_hour_grid,
)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

PLAN_FEATURES = sum(len(group) for group in PLAN_GROUPS)
"""The plan rests on the first so many market features."""
_LEAST_POWER_MW = 1e-9


@dataclass(frozen=True, slots=True)
class Member:
    """One fitted member of the ensemble."""

    plan_map: RandomFeatures
    plan_coefficients: Singles
    """Shape [plan regressors]; expected price less base, in units of the scale at midnight."""
    full_map: RandomFeatures
    forecast_coefficients: Singles
    """Shape [full regressors]; one-step forecast less base, in units of the scale."""
    slow_coefficients: Singles
    """Shape [slow regressors]; see `slow_gaps`."""
    chain: PriceChain
    network: Network | None
    """Its hidden layer, if there is one, adds learned regressors to the random ones for the correction."""
    correction_coefficients: Singles
    """Shape [2, nodes, correction regressors]; correction of the advantage, in units of the scale."""
    end_value_fraction: Floats
    """Shape [nodes]; worth of a state at a day's end, in EUR per EUR/MWh of that day's mean expected price."""

    def correction_regressors(self, features: Singles, regressors: Singles) -> Singles:
        """The full map's regressors [n, full], and the network's hidden layer of the features beside them."""
        if self.network is None:
            return regressors
        return np.concatenate([regressors, hidden_rows(self.network, features)], axis=1)


@dataclass(frozen=True, slots=True)
class DayOutline:
    """The quarter-hours of whole Brussels days, and what was known of them at each day's midnight."""

    starts: Numbers
    """Shape [n]; epoch minutes."""
    day_start: Numbers
    """Shape [days + 1]; row at which each day begins, and the end."""
    encoded: Encoded
    """As of midnight, about each quarter-hour."""


def outline_days(knowledge: Knowledge, day_numbers: Numbers) -> DayOutline:
    """Whole Brussels days [days], ascending, seen from their midnights; none may begin after the knowledge ends."""
    midnights = [(brussels_midnight(int(day)), brussels_midnight(int(day) + 1)) for day in day_numbers]
    days = [quarter_hour_grid(start, end) for start, end in midnights]
    starts = np.concatenate(days)
    known_from = np.concatenate([np.full(len(day), day[0]) for day in days])
    encoded = MarketFeatures().encode_scaled(knowledge.looking_back(known_from, starts))
    return DayOutline(starts, np.cumsum([0, *(len(day) for day in days)]), encoded)


def plan_days(member: Member, outline: DayOutline, nodes: int) -> DayPlans:
    """A member's plan of the outlined days."""
    regressors = member.plan_map(outline.encoded.features[:, :PLAN_FEATURES])
    expected = predict_price(outline.encoded, regressors, member.plan_coefficients)
    levels = np.add.reduceat(expected, outline.day_start[:-1]) / np.diff(outline.day_start)
    return DayPlans(
        expected_price_eur_mwh=expected,
        scale_eur_mwh=outline.encoded.scale_eur_mwh,
        day_start=outline.day_start,
        end_value_eur=np.maximum(levels, 0.0)[:, None] * member.end_value_fraction.reshape(1, nodes),
    )


def slow_regressors(encoded: Encoded, fast: Floats) -> Singles:
    """A constant, the prices just past, and the fast gap: what the slow gap is forecast from, shape [n, regressors]."""
    recent = encoded.features[:, PLAN_FEATURES : PLAN_FEATURES + len(SHORT)]
    return np.column_stack([np.ones(len(fast)), recent, fast]).astype(np.float32)


def slow_gaps(encoded: Encoded, fast: Floats, coefficients: Singles) -> Floats:
    """Forecast of the coming hours' departure from plan, beyond what the fast gap implies, shape [n]."""
    return row_products(slow_regressors(encoded, fast), coefficients)


def predict_price(encoded: Encoded, regressors: Singles, coefficients: Singles) -> Floats:
    """Base plus scale times the regression, EUR/MWh, shape [n]."""
    return encoded.base_eur_mwh + encoded.scale_eur_mwh * row_products(regressors, coefficients)


@numba.njit(cache=True)
def row_products(rows: Singles, coefficients: Singles) -> Floats:
    """Rows [n, d] times coefficients [d], each row on its own so that its bits do not depend on the others."""
    out = np.empty(rows.shape[0])
    for i in range(rows.shape[0]):
        total = 0.0
        for j in range(rows.shape[1]):
            total += rows[i, j] * coefficients[j]
        out[i] = total
    return out


@dataclass(frozen=True, slots=True)
class _MemberView:
    """A member's reading of the market at T times."""

    regressors: Singles
    """Shape [T, correction regressors]."""
    correction: Singles
    """Shape [2, nodes, correction regressors]."""
    forecast_eur_mwh: Floats
    """Shape [T]."""
    continuation_eur: Singles
    """Shape [T, 2, nodes]."""


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The policy's reading of the market at T times."""

    lattice: Lattice
    encoded: Encoded
    members: tuple[_MemberView, ...]
    critic: Network | None

    def intent(self, at: int, state: BatteryState) -> Intent:
        """Charge or discharge at rated power, whichever has the larger positive advantage; else idle."""
        charge = discharge = 0.0
        for member in self.members:
            advantages = self._advantages(member, at, state)
            charge += advantages[0] / len(self.members)
            discharge += advantages[1] / len(self.members)
        law = self.lattice.law
        if charge > 0.0 and charge >= discharge:
            return Intent(-law.charge_power_mw, "charging_beats_idling", charge, discharge)
        if discharge > 0.0:
            return Intent(law.discharge_power_mw, "discharging_beats_idling", charge, discharge)
        return Intent(0.0, "idling_is_best", charge, discharge)

    def _advantages(self, member: _MemberView, at: int, state: BatteryState) -> tuple[float, float]:
        return _advantages_at(
            self.lattice,
            member.regressors[at],
            member.correction,
            member.forecast_eur_mwh[at],
            self.encoded.scale_eur_mwh[at],
            member.continuation_eur[at],
            state.soc_mwh,
            state.cycles_used,
        )

    def outcomes_eur(self, at: int, state: BatteryState) -> Floats | None:
        """Quantiles of the profit to the day's end for charge, idle, discharge; see `quantile_critic`."""
        if self.critic is None:
            return None
        law = self.lattice.law
        soc_share = (state.soc_mwh - law.min_soc_mwh) / (law.max_soc_mwh - law.min_soc_mwh)
        cycle_share = state.cycles_used / law.max_cycles_per_day if self.lattice.cycle_nodes > 1 else 0.0
        scale = float(self.encoded.scale_eur_mwh[at])
        return critic_outcomes_eur(self.critic, self.encoded.features[at], (soc_share, cycle_share), scale)

    def node_advantages_eur(self) -> Singles:
        """Advantages of charging and discharging at every node, shape [T, 2, nodes]; for learning, not for deciding."""
        total = np.zeros((len(self.encoded.scale_eur_mwh), 2, self.lattice.nodes), dtype=np.float32)
        scale = self.encoded.scale_eur_mwh[:, None, None]
        for member in self.members:
            cash = member.forecast_eur_mwh[:, None, None] * self.lattice.energy_mwh - self.lattice.wear_eur
            flat = member.correction.reshape(-1, member.correction.shape[2])
            learned = (member.regressors @ flat.T).reshape(total.shape)
            total += (cash + member.continuation_eur + scale * learned) / len(self.members)
        return total


@dataclass(frozen=True, slots=True)
class ArbitragePolicy:
    """The learned policy for one kind of battery."""

    battery: Battery
    size: LatticeSize
    members: tuple[Member, ...]
    sources: tuple[str, ...]
    """Quantities of the market that it was trained on; it reads these and no others."""
    critic: Network | None = None
    """Tells how the day may turn out; see `quantile_critic`."""
    name: str = "learned"

    def read(self, knowledge: Knowledge, battery: Battery) -> PolicyView:
        """Encode, plan the days and forecast.

        Raises BadInput if the battery is not the one trained for, or the market lacks what was trained on.
        """
        refuse([*_mismatches(self.battery, battery), *_missing(self.sources, knowledge)])
        knowledge = knowledge.only(self.sources)
        lattice = make_lattice(battery, MINUTES_PER_QUARTER_HOUR, self.size)
        encoded = MarketFeatures().encode_scaled(knowledge)
        days = np.unique(brussels_day_numbers(knowledge.times))
        outline = outline_days(knowledge, days)
        rows = np.searchsorted(outline.starts, knowledge.times, side="right") - 1
        members = tuple(self._read_member(member, lattice, encoded, outline, rows) for member in self.members)
        return PolicyView(lattice, encoded, members, self.critic)

    def _read_member(
        self, member: Member, lattice: Lattice, encoded: Encoded, outline: DayOutline, rows: Numbers
    ) -> _MemberView:
        plans = plan_days(member, outline, lattice.nodes)
        regressors = member.full_map(encoded.features)
        forecast = predict_price(encoded, regressors, member.forecast_coefficients)
        fast = (forecast - plans.expected_price_eur_mwh[rows]) / plans.scale_eur_mwh[rows]
        slow = slow_gaps(encoded, fast, member.slow_coefficients)
        continuation = continuation_advantages(lattice, member.chain, plans, Questions(rows, fast, slow))
        corrected = member.correction_regressors(encoded.features, regressors)
        return _MemberView(corrected, member.correction_coefficients, forecast, continuation)


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
        asked = -lattice.law.charge_power_mw if action == CHARGE else lattice.law.discharge_power_mw
        if abs(clip_power_mw(lattice.law, soc_mwh, cycles_used, asked, QUARTER_HOUR_H)) < _LEAST_POWER_MW:
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
                cash = lattice.energy_mwh[action, node] * forecast - lattice.wear_eur[action, node]
                total += share * (cash + continuation[action, node] + scale * learned)
        result[action] = total
    return result[CHARGE], result[DISCHARGE]


def _missing(sources: tuple[str, ...], knowledge: Knowledge) -> list[Fault]:
    """Quantities that the policy was trained on and the market does not carry."""
    return [Fault(name, "the policy was trained with it; give it") for name in sources if not knowledge.has(name)]


def _mismatches(trained: Battery, given: Battery) -> list[Fault]:
    """Where the battery differs from the one that the policy was trained for."""
    fields = Battery.__dataclass_fields__
    return [
        Fault(name, f"the policy was trained for {getattr(trained, name)}, not {getattr(given, name)}")
        for name in fields
        if getattr(trained, name) != getattr(given, name)
    ]
