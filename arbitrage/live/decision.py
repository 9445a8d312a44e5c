"""What the service says of one interval: everything that a client needs to act safely, and where it comes from.

Contract
- Power is positive when discharging. Times are epoch minutes here and ISO 8601 UTC in the contract.
- A number that cannot be known is None, never a guess: a rule has no distribution, an override expects none.
- After `valid_until` the decision is void and the battery holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from arbitrage.battery import BatteryState
from arbitrage.dispatch import ShieldRule
from arbitrage.live.quality import Finding, Judgement, Params

SCHEMA_VERSION = "1.0"
SIGN_CONVENTION = "discharge_positive"


class Mode(StrEnum):
    """Who decides."""

    POLICY = "policy"
    OVERRIDE = "override"
    """A person has set the power, until a time."""
    WATCH_ONLY = "watch_only"
    """The policy decides and is logged; the battery is asked to hold."""


class LiveRule(StrEnum):
    """Bounds of the service beside those of the battery law, which are `dispatch.ShieldRule`."""

    RAMP = "ramp"
    UNFAMILIAR = "unfamiliar"
    """Nothing like it was met in training, and the cautious reading does not agree."""
    WATCH_ONLY = "watch_only"
    EXPIRED = "expired"
    """The interval is over: nothing is decided for it any more."""


class Level(StrEnum):
    """What each level of fallback does; the number is its place in the ladder."""

    POLICY = "policy"
    LAST_GOOD_DATA = "policy_on_last_good_data"
    RULE = "rule"
    HOLD = "hold"

    @property
    def number(self) -> int:
        """0 to 3, less trusting as it grows."""
        return _LEVEL_NUMBERS[self]


_LEVEL_NUMBERS = {level: number for number, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class AssetState:
    """A battery as it stands when its next interval is decided."""

    battery: BatteryState
    """Energy in store, and cycles used since Brussels midnight."""
    profit_today_eur: float = 0.0
    """Made since Brussels midnight, as far as it is known."""
    power_mw: float = 0.0
    """What flows now, discharge positive; a ramp limit counts from it."""


@dataclass(frozen=True, slots=True)
class Override:
    """A power that a person has set, discharge positive."""

    power_mw: float
    until: int
    """Epoch minute; an interval that begins then or later is the policy's again."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What people want of an asset beside what its policy decides."""

    override: Override | None = None
    watch_only: bool = False


FOLLOW = Orders()
"""No order is in force."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How the profit to Brussels midnight may turn out: cash less wear, and what energy left then is worth."""

    mean_eur: float
    p05_eur: float
    p50_eur: float
    p95_eur: float

    def contract(self) -> dict[str, float]:
        """As the decision contract has it."""
        return {"mean": self.mean_eur, "p05": self.p05_eur, "p50": self.p50_eur, "p95": self.p95_eur}


@dataclass(frozen=True, slots=True)
class Alternative:
    """An action that was not taken."""

    action: str
    profit_eur: Distribution


@dataclass(frozen=True, slots=True)
class Shield:
    """Whether something stands between what was asked for and what is set."""

    requested_mw: float
    rule: ShieldRule | LiveRule | None = None

    @property
    def applied(self) -> bool:
        """Whether any rule changed the power."""
        return self.rule is not None


@dataclass(frozen=True, slots=True)
class Reason:
    """A code, and the numbers that belong to it."""

    code: str
    params: Params


@dataclass(frozen=True, slots=True)
class RiskInWords:
    """How risk was set for this decision."""

    aversion: float = 0.0
    """Risk aversion; 0 is neutral."""
    measure: str | None = None
    level: float | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """Which policy decides."""

    policy_id: str
    sha256: str | None = None
    """Digest of its tensors; None for a rule."""


@dataclass(frozen=True)
class Frame:
    """What all decisions of one interval have in common, whatever the battery's state."""

    valid_from: int
    """Epoch minute at which the interval begins and up to which the market was known."""
    valid_until: int
    resets_at: int
    """Epoch minute of the next Brussels midnight, when the cycle count restarts."""
    level: Level
    fallback_reason: str | None
    judgement: Judgement
    risk: RiskInWords
    policy: PolicyIdentity
    warnings: tuple[Finding, ...]
    price_seen_eur_mwh: float | None
    """Newest price known of this quarter-hour, or else of the one before: what a reconciliation begins with."""
    seen: Params
    """Prices that reasons speak of."""

    @cached_property
    def contract(self) -> dict[str, Any]:
        """The parts of the decision contract that do not rest on the battery's state; shared, so not to be changed."""
        level, judgement = self.level, self.judgement
        data_as_of = None if judgement.data_as_of is None else iso(judgement.data_as_of)
        return {
            "data_as_of": data_as_of,
            "valid_from": iso(self.valid_from),
            "valid_until": iso(self.valid_until),
            "sign_convention": SIGN_CONVENTION,
            "risk": {
                "aversion": self.risk.aversion,
                "measure": self.risk.measure,
                "level": self.risk.level,
                "weight": self.risk.weight,
            },
            "fallback": {"level": level.number, "name": level.value, "reason": self.fallback_reason},
            "data_quality": {
                "imbalance_price": judgement.quality.value,
                "age_s": judgement.age_s,
                "findings": [finding.contract() for finding in judgement.findings],
            },
            "policy": {"id": self.policy.policy_id, "sha256": self.policy.sha256},
        }


@dataclass(frozen=True, slots=True)
class LiveDecision:
    """What one battery is to do during one interval."""

    frame: Frame
    state: AssetState
    """It was decided in."""
    after: BatteryState
    """Where the interval ends if the power flows as set."""
    power_mw: float
    wear_eur: float
    mode: Mode
    shield: Shield
    reasons: tuple[Reason, ...]
    profit_eur: Distribution | None
    """Of the action that is set."""
    alternatives: tuple[Alternative, ...]
    cycle_budget: float | None
    capacity_mwh: float
    warnings: tuple[Finding, ...] = ()
    """Of this battery, beside those of the frame."""

    @property
    def action(self) -> str:
        """`charge`, `idle` or `discharge`."""
        return action_of(self.power_mw)

    def contract(self) -> dict[str, Any]:
        """The decision contract but for `decision_id`, `asset_id` and `generated_at`, which the service adds.

        What it says of the frame is that of all decisions that share the frame, not copied deeply.
        """
        capacity = self.capacity_mwh
        return {
            "schema_version": SCHEMA_VERSION,
            **self.frame.contract,
            "setpoint": {
                "action": self.action,
                "power_mw": self.power_mw,
                "charge_mw": max(0.0, -self.power_mw),
                "discharge_mw": max(0.0, self.power_mw),
            },
            "expected": {
                "soc_fraction_start": self.state.battery.soc_mwh / capacity,
                "soc_fraction_end": self.after.soc_mwh / capacity,
                "profit_eur": None if self.profit_eur is None else self.profit_eur.contract(),
            },
            "alternatives": [{"action": a.action, "profit_eur": a.profit_eur.contract()} for a in self.alternatives],
            "cycles": {
                "used_today": self.state.battery.cycles_used,
                "budget": self.cycle_budget,
                "resets_at": iso(self.frame.resets_at),
            },
            "mode": self.mode.value,
            "shield": {
                "applied": self.shield.applied,
                "rule": None if self.shield.rule is None else self.shield.rule.value,
                "requested_mw": self.shield.requested_mw,
            },
            "reasons": [{"code": reason.code, "params": dict(reason.params)} for reason in self.reasons],
            "warnings": [finding.contract() for finding in (*self.frame.warnings, *self.warnings)],
        }


def action_of(power_mw: float) -> str:
    """`charge`, `idle` or `discharge`."""
    return "charge" if power_mw < 0.0 else "discharge" if power_mw > 0.0 else "idle"


@lru_cache(maxsize=1024)
def iso(minute: int) -> str:
    """An epoch minute as ISO 8601 UTC."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
