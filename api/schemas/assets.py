"""Assets on the wire: a battery in the service's care, and what people order about it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas.batteries import BatteryIn, Positive, StateIn
from api.schemas.examples import ASSET, OVERRIDE
from api.schemas.wire import NAME_PATTERN, Name, Text, WholeMinute, Wire

LARGEST_ASSET_PAGE = 1000
OverrideWord = Literal["setpoint", "watch_only", "automatic"]


class AssetSpec(Wire):
    """What an asset is, apart from its state."""

    battery: BatteryIn
    ramp_mw_per_min: Annotated[Positive | None, Field(description="How fast its power may change.")] = None
    challenger_policy_id: Annotated[
        Name | None, Field(description="A policy that decides in the shadow: logged and scored, never acted on.")
    ] = None


class AssetIn(AssetSpec):
    """An asset as the client describes it."""

    model_config = ConfigDict(json_schema_extra={"examples": [ASSET]})

    policy_id: Annotated[Name | None, Field(description="Default: the service's.")] = None
    state: StateIn
    version: Annotated[
        int | None, Field(ge=0, description="The version that this replaces, 0 for none; absent: any.")
    ] = None


class AssetStateOut(Wire):
    """Where the battery stood last."""

    soc_fraction: float
    soc_mwh: float
    cycles_used: Annotated[float, Field(description="Of the Brussels day `cycle_day`.")]
    cycle_day: dt.date
    power_mw: float
    as_of: dt.datetime


class OverrideIn(Wire):
    """A person's order: a power, or to decide without acting, until a time; or that the policy decides again."""

    model_config = ConfigDict(json_schema_extra={"examples": [OVERRIDE]})

    kind: OverrideWord
    power_mw: Annotated[float | None, Field(description="Of a setpoint, discharge positive.")] = None
    until: Annotated[WholeMinute | None, Field(description="When the policy decides again.")] = None
    reason: Annotated[Text, Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _whole(self) -> OverrideIn:
        if (self.kind == "setpoint") != (self.power_mw is not None):
            raise ValueError("power_mw belongs to a setpoint, which needs it")
        if (self.kind != "automatic") != (self.until is not None):
            raise ValueError("until belongs to setpoint and watch_only, which need it")
        return self


class OverrideOut(Wire):
    """An order in force."""

    kind: OverrideWord
    power_mw: float | None
    set_at: dt.datetime
    until: dt.datetime
    principal: str
    reason: str


class AssetOut(AssetSpec):
    """An asset as the service knows it."""

    asset_id: str
    version: int
    policy_id: str | None
    state: AssetStateOut
    override: OverrideOut | None
    changed_at: dt.datetime


class AssetQuery(BaseModel):
    """Which assets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: Annotated[str | None, Field(pattern=NAME_PATTERN, description="How their names begin.")] = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_ASSET_PAGE)] = 100
    cursor: Annotated[str | None, Field(pattern=NAME_PATTERN, description="`next_cursor` of the page before.")] = None


class AssetList(Wire):
    """Assets, by name."""

    assets: list[AssetOut]
    next_cursor: Annotated[str | None, Field(description="Null on the last page.")]
