"""What another risk aversion would have decided, as a preview.

Contract: the last decided interval once more, on the same market and in the same state; where this process has decided
nothing yet, the coming interval of a kept asset. Orders of people are left out, so that it is the policy that is seen.
Nothing is logged, and no state changes.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from api.decisions.decide import answer, kept_source, prepare
from api.http.problems import Problem
from api.schemas.decisions import DecisionRequest, RiskIn
from api.service import Service
from api.state.last_seen import Seen
from api.state.subject import subject_of
from arbitrage.live.decision import FOLLOW


async def preview(service: Service, asset_id: str, risk: RiskIn) -> dict[str, Any]:
    """The preview as the wire has it. Raises Problem."""
    seen = service.last_seen.of(asset_id) or await coming(service, asset_id)
    subject = replace(seen.subject, orders=FOLLOW)
    prepared = await prepare(service, subject, seen.source, risk, service.previews)
    contract = answer(service, subject, prepared).contract
    del contract["decision_id"]
    return contract | {"preview": True}


async def newest(service: Service, asset_id: str) -> Seen:
    """The coming interval of a kept asset on the kept market, else what was decided last. Raises Problem."""
    seen = service.last_seen.of(asset_id)
    if seen is not None and (service.keeper is None or await service.watched_assets.find(asset_id) is None):
        return seen
    return await coming(service, asset_id)


async def coming(service: Service, asset_id: str) -> Seen:
    """The coming interval of a kept asset on the kept market. Raises Problem where either is missing."""
    kept = None if service.keeper is None else await service.watched_assets.find(asset_id)
    if kept is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"Nothing was decided for {asset_id} here yet.")
    request = DecisionRequest(asset_id=asset_id)
    subject = subject_of(service.policies, request, kept, service.clock())
    return Seen(subject, kept_source(service))
