"""Challengers in the shadow: what another policy would have decided, written down to be scored and never acted on.

Contract
- A challenger sees the market that the acting policy sees, at the same time, and obeys the battery law; no one's
  order reaches it.
- What it decides stands in the log under the role `challenger`, once an interval however many processes decide; settled
  prices score it as they score what was served (`/v1/reconciliation`).
- A restart begins a new shadow from the asset as it stands then.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from api.decisions.decide import answer, kept_source, prepare
from api.decisions.log_record import record_of
from api.decisions.moment import Moment, coming_moment
from api.http.problems import Problem
from api.service import Service
from api.state.asset import StoredAsset, kept_asset
from api.state.challenger_batteries import Shadow
from api.state.subject import DecisionContext
from api.storage.database.refusals import StorageRefusal
from api.storage.decision_record import Role
from arbitrage.live.decision import FOLLOW
from arbitrage.market.point_in_time import PRICE

PRINCIPAL = "challenger"
log = structlog.get_logger("api.decisions.challenge")


async def let_challengers_decide(service: Service) -> int:
    """Decide the coming interval for every challenger that is free then; returns how many decided."""
    decided = 0
    for found in await service.behind(service.asset_lists.challenged, service.clock()):
        kept = kept_asset(found)
        if kept.spec.challenger_policy_id is not None:
            moment = coming_moment(service.clock())
            shadow = service.shadows.of(kept, kept.spec.challenger_policy_id, moment)
            async with shadow.turn:
                decided += await _challenge(service, kept, shadow, moment)
        await asyncio.sleep(0)  # requests come first, however many challengers there are
    return decided


async def _challenge(service: Service, kept: StoredAsset, shadow: Shadow, moment: Moment) -> bool:
    """One challenger's decision; False where its interval is still running or it cannot be read."""
    if moment.time < shadow.free_at:
        return False
    _settle(service, shadow, moment.time)
    names = {"asset_id": kept.asset.asset_id, "policy_id": shadow.policy_id}
    try:
        subject = _subject(service, kept, shadow, moment)
        prepared = await prepare(service, subject, kept_source(service), None)
    except Problem as refused:
        log.warning("challenger_not_read", reason=refused.detail, **names)
        return False
    answered = answer(service, subject, prepared)
    frame = answered.decision.frame
    shadow.life.follow(frame.valid_from, frame.valid_until, answered.decision.power_mw)
    shadow.free_at = frame.valid_until
    key = f"{kept.asset.asset_id} {shadow.policy_id} {frame.valid_from}"
    record = record_of(answered, PRINCIPAL, key.encode(), key)
    try:
        await service.log.append(replace(record, role=Role.CHALLENGER))
    except StorageRefusal as refused:
        log.warning("challenger_not_kept", reason=str(refused), **names)
    return True


def _subject(service: Service, kept: StoredAsset, shadow: Shadow, moment: Moment) -> DecisionContext:
    """The challenger as a decision context. Raises Problem where the policy is no longer served."""
    return DecisionContext(
        asset_id=kept.asset.asset_id,
        served=service.policies.named(shadow.policy_id),
        battery=kept.battery,
        state=shadow.life.at(moment.time),
        orders=FOLLOW,
        moment=moment,
        ramp_mw_per_min=kept.spec.ramp_mw_per_min,
    )


def _settle(service: Service, shadow: Shadow, now: int) -> None:
    """Prices that have become known make the shadow's profit of the day, which its policy may mind."""
    if service.keeper is None:
        return
    series = service.keeper.snapshot.market.known_series.get(PRICE)
    for start in sorted(shadow.life.unsettled):
        price = None if series is None else series.known_value(start, now)
        if price is not None:
            shadow.life.settle(start, price, now)
