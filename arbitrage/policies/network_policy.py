"""A policy that is a neural network, of any learner: numbers and compiled loops, no learner and no torch.

Contract
- It sees the market features of its set, then what `encode_battery` says of the battery. Energy committed in the
  running quarter-hour and the day's profit are not known here, so a policy by the minute sees the reference's three.
- A critic says what may come of each action from now on; a discrete actor, if there is one, chooses; a continuous one
  says the share of rated power. With a risk preference the critic's outcomes choose: mean + weight x measure.
- A decision depends on its own time and state only, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numba
import numpy as np

from arbitrage.arrays import Floats, Singles
from arbitrage.battery import Battery, BatteryState
from arbitrage.errors import BadInput, Fault, refuse
from arbitrage.features.battery_state import BATTERY_FEATURES, encode_battery
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.coverage import Need
from arbitrage.market.point_in_time import KnownMarket
from arbitrage.policies.compatibility import mismatches, missing_sources
from arbitrage.policies.networks import affine
from arbitrage.policies.protocol import Intent, RiskChoice, TrainedInputs
from arbitrage.quarter_hour import MINUTES_PER_QUARTER_HOUR, step_faults
from arbitrage.risk import RiskPreference

_CHARGE, _IDLE, _DISCHARGE = 0, 1, 2
"""Positions of the discrete actions, as in the environment."""
_ACTIONS = 3


class Head(StrEnum):
    """What a critic's outputs are."""

    EXPECTED = "expected"
    """One value an action."""
    QUANTILE = "quantile"
    """Equally likely quantiles of each action's return, by action."""
    CATEGORICAL = "categorical"
    """Logits of shares on an even support, by action."""


class PlainNetwork(NamedTuple):
    """Linear layers with ReLU between, on standardised and clipped inputs."""

    mean: Singles
    """Shape [inputs]."""
    std: Singles
    limit: float
    """Standard deviations beyond which an input is taken as just far."""
    weights: tuple[Singles, ...]
    """Shape [inputs, outputs] each."""
    biases: tuple[Singles, ...]


@numba.njit(cache=True)
def outputs_of(network: PlainNetwork, inputs: Singles) -> Singles:
    """Outputs of one row of inputs [inputs]."""
    limit = np.float32(network.limit)
    values: Singles = np.minimum(np.maximum((inputs - network.mean) / network.std, -limit), limit)
    last = len(network.weights) - 1
    for layer in range(last + 1):
        values = affine(values, network.weights[layer], network.biases[layer])
        if layer < last:
            values = np.maximum(values, np.float32(0.0))
    return values


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """See the module's head. Raises BadInput for a make-up that cannot decide."""

    battery: Battery
    sources: tuple[str, ...]
    """Quantities of the market that it was trained on; it reads these and no others."""
    features: MarketFeatures
    state_features: FeatureSet
    """Whose battery features it sees: the reference's, or those of quarter-hours."""
    step_min: int
    critics: tuple[PlainNetwork, ...] = ()
    """Whose outcomes count alike."""
    head: Head = Head.EXPECTED
    support: tuple[float, float] = (0.0, 0.0)
    """Of a categorical critic, in the learner's unit."""
    actor: PlainNetwork | None = None
    continuous: bool = False
    reward_scale: float = 1.0
    """Learner's unit per EUR."""
    preference: RiskPreference = field(default_factory=RiskPreference)
    publication_delay_min: int = 0
    name: str = "network"

    def __post_init__(self) -> None:
        rules = {
            "state features": (self._state_is_known(), f"{self.state_features} need what a policy does not know"),
            "networks": (bool(self.critics) or self.actor is not None, "there is neither a critic nor an actor"),
            "critics": (not (self.continuous and self.critics), "of continuous actions are not served"),
            "risk preference": (self._can_prefer(), f"{self.name} knows no outcomes to weigh"),
        }
        broken = [Fault(name, message) for name, (holds, message) in rules.items() if not holds]
        refuse([*broken, *step_faults(self.step_min), *self._misfits()])

    def _can_prefer(self) -> bool:
        return self.preference.weight == 0.0 or self.gives_outcomes

    @property
    def needs(self) -> tuple[Need, ...]:
        """Those of the encoder, as far as it was trained with them."""
        return self.features.needs(self.sources)

    @property
    def trained_battery(self) -> Battery | None:
        """The battery; it decides for no other."""
        return self.battery

    @property
    def takes_risk_aversion(self) -> bool:
        """Never: it has no risk head."""
        return False

    @property
    def gives_outcomes(self) -> bool:
        """Whether its critics know distributions."""
        return bool(self.critics) and self.head is not Head.EXPECTED

    @property
    def risk(self) -> RiskChoice:
        """How its risk is set."""
        return RiskChoice(None, self.preference if self.preference.weight != 0.0 else None)

    def with_risk(self, choice: RiskChoice) -> NetworkPolicy:
        """The same policy with its risk so set; see `with_risk_preference`. Raises BadInput for a risk aversion."""
        if choice.risk_aversion:
            raise BadInput([Fault("risk_aversion", f"{self.name} has no risk head; use --risk-preference instead")])
        return self if choice.preference is None else self.with_risk_preference(choice.preference)

    def _misfits(self) -> list[Fault]:
        """Networks that have other inputs or outputs than they are read with."""
        inputs = len(self.features.names) + len(BATTERY_FEATURES[self.state_features])
        networks = [("critic", critic, self.head is Head.EXPECTED) for critic in self.critics]
        networks += [] if self.actor is None else [("actor", self.actor, not self.continuous)]
        sizes = [(name, len(net.mean), len(net.biases[-1]), single) for name, net, single in networks]
        faults = [Fault(name, f"has {seen} inputs, not {inputs}") for name, seen, _, _ in sizes if seen != inputs]
        for name, _, outputs, single in sizes:
            if outputs != _ACTIONS if single else name == "critic" and outputs % _ACTIONS:
                faults.append(Fault(name, f"has {outputs} outputs for {_ACTIONS} actions"))
        return faults

    def _state_is_known(self) -> bool:
        if self.state_features is FeatureSet.QUARTER_HOUR:
            return self.step_min == MINUTES_PER_QUARTER_HOUR
        return self.state_features is FeatureSet.REFERENCE

    def with_risk_preference(self, preference: RiskPreference) -> NetworkPolicy:
        """The same, choosing by mean + weight x measure of the critic's outcomes. Raises BadInput if it has none."""
        return replace(self, preference=preference)

    def bind(self, known: KnownMarket, battery: Battery) -> NetworkView:
        """Encode the market.

        Raises BadInput if the battery is not the one trained for, or the market lacks what was trained on.
        """
        refuse([*mismatches(self.battery, battery), *missing_sources(self.sources, known)])
        known = known.only(self.sources)
        minute = (known.times % MINUTES_PER_QUARTER_HOUR) / MINUTES_PER_QUARTER_HOUR
        return NetworkView(self, self.features.encode(known), minute)


@dataclass(frozen=True, slots=True)
class NetworkView:
    """The policy's reading of the market at T times."""

    policy: NetworkPolicy
    features: Singles
    """Shape [T, market features]."""
    minute_fraction: Floats
    """Shape [T]."""

    def intent(self, at: int, state: BatteryState, profit_today_eur: float = 0.0) -> Intent:  # noqa: ARG002 (protocol)
        """The actor's action, or the one whose outcomes are worth most."""
        policy, inputs = self.policy, self._inputs(at, state)
        law = policy.battery.law
        if policy.continuous and policy.actor is not None:
            share = float(np.tanh(outputs_of(policy.actor, inputs)[0]))
            return Intent(share * (law.discharge_power_mw if share > 0 else law.charge_power_mw), "actor_chooses")
        worth = self._worth_eur(inputs)
        scores, reason = worth, "best_outcomes"
        if policy.actor is not None and policy.preference.weight == 0.0:
            scores, reason = outputs_of(policy.actor, inputs).astype(np.float64), "actor_chooses"
        if not np.isfinite(scores).all():
            return Intent(math.nan, reason)
        power = (-law.charge_power_mw, 0.0, law.discharge_power_mw)[int(np.argmax(scores))]
        if not policy.critics:
            return Intent(power, reason)
        return Intent(power, reason, float(worth[_CHARGE] - worth[_IDLE]), float(worth[_DISCHARGE] - worth[_IDLE]))

    def outcomes_eur(self, at: int, state: BatteryState) -> Floats | None:
        """Equally likely returns from now on by the critic, ascending, shape [3, outcomes]; None where it knows means.

        They are discounted as the learner's were, and reach as far as it looked ahead.
        """
        if not self.policy.critics or self.policy.head is Head.EXPECTED:
            return None
        return np.sort(self._outcomes(self._inputs(at, state)), axis=1)

    def inputs(self, at: int) -> TrainedInputs | None:
        """The market features, on the scale of the first network that reads them."""
        network = self.policy.critics[0] if self.policy.critics else self.policy.actor
        if network is None:
            return None
        return TrainedInputs(self.policy.features.names, self.features[at], network.mean, network.std)

    def _inputs(self, at: int, state: BatteryState) -> Singles:
        policy, count = self.policy, self.features.shape[1]
        inputs = np.empty((1, count + len(BATTERY_FEATURES[policy.state_features])), dtype=np.float32)
        inputs[0, :count] = self.features[at]
        soc_mwh, cycles_used, nothing = np.array([state.soc_mwh]), np.array([state.cycles_used]), np.zeros(1)
        minute, own = float(self.minute_fraction[at]), inputs[:, count:]
        encode_battery(policy.state_features, policy.battery, soc_mwh, cycles_used, nothing, nothing, minute, own)
        row: Singles = inputs[0]
        return row

    def _worth_eur(self, inputs: Singles) -> Floats:
        """What each action is worth under the preference, shape [3]."""
        policy = self.policy
        if not policy.critics:
            return np.zeros(_ACTIONS)
        if policy.head is Head.CATEGORICAL or policy.preference.weight != 0.0:
            return policy.preference.score_eur(self._outcomes(inputs))
        return np.asarray(self._mean_output(inputs).reshape(_ACTIONS, -1).mean(axis=1) / policy.reward_scale)

    def _mean_output(self, inputs: Singles) -> Floats:
        raw = [outputs_of(critic, inputs).astype(np.float64) for critic in self.policy.critics]
        return np.asarray(np.mean(raw, axis=0))

    def _outcomes(self, inputs: Singles) -> Floats:
        """Equally likely outcomes in EUR, shape [3, outcomes]."""
        policy = self.policy
        raw = np.stack([outputs_of(critic, inputs).astype(np.float64) for critic in policy.critics])
        raw = raw.reshape(len(policy.critics), _ACTIONS, -1)
        if policy.head is Head.QUANTILE:
            return np.asarray(np.moveaxis(raw, 0, 1).reshape(_ACTIONS, -1) / policy.reward_scale)
        shares = np.exp(raw - raw.max(axis=2, keepdims=True))
        shares = (shares / shares.sum(axis=2, keepdims=True)).mean(axis=0)
        return _outcomes_of_shares(shares, policy.support) / policy.reward_scale


def _outcomes_of_shares(shares: Floats, support: tuple[float, float]) -> Floats:
    """Equally likely outcomes [3, n] whose mean is that of the shares [3, n] on an even support.

    Each n-th of the mass is represented by its own mean position, so mean and tails are not rounded to the support.
    """
    count = shares.shape[1]
    positions = np.linspace(*support, count)
    out = np.empty(shares.shape)
    edges = np.linspace(0.0, 1.0, count + 1)
    for action, own in enumerate(shares):
        reached = np.concatenate(([0.0], np.cumsum(own)))
        reached /= reached[-1]
        worth = np.concatenate(([0.0], np.cumsum(np.diff(reached) * positions)))
        out[action] = np.diff(np.interp(edges, reached, worth)) * count
    return out
