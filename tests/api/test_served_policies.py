"""Which policies the service starts with: pinned ones only as they were pinned, unsealed ones said to be so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.policies import Policies
from api.settings import PREFIX, Settings
from arbitrage.cli.app import app
from arbitrage.errors import BadInput
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.policies.checkpoint.card import write_test
from arbitrage.policies.checkpoint.files import card_digest
from arbitrage.policies.checkpoint.load import CARD_FILE
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.markets import PlayedFeed
from tests.api.told_policy import save_told_policy
from tests.live.policies import NIGHT

OUTCOMES = {"charge": (-30.0, 5.0), "idle": (-10.0, 8.0), "discharge": (-5.0, 9.0)}
OTHER = "0" * 64


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return save_told_policy(tmp_path / "be", OUTCOMES)


def card_of(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / CARD_FILE).read_text()))


def write(directory: Path, card: dict[str, Any]) -> None:
    (directory / CARD_FILE).write_text(json.dumps(card))


def test_a_policy_is_served_as_it_was_pinned_also_with_test_figures_added_since(policy: Path) -> None:
    pinned = {"be": card_digest(card_of(policy))}
    write_test(policy, card_of(policy)["tensors_sha256"], "autumn", {"days": 5})
    served = Policies({"be": policy}, None, pinned).named("be")
    assert served.card["tests"] == {"autumn": {"days": 5}}
    assert (served.card_sha256, served.is_sealed) == (pinned["be"], True)


def test_the_service_refuses_to_start_with_another_policy_than_the_one_pinned(policy: Path) -> None:
    pinned = {"be": card_digest(card_of(policy))}
    save_told_policy(policy, OUTCOMES | {"idle": (-10.0, 8.5)})
    with pytest.raises(BadInput, match=r"pinned_policies.be: .* bring back the policy that was pinned"):
        Policies({"be": policy}, None, pinned)


def test_a_pin_notices_a_card_that_was_changed_and_stripped_of_its_seal(policy: Path) -> None:
    card = card_of(policy)
    card["battery"]["power_mw"] = 5.0
    pinned = {"be": card.pop("card_sha256")}
    write(policy, card)
    assert Policies({"be": policy}, None).named("be").battery.power_mw == 5.0
    with pytest.raises(BadInput, match=r"pinned_policies.be"):
        Policies({"be": policy}, None, pinned)


def test_a_policy_of_before_there_were_seals_is_served_and_said_not_to_be_sealed(policy: Path, tmp_path: Path) -> None:
    card = card_of(policy)
    digest = card.pop("card_sha256")
    write(policy, card)
    with LocalClient(open_settings(tmp_path, policies={"be": policy}, pinned_policies={"be": digest})) as client:
        listed = {each["id"]: each for each in client.get("/v1/policies").json()["policies"]}
    assert (listed["be"]["card_sha256"], listed["be"]["is_sealed"]) == (digest, False)
    assert (listed["idle"]["card_sha256"], listed["idle"]["is_sealed"]) == (None, True)


@pytest.mark.parametrize(
    ("pins", "says"),
    [
        ({"be": "short"}, "pinned_policies.be"),
        ({"nl": OTHER}, "pinned_policies.nl: is not served"),
    ],
)
def test_pins_that_make_no_sense_are_refused(policy: Path, tmp_path: Path, pins: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        open_settings(tmp_path, policies={"be": policy}, pinned_policies=pins)


def test_pins_come_from_the_environment(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PINNED_POLICIES", json.dumps({"be": OTHER}))
    settings = Settings.read(authentication="off", policies={"be": policy})
    assert settings.pinned_policies == {"be": OTHER}
    assert json.loads(settings.as_environment()[f"{PREFIX}PINNED_POLICIES"]) == {"be": OTHER}


def test_pins_come_from_options_and_slips_are_named(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Settings] = []
    monkeypatch.setattr("api.commands.serve.serve", served.append)
    given = ["serve", "--no-authentication", "--policy", f"be={policy}"]
    assert CliRunner().invoke(app, [*given, "--pin", f"be={OTHER}"]).exit_code == 0
    assert served[0].pinned_policies == {"be": OTHER}
    for slip, says in (([OTHER], "is not ID=SHA256"), ([f"be={OTHER}", f"be={OTHER}"], "be is pinned twice")):
        done = CliRunner().invoke(app, [*given, *(part for pin in slip for part in ("--pin", pin))])
        assert isinstance(done.exception, BadInput)
        assert says in str(done.exception)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    told = save_told_policy(tmp_path / "told", OUTCOMES)
    clock = StandingClock()
    clock.set_minute(NIGHT, -20.0)
    settings = open_settings(tmp_path, policies={"told": told})
    with LocalClient(settings, clock, PlayedFeed(sample_market(), clock)) as client:
        yield client


def test_readiness_tells_of_a_policy_that_comes_to_no_finite_numbers(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = {"battery": {"max_cycles_per_day": 1.1}, "policy_id": "told", "state": {"soc_fraction": 0.5}}
    assert client.put("/v1/assets/be-1", asset).status_code == 200
    with monkeypatch.context() as broken:
        broken.setattr(
            "arbitrage.policies.network_policy.NetworkView._worth_eur", lambda *_: [float("nan"), 0.0, float("nan")]
        )
        answer = client.post("/v1/decisions", {"asset_id": "be-1"}).json()
    assert answer["fallback"] == {"level": 2, "name": "rule", "reason": "policy_not_finite"}
    assert "policy told" in {reason["about"] for reason in client.get("/readyz").json()["reasons"]}
    client.clock.set_minute(NIGHT + 15, -20.0)
    assert client.post("/v1/decisions", {"asset_id": "be-1"}).json()["fallback"]["level"] == 0
    assert "policy told" not in {reason["about"] for reason in client.get("/readyz").json()["reasons"]}
