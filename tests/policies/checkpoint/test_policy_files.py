"""No file of a policy ends in anything but a policy that decides or a refusal with its reason."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbitrage.errors import BadInput
from arbitrage.policies.checkpoint.card import read_any_card, seal_in_words, write_test
from arbitrage.policies.checkpoint.files import card_digest, write_policy_files
from arbitrage.policies.checkpoint.load import CARD_FILE, TENSORS_FILE, load_policy
from tests.examples import examples
from tests.policies.checkpoint.load_each import outcome
from tests.policies.checkpoint.policy_corpus import KINDS, Case, cases, change_card, put_bytes, set_at
from tests.policies.small_policies import small_policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and special files as Linux has them")
LEAST_CASES = 150


def copy_of(kind: str, where: Path) -> Path:
    shutil.copytree(small_policy(kind), where)
    return where


def loaded_in_a_child(folder: Path) -> list[list[str]]:
    """What a process of its own says of each policy below the folder, as long as it lives."""
    command = [sys.executable, "-m", "tests.policies.checkpoint.load_each", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return told if done.returncode == 0 else [*told, ["", f"ended with {done.returncode}", done.stderr[-2_000:]]]


def test_every_damaged_or_hostile_policy_is_refused_with_its_reason(tmp_path: Path) -> None:
    corpus = {f"{number:04d}": case for number, case in enumerate(cases())}
    for name, case in corpus.items():
        case.damage(copy_of(case.kind, tmp_path / name))
    told = loaded_in_a_child(tmp_path)
    assert [name for name, _, _ in told] == list(corpus), told[-1]
    wrong = [line for name, said, why in told if (line := _otherwise(corpus[name], said, why))]
    assert not wrong, "\n".join(wrong)
    assert len(corpus) >= LEAST_CASES
    print(f"{len(corpus)} damaged and hostile policies refused")  # noqa: T201 (the count is part of the result)


def _otherwise(case: Case, said: str, why: str) -> str:
    """What is wrong with the answer to a case; empty if it is refused with its reason, in few words."""
    if said == "refused" and re.search(case.says, why) and len(why) < 20_000:
        return ""
    return f"{case.kind}: {case.name}: {said}: {why[:300]}"


@pytest.mark.parametrize("kind", KINDS)
def test_good_policies_load_and_decide_sealed_or_from_before_there_were_seals(kind: str, tmp_path: Path) -> None:
    sealed, bare = small_policy(kind), copy_of(kind, tmp_path / "bare")
    change_card(bare, lambda card: None)
    assert (seal_in_words(read_any_card(sealed)), seal_in_words(read_any_card(bare))[:5]) == ("matches", "none:")
    told = outcome(sealed)
    assert told[0] == "decides"
    assert outcome(bare) == told


def test_test_figures_leave_the_seal_whole_and_figures_that_are_not_finite_are_null(tmp_path: Path) -> None:
    directory = copy_of("network", tmp_path / "policy")
    before = read_any_card(directory)
    write_test(directory, before["tensors_sha256"], "autumn", {"days": 5, "profit_eur": float("nan")})
    after = read_any_card(directory)
    assert after["tests"] == {"autumn": {"days": 5, "profit_eur": None}}
    assert after["card_sha256"] == before["card_sha256"] == card_digest(after)
    load_policy(directory)


def test_a_card_with_figures_that_are_not_finite_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    card = {**read_any_card(small_policy("mpc")), "validation": {"best": {"profit_eur_per_day": -np.inf}}}
    tensors = {"a": np.zeros(1, dtype=np.float32)}
    written = write_policy_files(tmp_path, tensors, {k: v for k, v in card.items() if k != "tensors_sha256"})
    assert read_any_card(tmp_path) == written
    assert written["validation"] == {"best": {"profit_eur_per_day": None}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def places(card: dict[str, Any], prefix: str = "") -> list[str]:
    """Every place of a card, those within objects included."""
    found = []
    for key, value in card.items():
        found.append(prefix + key)
        found += places(value, f"{prefix}{key}.") if isinstance(value, dict) else []
    return found


@examples(120)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_a_card_with_anything_at_any_place_decides_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    directory = copy_of(kind, tmp_path_factory.mktemp("fuzzed") / "policy")
    card = read_any_card(directory)
    chosen = [place for place in places(card) if not place.startswith("feature_units.")]
    place, value = data.draw(st.sampled_from(chosen)), data.draw(VALUES)
    change_card(directory, lambda card: set_at(card, place, value) if place != "card_sha256" else None)
    said, why = outcome(directory)
    assert said in ("decides", "refused"), (place, value, why)
    shutil.rmtree(directory)


@examples(120)
@given(data=st.data(), kind=st.sampled_from(KINDS), file=st.sampled_from([CARD_FILE, TENSORS_FILE]))
def test_a_file_with_any_bytes_changed_decides_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str, file: str
) -> None:
    directory = copy_of(kind, tmp_path_factory.mktemp("fuzzed") / "policy")
    content = bytearray((directory / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if file == TENSORS_FILE:
        put_bytes(directory, bytes(content))
    else:
        (directory / file).write_bytes(bytes(content))
    said, why = outcome(directory)
    assert said in ("decides", "refused"), why
    shutil.rmtree(directory)


def test_all_faults_of_a_card_are_told_at_once(tmp_path: Path) -> None:
    directory = copy_of("quarter-hours", tmp_path / "policy")
    wrong = {"members": 0, "publication_delay_min": "abc", "sources": 5, "lattice.soc_nodes": -1}

    def change(card: dict[str, Any]) -> None:
        for place, value in wrong.items():
            set_at(card, place, value)

    change_card(directory, change)
    with pytest.raises(BadInput) as refused:
        load_policy(directory)
    assert len(refused.value.faults) == len(wrong)
    assert all(any(place in str(fault) for fault in refused.value.faults) for place in wrong)
    assert {fault.where for fault in refused.value.faults} == {str(directory / CARD_FILE)}
