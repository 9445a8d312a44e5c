"""Backtests over HTTP: what may be asked, and how a job stands."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from api.schemas.batteries import BatteryIn
from api.schemas.decisions import RiskIn
from api.schemas.examples import BACKTEST
from api.schemas.wire import Name, QuarterHour, Wire

SAMPLE = "sample"
"""The embedded simulated market."""


class BacktestIn(Wire):
    """A strategy over past prices."""

    model_config = ConfigDict(json_schema_extra={"examples": [BACKTEST]})

    strategy: Annotated[Name, Field(description="Id of a policy, name of a rule, or perfect-foresight.")]
    data: Annotated[Name, Field(description="Name of a market of the service; `sample` is simulated.")] = SAMPLE
    start: QuarterHour | None = None
    end: QuarterHour | None = None
    days_of_month: Annotated[
        str | None,
        Field(
            pattern=r"^\d{1,2}(-\d{1,2})?$",
            examples=["26-31"],
            description="Default of a policy: the days that it neither learned from nor was chosen on.",
        ),
    ] = None
    soc_reset: Literal["daily", "never"] | None = None
    tune_days: Annotated[str, Field(pattern=r"^\d{1,2}(-\d{1,2})?$")] = "21-25"
    battery: Annotated[BatteryIn | None, Field(description="Default: the one the policy was trained for.")] = None
    risk: RiskIn | None = None
    strict: Annotated[
        bool, Field(description="Fail on days that the policy has seen, and spans beyond the data, instead of a note.")
    ] = False
    with_report: Annotated[bool, Field(description="Draw the tear sheet, with rivals beside the strategy.")] = True

    @model_validator(mode="after")
    def _in_order(self) -> BacktestIn:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must lie before end")
        return self


class BacktestOut(Wire):
    """A job as it stands."""

    job_id: str
    status: Literal["queued", "running", "done", "failed", "lost", "cancelled"]
    progress_fraction: float
    request: dict[str, Any]
    queued_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    summary: dict[str, Any] | None
    failure: Annotated[str | None, Field(description="Why there is no result, or why it has to run again.")]
    report: Annotated[str | None, Field(description="Path of the tear sheet, once it is drawn.")]


class BacktestList(Wire):
    """Jobs, newest first."""

    backtests: list[BacktestOut]
