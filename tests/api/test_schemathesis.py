"""The OpenAPI document, tried by schemathesis: nothing fails inside, and every answer is one that is documented."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from schemathesis import GenerationMode
from schemathesis.checks import ignored_auth, not_a_server_error, positive_data_acceptance

from api.http.openapi import CONTRACTS
from tests.api.local_client import LocalClient
from tests.examples import examples

pytestmark = pytest.mark.hypothesis

TRIED = 6
"""Requests of each address, good ones and bad ones each."""
UNREADY = ("/readyz", HTTPStatus.SERVICE_UNAVAILABLE)
"""An answer like any other there. Keys are tested elsewhere, and what fits a schema may still mean nothing."""
SCHEMA = schemathesis.openapi.from_dict(json.loads((CONTRACTS / "openapi.json").read_text()))
TRIALS = [
    (operation, mode)
    for found in SCHEMA.get_all_operations()
    for operation in [found.ok()]
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.body or list(operation.iter_parameters())
]
"""What takes nothing cannot be asked wrongly."""


@pytest.mark.parametrize(("operation", "mode"), TRIALS, ids=lambda part: getattr(part, "label", str(part)))
def test_every_answer_is_one_that_is_documented(
    operation: schemathesis.APIOperation, mode: GenerationMode, client: LocalClient
) -> None:
    @examples(TRIED, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        arguments = case.as_transport_kwargs(base_url="http://127.0.0.1")
        arguments.pop("cookies", None)
        if "data" in arguments:
            arguments["content"] = arguments.pop("data")
        answer = client.ask(arguments.pop("method"), arguments.pop("url"), **arguments)
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR or (operation.path, answer.status_code) == UNREADY
        case.validate_response(answer, excluded_checks=[not_a_server_error, ignored_auth, positive_data_acceptance])

    answered()
