"""The OpenAPI document, tried by schemathesis on both databases: nothing fails inside, every answer is documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import ignored_auth, not_a_server_error, positive_data_acceptance

from api.http.openapi import CONTRACTS
from api.schemas.examples import ASSET
from arbitrage.market.simulation.embedded_sample import sample_market
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed
from tests.api.storage.postgresql import fresh_schema
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
KNOWN = "be-1"
"""An asset that is there: of names made up at random none is."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    """A service that keeps an asset and a market, and runs no backtest."""
    given = {"most_open_backtests": 10_000}
    if request.param == "postgresql":
        given["database_url"] = fresh_schema(request.getfixturevalue("postgresql_url"))
    clock = StandingClock(NOW)
    settings = open_settings(tmp_path_factory.mktemp("service"), **given)
    with LocalClient(settings, clock, PlayedFeed(sample_market(with_minutes=True), clock)) as client:
        client.app.state.service.runner._task.cancel()
        client.poll()
        assert client.put(f"/v1/assets/{KNOWN}", ASSET).status_code == HTTPStatus.OK
        yield client


@pytest.mark.parametrize(("operation", "mode"), TRIALS, ids=lambda part: getattr(part, "label", str(part)))
def test_every_answer_is_one_that_is_documented(
    operation: schemathesis.APIOperation, mode: GenerationMode, client: LocalClient
) -> None:
    @examples(TRIED, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), of_known=st.booleans())
    def answered(case: schemathesis.Case, of_known: bool) -> None:
        if of_known and mode is GenerationMode.POSITIVE and "asset_id" in case.path_parameters:
            case.path_parameters["asset_id"] = KNOWN
        arguments = case.as_transport_kwargs(base_url="http://127.0.0.1")
        arguments.pop("cookies", None)
        if "data" in arguments:
            arguments["content"] = arguments.pop("data")
        answer = client.ask(arguments.pop("method"), arguments.pop("url"), **arguments)
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR or (operation.path, answer.status_code) == UNREADY
        case.validate_response(answer, excluded_checks=[not_a_server_error, ignored_auth, positive_data_acceptance])

    answered()
