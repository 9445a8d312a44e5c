"""The OpenAPI document, and the JSON Schemas of what goes over the wire.

Contract: routes read bodies themselves, so their models are added here; every route that asks for a key says so, and
every refusal that a route may answer is listed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http.admission import OPEN_PATHS
from api.schemas.assets import AssetIn, OverrideIn
from api.schemas.backtests import BacktestIn
from api.schemas.decisions import DecisionOut, DecisionRequest
from api.schemas.problems import ProblemOut

CONTRACTS = Path(__file__).parents[1] / "contracts"
"""Where the generated documents are kept."""
BODIES: tuple[type[BaseModel], ...] = (DecisionRequest, AssetIn, OverrideIn, BacktestIn, ProblemOut)
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_READING = {401: "No valid key.", 429: "Too often.", 503: "Storage or feed do not answer."}
_WRITING = {
    400: "Not JSON.",
    403: "The key may only read.",
    413: "Too large.",
    415: "Not application/json.",
    422: "Every fault that was found.",
    503: "Storage or feed do not answer; of the type `outcome-open` it may have been done: ask under the same key.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
        components = document.setdefault("components", {})
        _, defined = models_json_schema(
            [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
        )
        components.setdefault("schemas", {}).update(defined["$defs"])
        components["securitySchemes"] = _SCHEMES
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(path, method, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Security and refusals of one operation."""
    responses = operation["responses"]
    reported: dict[int, str] = {}
    if path not in OPEN_PATHS:
        operation["security"] = [{scheme: []} for scheme in _SCHEMES]
        reported |= _READING
    if method != "get":
        reported |= _WRITING
    if operation.get("parameters"):
        responses.pop("422", None)  # FastAPI's own
        reported[422] = _WRITING[422]
    for status, description in reported.items():
        responses.setdefault(str(status), {"description": description, **_problem()})
    for refusal in ("404", "409"):
        if refusal in responses:
            responses[refusal] |= _problem()


def _problem() -> dict[str, Any]:
    return {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}}


def documents(app: FastAPI) -> dict[str, str]:
    """Every generated document by its file name."""
    models: dict[str, type[BaseModel]] = {
        "decision-request": DecisionRequest,
        "decision": DecisionOut,
        "asset": AssetIn,
        "override": OverrideIn,
        "backtest": BacktestIn,
        "problem": ProblemOut,
    }
    schemas = {f"{name}.schema.json": model.model_json_schema() for name, model in models.items()}
    whole = {"openapi.json": describe(app), **schemas}
    return {name: json.dumps(document, indent=2, sort_keys=True) + "\n" for name, document in whole.items()}
