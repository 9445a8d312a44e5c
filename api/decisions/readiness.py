"""Whether the service is fit to decide, and every reason why it is not."""

from __future__ import annotations

from api.clock import next_step
from api.service import Service
from arbitrage.live.quality import Bounds, Quality, judge
from arbitrage.policies.protocol import judged_series

FIT = (Quality.OK, Quality.GAP, Quality.JUMP, Quality.CONTRADICTION, Quality.LATE)
"""Data on which a policy still decides."""

Reasons = dict[str, str]
"""Why not, by what it is about."""


async def unreadiness(service: Service, max_age_s: float | None) -> Reasons:
    """Reasons why the service is not fit to decide; none if it is."""
    reasons = dict(service.unready)
    storage = await service.storage_watch.reason()
    if storage is not None:
        reasons["database"] = storage
    if service.keeper is not None:
        reasons |= _data_reasons(service, max_age_s)
    elif max_age_s is not None:
        reasons["data"] = "the service keeps no market: requests bring their own"
    return reasons


def _data_reasons(service: Service, max_age_s: float | None) -> Reasons:
    """What is wrong with the market that is kept, for the policy that decides by default."""
    keeper, default = service.keeper, service.policies.default
    if keeper is None or not keeper.snapshot.market.known_series:
        return {"data": "nothing is known of the market yet"}
    series = None if default is None else judged_series(default.policy)
    if series is None:
        return {}
    now = service.clock()
    judged = judge(keeper.snapshot.market, next_step(now, 1), now.timestamp(), series, Bounds())
    judged = judged.with_findings(keeper.snapshot.reported)
    if judged.quality not in FIT:
        return {"data": f"{series} is {judged.quality.value}"}
    if max_age_s is not None and judged.age_s is not None and judged.age_s > max_age_s:
        return {"data": f"the newest record of {series} is {judged.age_s:.0f} s old"}
    return {}
