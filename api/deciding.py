"""From a request to a decision, by way of `arbitrage.live`: nothing here has an opinion on power.

Law: the market is read once for all who ask about the same interval; a request only adds its battery's state.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.clock import next_step, utc_text
from api.market_records import market_digest, market_of
from api.policies import ServedPolicy
from api.problems import FaultItem, domain_faults, fault, from_bad_input, unusable
from api.schemas.decisions import DecisionRequest, RiskIn
from api.schemas.market import MarketIn
from api.service import Service
from arbitrage.agents.risk_setting import RiskChoice
from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.live.decider import LiveDecider, Prepared
from arbitrage.live.decision import AssetState, LiveDecision, Orders
from arbitrage.market.series import MarketSeries
from arbitrage.quarter_hour import epoch_minute

_LARGEST_CYCLES = 1_000.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision with what its record needs."""

    decision: LiveDecision
    contract: dict[str, Any]
    generated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is decided for, by which policy, from when on."""

    asset_id: str | None
    served: ServedPolicy
    battery: Battery
    state: AssetState
    orders: Orders
    time: int
    """Epoch minute at which the interval begins."""
    ramp_mw_per_min: float | None = None


async def decide_on_given_market(
    service: Service, subject: Subject, records: MarketIn, risk: RiskIn | None
) -> Answered:
    """Decide on the market of the request. Raises Problem."""
    delay_min = records.publication_delay_min
    if delay_min is None:
        delay_min = subject.served.publication_delay_min
    digest = market_digest(records, delay_min)
    market = await service.markets.get(digest, partial(_given_market, records, delay_min))
    prepared = await prepare(service, subject, market, digest, risk)
    return answer(service, subject, prepared)


async def prepare(
    service: Service, subject: Subject, market: MarketSeries, version: bytes, risk: RiskIn | None
) -> Prepared:
    """The reading of a market for the subject's interval. Raises Problem."""
    choice = risk_choice(risk)
    key = (version, subject.time, subject.served.policy_id, subject.battery, choice, subject.ramp_mw_per_min)
    prepared = service.readings.ready(key)
    return prepared or await service.readings.get(key, partial(_read, subject, market, choice))


def answer(service: Service, subject: Subject, prepared: Prepared) -> Answered:
    """Add the battery's state to a reading, and say it as the contract does."""
    now = service.clock()
    decision = prepared.decide(subject.state, subject.orders)
    contract = decision.contract(prepared.contract)
    contract["data_quality"] = contract["data_quality"] | {"age_s": _age_s(prepared, now)}
    head = {
        "schema_version": contract.pop("schema_version"),
        "decision_id": str(uuid.uuid4()),
        "asset_id": subject.asset_id,
        "generated_at": utc_text(now),
    }
    return Answered(decision, head | contract, now)


def risk_choice(risk: RiskIn | None) -> RiskChoice:
    """What a request asks of the policy's risk."""
    return RiskChoice() if risk is None else RiskChoice(risk.aversion, risk.preference())


def time_of(request: DecisionRequest, now: dt.datetime) -> int:
    """Epoch minute at which the interval to decide begins."""
    return next_step(now, 1) if request.at is None else epoch_minute(request.at)


def state_faults(battery: Battery, state: AssetState) -> list[FaultItem]:
    """What a state must not be, whatever the policy."""
    faults = []
    if state.battery.soc_mwh > battery.capacity_mwh:
        faults.append(
            fault("state.soc_mwh", "above_capacity", f"must be at most the capacity, {battery.capacity_mwh} MWh")
        )
    if state.battery.cycles_used > _LARGEST_CYCLES:
        faults.append(fault("state.cycles_used_today", "implausible", f"must be at most {_LARGEST_CYCLES:g}"))
    return faults


def _age_s(prepared: Prepared, now: dt.datetime) -> float | None:
    """Of the newest record: as of now, or of the interval's beginning where that is past."""
    as_of = prepared.frame.judgement.data_as_of
    if as_of is None:
        return None
    return min(now.timestamp(), prepared.frame.valid_from * 60.0) - as_of * 60.0


def _given_market(records: MarketIn, delay_min: int | None) -> MarketSeries:
    try:
        return market_of(records, delay_min)
    except BadInput as refused:
        raise from_bad_input(refused, "market") from refused


def _read(subject: Subject, market: MarketSeries, choice: RiskChoice) -> Prepared:
    """Raises Problem where policy, battery, market and risk do not go together."""
    try:
        decider = LiveDecider(subject.served.policy, subject.battery, subject.served.identity, subject.ramp_mw_per_min)
        return decider.prepare(market, subject.time, risk=choice)
    except BadInput as refused:
        raise unusable(_placed(refused)) from refused


def _placed(refused: BadInput) -> list[FaultItem]:
    """The domain's faults at the fields of the request that they are about."""
    places = {name: f"battery.{name}" for name in Battery.__dataclass_fields__}
    places |= {"risk_aversion": "risk.aversion", "risk_preference": "risk.weight"}
    faults = domain_faults(refused, code="unsuitable")
    for item in faults:
        item["field"] = places.get(item["field"]) or (
            item["field"] if item["field"].startswith("risk") else f"market.{item['field']}"
        )
    return faults
