"""Cards of any kind: what is read as one, what is not, and what writing test figures may change."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from arbitrage.errors import BadInput
from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import DAY_AHEAD, PRICE
from arbitrage.policies.checkpoint.card import (
    TESTS,
    TensorsState,
    policy_directories,
    read_any_card,
    tensors_of_card,
    write_test,
)
from arbitrage.policies.checkpoint.files import features_of
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, Card, load_policy, save_policy
from arbitrage.policies.checkpoint.network import save_network_policy
from arbitrage.policies.closed_form.policy import ClosedFormPolicy
from arbitrage.quarter_hour import epoch_minute
from tests.policies.small_policies import ABOUT, closed_form, network

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def foreign_policy(directory: Path, **more: object) -> Card:
    """A policy of a kind that has neither lattice nor members."""
    card = {"kind": "oracle", "tensors_sha256": DIGEST, "name": "seer", "horizon_h": 3, **more}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CARD_FILE).write_text(json.dumps(card))
    (directory / TENSORS_FILE).write_bytes(CONTENT)
    return card


def test_a_card_of_an_unknown_kind_is_read_as_it_stands_and_only_loading_refuses_it(tmp_path: Path) -> None:
    card = foreign_policy(tmp_path)
    assert read_any_card(tmp_path) == card
    with pytest.raises(BadInput):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not the card of a policy"),
        ('{"kind": "oracle"}', "tensors_sha256 missing"),
        ('{"name": "x"}', "kind, tensors_sha256 missing"),
        ('{"kind": "oracle", "tensors_sha256": "0", "battery": {"power_mw": "1"}}', "battery"),
        ('{"kind": "oracle", "tensors_sha256": "0", "tests": {"autumn": 5}}', "tests.autumn"),
        ('{"kind": "oracle", "tensors_sha256": "0", "split": {"end_epoch_minute": 1e300}}', "split.end_epoch_minute"),
        ('{"kind": "oracle", "kind": "seer", "tensors_sha256": "0"}', "'kind' stands twice"),
        ('{"kind": "oracle", "tensors_sha256": "0", "horizon_h": NaN}', "NaN is not a number"),
    ],
)
def test_what_is_no_card_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / CARD_FILE).write_text(text)
    with pytest.raises(BadInput, match=says):
        read_any_card(tmp_path)


def test_tensors_are_compared_with_the_digest_on_the_card(tmp_path: Path) -> None:
    card = foreign_policy(tmp_path)
    assert tensors_of_card(tmp_path, card) is TensorsState.MATCH
    (tmp_path / TENSORS_FILE).write_bytes(CONTENT[:-1])
    assert tensors_of_card(tmp_path, card) is TensorsState.ALTERED
    (tmp_path / TENSORS_FILE).unlink()
    assert tensors_of_card(tmp_path, card) is TensorsState.MISSING


@pytest.mark.parametrize("policy", [closed_form(FeatureSet.QUARTER_HOUR), network()], ids=["closed form", "network"])
@pytest.mark.parametrize(("learned_min", "hour_means"), [((60,), True), ((15, 60), False), ((), False)])
def test_the_card_says_how_day_ahead_was_read_and_at_which_resolution_it_was_learned(
    tmp_path: Path, policy: Any, learned_min: tuple[int, ...], hour_means: bool
) -> None:
    features = replace(policy.features, learned_day_ahead_min=learned_min, hour_means=hour_means)
    save_policy_of_kind = save_policy if isinstance(policy, ClosedFormPolicy) else save_network_policy
    card = save_policy_of_kind(tmp_path, replace(policy, features=features), ABOUT)  # type: ignore[operator]
    assert (card["day_ahead_learned_min"], card["day_ahead_hour_means"]) == (list(learned_min), hour_means)
    assert load_policy(tmp_path).features == features  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("end", "sources", "learned_min"),
    [
        ("2025-10-01T00:00+02:00", [PRICE, DAY_AHEAD], (60,)),
        ("2025-10-01T00:00+02:00", [PRICE], ()),
        ("2025-10-02T00:00+02:00", [PRICE, DAY_AHEAD], ()),
        (None, [PRICE, DAY_AHEAD], ()),
    ],
)
def test_a_card_that_names_no_resolution_is_of_hours_if_its_days_end_before_quarter_hours_were_traded(
    end: str | None, sources: list[str], learned_min: tuple[int, ...]
) -> None:
    split = {"end_epoch_minute": None if end is None else epoch_minute(end)}
    features = features_of({"feature_set": "quarter_hour", "sources": sources, "split": split})
    assert features == MarketFeatures(learned_day_ahead_min=learned_min)


def test_policies_are_found_however_deep(tmp_path: Path) -> None:
    for name in ("b/seed-1", "b/seed-0", "a"):
        foreign_policy(tmp_path / name)
    assert [str(found.relative_to(tmp_path)) for found in policy_directories(tmp_path)] == ["a", "b/seed-0", "b/seed-1"]
    assert policy_directories(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(BadInput, match="is not a folder"):
        policy_directories(tmp_path / "c")


def test_figures_are_kept_by_label_and_nothing_else_changes(tmp_path: Path) -> None:
    card = foreign_policy(tmp_path)
    write_test(tmp_path, DIGEST, "autumn", {"days": 5})
    write_test(tmp_path, DIGEST, "winter", {"days": 6})
    assert read_any_card(tmp_path) == {**card, TESTS: {"autumn": {"days": 5}, "winter": {"days": 6}}}
    assert (tmp_path / TENSORS_FILE).read_bytes() == CONTENT


def test_a_label_is_never_written_over(tmp_path: Path) -> None:
    foreign_policy(tmp_path)
    write_test(tmp_path, DIGEST, "autumn", {"days": 5})
    for label, says in (("autumn", "already"), (" ", "needs a label")):
        with pytest.raises(BadInput, match=says):
            write_test(tmp_path, DIGEST, label, {"days": 6})
    assert read_any_card(tmp_path)[TESTS] == {"autumn": {"days": 5}}


def test_figures_of_one_policy_never_reach_the_card_of_another(tmp_path: Path) -> None:
    foreign_policy(tmp_path)
    with pytest.raises(BadInput, match="another policy"):
        write_test(tmp_path, "0" * 64, "autumn", {"days": 5})
    (tmp_path / TENSORS_FILE).write_bytes(b"others")
    with pytest.raises(BadInput, match="DO NOT match"):
        write_test(tmp_path, DIGEST, "autumn", {"days": 5})
    assert TESTS not in read_any_card(tmp_path)
