"""Settings that make no sense stop the start, every fault named, and nothing secret is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.http.security import digest_of, new_key
from api.settings import PREFIX, Settings
from arbitrage.cli.app import app
from arbitrage.errors import BadInput

KEY = {"name": "ops", "sha256": digest_of("arb_x")}


def faults_of(**given: Any) -> list[str]:
    with pytest.raises(BadInput) as refused:
        Settings.read(**given)
    return [fault.where for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "keys"),
        ({"authentication": "off", "host": "0.0.0.0"}, "authentication"),
        ({"authentication": "off", "host": "example.org"}, "authentication"),
        ({"keys": [KEY, KEY | {"sha256": digest_of("y")}]}, "keys"),
        ({"keys": [KEY, KEY | {"name": "eyes"}]}, "keys"),
        ({"keys": [KEY | {"sha256": "short"}]}, "keys.0.sha256"),
        ({"keys": [KEY | {"role": "king"}]}, "keys.0.role"),
        ({"keys": [KEY | {"key": "arb_x"}]}, "keys.0.key"),
        ({"keys": [KEY], "port": 70000}, "port"),
        ({"keys": [KEY], "workers": 0}, "workers"),
        ({"keys": [KEY], "requests_per_s": 0}, "requests_per_s"),
        ({"keys": [KEY], "burst": 0}, "burst"),
        ({"keys": [KEY], "most_body_bytes": 1}, "most_body_bytes"),
        ({"keys": [KEY], "request_timeout_s": -1}, "request_timeout_s"),
        ({"keys": [KEY], "log_level": "loud"}, "log_level"),
        ({"keys": [KEY], "policies": {"be": "/nowhere"}}, "policies.be"),
        ({"keys": [KEY], "markets": {"be": "/nowhere"}}, "markets.be"),
        ({"keys": [KEY], "feed": "radio"}, "feed"),
        ({"keys": [KEY], "feed": "elia"}, "store"),
        ({"keys": [KEY], "feed": "elia", "store": "/tmp", "workers": 2}, "feed"),
        ({"keys": [KEY], "keys_file": "/nowhere"}, "keys_file"),
        ({"keys": [KEY], "surprise": 1}, "surprise"),
    ],
)
def test_what_makes_no_sense_is_named(given: dict[str, Any], named: str) -> None:
    assert named in faults_of(**given)


def test_all_that_makes_no_sense_is_named_at_once() -> None:
    found = faults_of(authentication="off", host="0.0.0.0", policies={"a": "/x", "b": "/y"}, feed="store")
    assert sorted(found) == ["authentication", "policies.a", "policies.b", "store"]


def test_a_variable_that_sets_nothing_is_a_slip_of_the_pen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "PROT", "80")
    assert PREFIX + "PROT" in faults_of(keys=[KEY])


def test_no_fault_repeats_a_secret() -> None:
    with pytest.raises(BadInput) as refused:
        Settings.read(keys=[KEY | {"sha256": "arb_my_secret"}], database_url="postgresql://me:pass@host/db", port=-1)
    assert "arb_my_secret" not in str(refused.value)
    assert "pass" not in str(refused.value)
    assert "arb" not in repr(Settings(keys=[KEY], database_url="postgresql://me:pass@host/arb"))


def test_settings_survive_the_way_to_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([KEY | {"role": "reader"}]))
    given = Settings.read(keys_file=keys, markets={"m": tmp_path}, port=1234, feed="simulator", requests_per_s=2.5)
    for name, value in given.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == given


def test_a_keys_file_with_a_fault_is_refused(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('[{"name": "ops"}]')
    assert "0.sha256" in faults_of(keys_file=keys)


def test_keys_are_long_and_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert min(len(key) for key in keys) > 40


def test_the_command_prints_a_key_and_what_is_kept_of_it() -> None:
    told = CliRunner().invoke(app, ["serve", "--new-key", "ops"])
    key = told.stdout.splitlines()[0].split(": ")[1]
    kept = json.loads(told.stdout.splitlines()[1].split(": ", 1)[1])
    assert kept == {"name": "ops", "sha256": digest_of(key), "role": "operator"}


def test_the_command_refuses_settings_before_anything_listens() -> None:
    told = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0", "--no-authentication", "--policy", "/nowhere"])
    assert isinstance(told.exception, BadInput)
    assert {fault.where for fault in told.exception.faults} == {"authentication", "policies.nowhere"}
