"""The decision contract, version 1.0: what is asked and what the client needs to act safely."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from api.schemas.batteries import BatteryIn, StateIn
from api.schemas.examples import ASSET_REQUEST, DECISION, DECISION_REQUEST
from api.schemas.market import MarketIn
from api.schemas.wire import Name, WholeMinute, Wire
from arbitrage.policies.closed_form.risk_head import MOST_RISK_AVERSE
from arbitrage.risk import LEGAL_LEVELS, RiskMeasure, RiskPreference

SCHEMA_VERSION: Literal["1.0"] = "1.0"
Action = Literal["charge", "idle", "discharge"]


class RiskIn(Wire):
    """The risk of one decision: `aversion` sets the policy's risk head, the rest weighs each step's outcomes."""

    aversion: Annotated[float | None, Field(ge=0.0, le=MOST_RISK_AVERSE)] = None
    measure: Annotated[RiskMeasure, Field(strict=False)] = RiskMeasure.CVAR
    level: float = 0.1
    weight: Annotated[float | None, Field(ge=0.0, description="0: the plain mean; absent: as the policy is set.")] = (
        None
    )

    @model_validator(mode="after")
    def _level_of_measure(self) -> RiskIn:
        holds, range_in_words = LEGAL_LEVELS[self.measure]
        if not holds(self.level):
            raise ValueError(f"level of {self.measure} {range_in_words}, not {self.level}")
        return self

    def preference(self) -> RiskPreference | None:
        """What the domain calls it; None where nothing was asked."""
        return None if self.weight is None else RiskPreference(self.measure, self.level, self.weight)


class DecisionRequest(Wire):
    """Market, battery and state in the request; or an asset whose feed and state the service keeps."""

    model_config = ConfigDict(json_schema_extra={"examples": [DECISION_REQUEST, ASSET_REQUEST]})

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    asset_id: Name | None = None
    policy_id: Annotated[Name | None, Field(description="Default: the asset's, else the service's.")] = None
    at: Annotated[
        WholeMinute | None,
        Field(
            description="Beginning of the interval to decide; default: the coming minute by the service's clock. It is "
            "at most the beginning of the policy's next interval: up to 5 minutes beyond, the next one is decided with "
            "the warning `client_clock_ahead`, and what is later is refused. Up to 5 minutes earlier than the running "
            "interval is decided with the warning `client_clock_behind`; what is earlier needs `state`, is labelled "
            "`replay` and changes nothing that is kept."
        ),
    ] = None
    battery: Annotated[BatteryIn | None, Field(description="Default: the one the policy was trained for.")] = None
    state: StateIn | None = None
    market: MarketIn | None = None
    risk: RiskIn | None = None

    @model_validator(mode="after")
    def _whole(self) -> DecisionRequest:
        if self.market is not None and self.state is None:
            raise ValueError("market comes with state")
        if self.market is None and self.asset_id is None:
            raise ValueError("give market and state, or asset_id")
        return self


class Setpoint(Wire):
    """What to do."""

    action: Action
    power_mw: Annotated[float, Field(description="Grid side, discharge positive.")]
    charge_mw: Annotated[float, Field(ge=0.0)]
    discharge_mw: Annotated[float, Field(ge=0.0)]


class Profit(Wire):
    """The profit from the decision to Brussels midnight, as the policy's critic expects it."""

    mean: float
    p05: float
    p50: float
    p95: float


class Expected(Wire):
    """What the setpoint leads to; no profit where the policy has no idea of outcomes."""

    soc_fraction_start: float
    soc_fraction_end: float
    profit_eur: Profit | None


class Alternative(Wire):
    """An action that was not taken."""

    action: Action
    profit_eur: Profit | None


class Risk(Wire):
    """How risk was weighed; weight 0 and aversion 0 are risk-neutral."""

    aversion: float
    measure: str | None
    level: float | None
    weight: float


class Cycles(Wire):
    """Equivalent full cycles of the Brussels day."""

    used_today: float
    budget: float | None
    resets_at: dt.datetime


class Fallback(Wire):
    """0 policy; 1 policy on the last good data; 2 rule; 3 hold at 0 MW."""

    level: Annotated[int, Field(ge=0, le=3)]
    name: str
    reason: str | None


class Shield(Wire):
    """Whether less than was asked for is done, and by which bound."""

    applied: bool
    rule: str | None
    requested_mw: float


class Finding(Wire):
    """A code for programs, with the numbers behind it."""

    code: str
    params: dict[str, Any]


class DataQuality(Wire):
    """How the price feed was judged, and how old its newest record is."""

    imbalance_price: str
    age_s: float | None
    findings: list[Finding]


class PolicyRef(Wire):
    """The policy that decided."""

    id: str
    sha256: str | None


class _Decided(Wire):
    """What a decision and a preview of one say alike."""

    model_config = ConfigDict(json_schema_extra={"examples": [DECISION]})

    schema_version: Literal["1.0"]
    asset_id: str | None
    generated_at: dt.datetime
    data_as_of: dt.datetime | None
    valid_from: dt.datetime
    valid_until: dt.datetime
    sign_convention: Literal["discharge_positive"]
    setpoint: Setpoint
    expected: Expected
    alternatives: list[Alternative]
    risk: Risk
    cycles: Cycles
    mode: str
    fallback: Fallback
    shield: Shield
    reasons: list[Finding]
    data_quality: DataQuality
    policy: PolicyRef
    warnings: list[Finding]


class DecisionOut(_Decided):
    """A decision. After `valid_until` the client must hold at 0 MW."""

    decision_id: str


class PreviewOut(_Decided):
    """What would be decided. It has no `decision_id`, stands in no log, and is not to be acted on."""

    preview: Literal[True]
