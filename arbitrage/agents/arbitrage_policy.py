"""The learned policy as it is served: numbers and compiled loops, no learner and no torch.

Law
- The advantage of an action over idling is what the price chain says, corrected by what realised advantages taught:
  energy x one-step price forecast - wear + continuation under the chain + scale x ridge correction.
- The larger positive advantage is taken, else idle. Members of an ensemble are averaged before choosing.
- A decision depends on its own time and state only: a year read at once and one live decision agree to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numba
import numpy as np
import numpy.typing as npt

from arbitrage.agents.lattice import CHARGE, DISCHARGE, Lattice, LatticeSize, cell, make_lattice
from arbitrage.agents.member import DayOutline, Member, outline_days, plan_days, predict_price, slow_gaps
from arbitrage.agents.minute_heads import Gaps, forecast_minutes
from arbitrage.agents.networks import Network
from arbitrage.agents.policy import Intent
from arbitrage.agents.price_chain import Questions, continuation_advantages, gap_that_implies
from arbitrage.agents.quantile_critic import outcomes_eur as critic_outcomes_eur
from arbitrage.battery import Battery, BatteryState, clip_power_mw
from arbitrage.errors import Fault, refuse
from arbitrage.market.tapes import Knowledge
from arbitrage.observation import Encoded, FeatureSet, MarketFeatures
from arbitrage.quarter_hour import (
    MINUTES_PER_QUARTER_HOUR,
    QUARTER_HOUR_H,
    brussels_day_numbers,
    quarter_hour_starts,
)

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_LEAST_POWER_MW = 1e-9


@dataclass(frozen=True, slots=True)
class _MemberView:
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
class PolicyView:
    """The policy's reading of the market at T times in Q quarter-hours."""

    lattice: Lattice
    encoded: Encoded
    """Of the Q quarter-hours."""
    quarter: Numbers
    """Shape [T]; which of them each time lies in."""
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
                cash = price * energy - wear
                total[at] += share * (cash + member.continuation_eur[at] + learned[self.quarter[at]])
        return total


@dataclass(frozen=True, slots=True)
class _Reading:
    """The market encoded at T times in Q quarter-hours, for every member."""

    times: Numbers
    """Shape [T]."""
    encoded: Encoded
    """Of the Q quarter-hours."""
    quarter: Numbers
    """Shape [T]; which of them each time lies in."""
    outline: DayOutline
    rows: Numbers
    """Shape [Q]; row of the outline that holds each quarter-hour."""
    running: Singles | None
    """Shape [T, running features]; None where the minutes are not looked at."""


@dataclass(frozen=True, slots=True)
class ArbitragePolicy:
    """The learned policy for one kind of battery."""

    battery: Battery
    size: LatticeSize
    members: tuple[Member, ...]
    sources: tuple[str, ...]
    """Quantities of the market that it was trained on; it reads these and no others."""
    features: MarketFeatures = field(default_factory=MarketFeatures)
    publication_delay_min: int = 0
    """Of the records that it was trained on: how late the first record of a quarter-hour is expected."""
    critic: Network | None = None
    """Tells how the day may turn out; see `quantile_critic`."""
    name: str = "learned"

    @property
    def step_min(self) -> int:
        """Minutes between the decisions that it was trained for."""
        return 1 if self.features.running_names else MINUTES_PER_QUARTER_HOUR

    def read(self, knowledge: Knowledge, battery: Battery) -> PolicyView:
        """Encode, plan the days and forecast.

        Raises BadInput if the battery is not the one trained for, or the market lacks what was trained on.
        """
        refuse([*_mismatches(self.battery, battery), *_missing(self.sources, knowledge)])
        knowledge = knowledge.only(self.sources)
        lattice = make_lattice(battery, MINUTES_PER_QUARTER_HOUR, self.size)
        reading = self._encode(knowledge)
        members = tuple(self._read_member(member, lattice, reading) for member in self.members)
        return PolicyView(lattice, reading.encoded, reading.quarter, members, self.critic)

    def _encode(self, knowledge: Knowledge) -> _Reading:
        if self.features.feature_set is FeatureSet.QUARTER_HOUR:
            quarters, quarter = knowledge, np.arange(len(knowledge.times))
        else:
            starts, quarter = np.unique(quarter_hour_starts(knowledge.times), return_inverse=True)
            quarters = knowledge.looking_back(starts, starts)
        encoded = self.features.encode_quarters(quarters)
        outline = outline_days(self.features, knowledge, np.unique(brussels_day_numbers(knowledge.times)))
        rows = np.searchsorted(outline.starts, quarters.times, side="right") - 1
        running = None
        if self.features.running_names:
            running = self.features.encode_running(knowledge, encoded.at(quarter))
        return _Reading(knowledge.times, encoded, quarter, outline, rows, running)

    def _read_member(self, member: Member, lattice: Lattice, reading: _Reading) -> _MemberView:
        encoded, rows, quarter = reading.encoded, reading.rows, reading.quarter
        plans = plan_days(member, reading.outline, lattice.nodes)
        regressors = member.full_map(encoded.features)
        price = predict_price(encoded, regressors, member.forecast_coefficients)
        fast = (price - plans.expected_price_eur_mwh[rows]) / plans.scale_eur_mwh[rows]
        gaps = Gaps(price, fast, slow_gaps(self.features, encoded, fast, member.slow_coefficients))
        forecast, questions = price, Questions(rows, gaps.fast, gaps.slow)
        if member.minutes is not None and reading.running is not None:
            minute = reading.times % MINUTES_PER_QUARTER_HOUR
            running, at = reading.running, encoded.at(quarter)
            made = forecast_minutes(member.minutes, self.features, at, gaps.at(quarter), running, minute)
            silent = (running[:, 0] == 0.0) & (minute > self.publication_delay_min)
            forecast = np.where(silent, price[quarter], made.price_eur_mwh)
            equivalent = np.where(silent, fast[quarter], gap_that_implies(member.chain, made.next_gap))
            questions = Questions(rows[quarter], equivalent, gaps.slow[quarter])
        continuation = continuation_advantages(lattice, member.chain, plans, questions)
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
