"""`/v1/policies`: what may decide."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import ServiceDep
from api.http.responses import json_response
from api.policies import ServedPolicy
from api.schemas.policies import PolicyList

router = APIRouter(prefix="/v1/policies", tags=["policies"])


@router.get("", summary="Policies that may be asked for", responses={200: {"model": PolicyList}})
async def get_policies(service: ServiceDep) -> Response:
    """Learned policies with their cards, own strategies, and rules."""
    default = service.policies.default
    return json_response({"policies": [_document(served, served is default) for served in service.policies.all()]})


def _document(served: ServedPolicy, is_default: bool) -> dict[str, Any]:
    policy = served.policy
    return {
        "id": served.policy_id,
        "kind": served.kind,
        "name": policy.name,
        "sha256": served.sha256,
        "card_sha256": served.card_sha256,
        "is_sealed": served.is_sealed,
        "step_min": policy.step_min,
        "is_default": is_default,
        "battery": None if served.battery is None else asdict(served.battery),
        "publication_delay_min": served.publication_delay_min,
        "has_risk_head": policy.takes_risk_aversion,
        "has_quantile_critic": policy.gives_outcomes,
        "card": dict(served.card),
    }
