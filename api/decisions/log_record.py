"""What the log keeps of a decision that was made."""

from __future__ import annotations

import hashlib

import orjson

from api.clock import minute_time
from api.decisions.decide import Answered
from api.storage.decision_record import DecisionRecord

NO_ASSET = "-"
"""What the log calls the asset of a request that names none."""


def record_of(answered: Answered, caller: str, body: bytes, key: str | None) -> DecisionRecord:
    """What the log keeps of an answer."""
    decision, contract = answered.decision, answered.contract
    frame = decision.frame
    return DecisionRecord(
        decision_id=contract["decision_id"],
        asset_id=contract["asset_id"] or NO_ASSET,
        generated_at=answered.generated_at,
        valid_from=minute_time(frame.valid_from),
        valid_until=minute_time(frame.valid_until),
        action=decision.action,
        power_mw=decision.power_mw,
        mode=decision.mode.value,
        principal=caller,
        request_sha256=hashlib.sha256(body).hexdigest(),
        answer=orjson.dumps(contract).decode(),
        role=answered.role,
        fallback_level=frame.level.number,
        data_as_of=None if frame.judgement.data_as_of is None else minute_time(frame.judgement.data_as_of),
        policy_id=frame.policy.policy_id,
        policy_sha256=frame.policy.sha256,
        price_seen_eur_mwh=frame.price_seen_eur_mwh,
        idempotency_key=key,
    )
