"""A fetch that is killed outright, and what becomes of its store; `benchmarks/fetch_kill.py` does more of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbitrage.market.store.datasets import DATASETS
from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import EliaServer
from tests.market.fetch.killed_fetch import contents, fetch_all, killed


@pytest.fixture
def server() -> Iterator[EliaServer]:
    with EliaServer(datasets={dataset.name: [] for dataset in DATASETS}).running() as running:
        yield running


def test_a_fetch_that_is_killed_and_taken_up_again_makes_the_same_store(server: EliaServer, tmp_path: Path) -> None:
    span = ("2024-08-30", "2024-09-06")
    server.datasets["ods134"] = double.quarter_hours("2024-08-01", "2024-10-01")
    server.datasets["ods133"] = double.minutes(*span, status="Validated")
    undisturbed = fetch_all(server.url, tmp_path / "undisturbed", *span)
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) == sum(each.asked for each in undisturbed.record_types) == 2 + 7
    for seed, writing in ((1, False), (2, False), (3, True)):
        chance = random.Random(seed)
        directory = tmp_path / str(seed)
        killed(server, directory, *span, at_request=chance.randint(1, 6), chance=None if writing else chance)
        there = contents(directory)
        assert there.items() <= expected.items()
        resumed = fetch_all(server.url, directory, *span)
        assert sum(each.skipped for each in resumed.record_types) == len(there)
        assert contents(directory) == expected
