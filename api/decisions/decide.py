"""From a request to a decision, by way of `arbitrage.live`: nothing here has an opinion on power.

Contract: the market is read once for all who ask about the same interval; a request only adds its battery's state.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from api.clock import utc_text
from api.decisions.decision_id import decision_id
from api.decisions.market_records import market_digest, market_of, records_ahead
from api.decisions.moment import Moment
from api.http.problems import FaultItem, Problem, domain_faults, fault, from_bad_input, unusable
from api.schemas.decisions import DecisionRequest, RiskIn
from api.schemas.market import MarketIn
from api.service import Service
from api.state.asset import StoredAsset, kept_asset
from api.state.carry_forward import state_to_keep
from api.state.last_seen import Seen, Source
from api.state.reading_cache import CachedReading
from api.state.subject import DecisionContext, subject_of
from api.storage.asset_store import StateChange
from api.storage.decision_record import Role
from arbitrage.battery import Battery
from arbitrage.errors import BadInput, refuse
from arbitrage.live.decider import POLICY_FAILED, POLICY_NOT_FINITE, LiveDecider, Prepared
from arbitrage.live.decision import Frame, Level, LiveDecision
from arbitrage.live.feed import Snapshot
from arbitrage.live.quality import SECONDS_PER_MINUTE, Finding, Quality
from arbitrage.market.series import MarketSeries
from arbitrage.policies.compatibility import mismatches
from arbitrage.policies.protocol import RiskChoice

MOST_READ_AHEAD = 128
"""Kinds of assets, those that changed last."""
log = structlog.get_logger("api.decisions.decide")


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision with what its record needs."""

    decision: LiveDecision
    contract: dict[str, Any]
    generated_at: dt.datetime
    change: StateChange | None
    """What the decision rests on of the asset that is kept, and makes of its state."""
    role: Role = Role.SERVED


async def decide(service: Service, request: DecisionRequest) -> Answered:
    """Decide what a request asks. Raises Problem."""
    kept = None if request.asset_id is None else await service.asset_cache.find(request.asset_id)
    subject = subject_of(service.policies, request, kept, service.clock(), service.jumps.jumped_s())
    source = await _given(service, request.market, subject) if request.market is not None else kept_source(service)
    prepared = await prepare(service, subject, source, request.risk)
    if kept is None or not subject.moment.is_replay:
        service.last_seen.note(Seen(subject, source))
    answered = answer(service, subject, prepared, kept)
    if answered.change is not None and answered.role is Role.SERVED and request.market is None:
        _note_policy(service, subject.served.policy_id, answered.decision.frame)
    return answered


def _note_policy(service: Service, policy_id: str, frame: Frame) -> None:
    """Not ready while a policy's newest decision on the kept market came to no finite numbers, or failed."""
    about = f"policy {policy_id}"
    if (frame.fallback_reason or "").startswith((POLICY_FAILED, POLICY_NOT_FINITE)):
        service.unready[about] = "came to no finite numbers, or failed; train it again, mend it, or serve another"
    elif frame.level in (Level.POLICY, Level.LAST_GOOD_DATA):
        service.unready.pop(about, None)


async def prepare(
    service: Service,
    subject: DecisionContext,
    source: Source,
    risk: RiskIn | None,
    made: CachedReading[Prepared] | None = None,
) -> Prepared:
    """The reading of a market for the subject's interval, made by `made` where it is not there. Raises Problem."""
    choice = risk_choice(risk)
    moment, who = subject.moment, (subject.served.policy_id, subject.battery, subject.ramp_mw_per_min)
    key = (source.version, moment.time, 0 if moment.is_replay else moment.lag_min, moment.jumped_s, *who, choice)
    prepared = service.readings.ready(key)
    return prepared or await (made or service.readings).get(key, partial(_read, subject, source.known, choice))


async def read_ahead(service: Service) -> None:
    """Make the readings of the coming minute for the kinds of assets in the service's care, as many as are kept."""
    now, source = service.clock(), kept_source(service)
    for found in await service.behind(service.asset_lists.kinds, now, MOST_READ_AHEAD):
        kept = kept_asset(found)
        request = DecisionRequest(asset_id=kept.asset.asset_id)
        try:
            subject = subject_of(service.policies, request, kept, now, service.jumps.jumped_s())
            await prepare(service, subject, source, None)
        except Problem as refused:
            log.warning("not_read_ahead", asset_id=kept.asset.asset_id, reason=refused.detail)


def risk_choice(risk: RiskIn | None) -> RiskChoice:
    """What a request asks of the policy's risk."""
    return RiskChoice() if risk is None else RiskChoice(risk.aversion, risk.preference())


async def _given(service: Service, records: MarketIn, subject: DecisionContext) -> Source:
    """The market of the request. Raises Problem."""
    delay_min = records.publication_delay_min
    if delay_min is None:
        delay_min = subject.served.publication_delay_min
    version = market_digest(records, delay_min)
    return Source(await service.markets.get(version, partial(_given_market, records, delay_min)), version)


def kept_source(service: Service) -> Source:
    """The market that is kept. Raises Problem where none is."""
    if service.keeper is None:
        raise unusable([fault("market", "missing", "the service keeps no market: send one, with state")])
    return Source(service.keeper.snapshot, service.keeper.snapshot.version)


def answer(service: Service, subject: DecisionContext, prepared: Prepared, kept: StoredAsset | None = None) -> Answered:
    """Add the battery's state to a reading, and say it as the contract does."""
    now = service.clock()
    decision = prepared.decide(subject.state, subject.orders)
    contract = decision.contract()
    contract["data_quality"] = contract["data_quality"] | {"age_s": _age_s(subject, prepared)}
    contract["warnings"] += [finding.contract() for finding in subject.warnings]
    head = {
        "schema_version": contract.pop("schema_version"),
        "decision_id": decision_id(now),
        "asset_id": subject.asset_id,
        "generated_at": utc_text(now),
    }
    if kept is None:
        return Answered(decision, head | contract, now, None)
    role = Role.REPLAY if subject.moment.is_replay else Role.SERVED
    return Answered(decision, head | contract, now, _change(kept, subject, decision), role)


def _change(kept: StoredAsset, subject: DecisionContext, decision: LiveDecision) -> StateChange:
    """No state where it must not be moved, or is kept like this already."""
    asset, state = kept.asset, state_to_keep(decision) if subject.moves_state else None
    moved = None if state == asset.state else state
    return StateChange(asset_id=asset.asset_id, state=moved, expected_version=asset.version)


def _age_s(subject: DecisionContext, prepared: Prepared) -> float | None:
    """Of the newest record: as of now, of a later interval's beginning, or of the interval that is replayed."""
    as_of, moment = prepared.frame.judgement.data_as_of, subject.moment
    if as_of is None:
        return None
    counted_s = moment.time * SECONDS_PER_MINUTE if moment.is_replay else moment.judged_s
    return counted_s - as_of * SECONDS_PER_MINUTE


def _given_market(records: MarketIn, delay_min: int | None) -> MarketSeries:
    try:
        return market_of(records, delay_min)
    except BadInput as refused:
        raise from_bad_input(refused, "market") from refused


def _read(subject: DecisionContext, known: MarketSeries | Snapshot, choice: RiskChoice) -> Prepared:
    """Raises Problem where policy, battery, market and risk do not go together."""
    served, moment = subject.served, subject.moment
    try:
        refuse([] if served.battery is None else mismatches(served.battery, subject.battery))
        decider = LiveDecider(served.policy, subject.battery, served.identity, subject.ramp_mw_per_min)
        if isinstance(known, Snapshot):
            believed = _believed(known, moment)
            return decider.prepare_live(believed, moment.time, moment.now_s, choice, judged_s=moment.judged_s)
        if moment.is_replay:
            return decider.prepare(known, moment.time, risk=choice)
        judged_s = max(moment.judged_s, moment.time * SECONDS_PER_MINUTE)
        ahead = records_ahead(known, moment)
        return decider.prepare(known, moment.time, now_s=judged_s, risk=choice, reported=ahead)
    except BadInput as refused:
        raise unusable(_placed(refused)) from refused


def _believed(known: Snapshot, moment: Moment) -> Snapshot:
    """What a feed knows, with what is to be said of the service's own clock."""
    if not moment.jumped_s:
        return known
    doubt = (Quality.CLOCK, Finding("clock_jumped", {"seconds": round(moment.jumped_s, 3)}))
    return replace(known, reported=(*known.reported, doubt))


def _placed(refused: BadInput) -> list[FaultItem]:
    """The domain's faults at the fields of the request that they are about."""
    places = {name: f"battery.{name}" for name in Battery.__dataclass_fields__}
    places |= {"risk_aversion": "risk.aversion", "risk_preference": "risk.weight", "risk": "risk"}
    faults = domain_faults(refused, code="unsuitable")
    for item in faults:
        item["field"] = places.get(item["field"], f"market.{item['field']}")
    return faults
