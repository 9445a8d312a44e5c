from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from api.storage.database.database import Database
from tests.api.storage.appending import READY, append_all
from tests.api.storage.decisions import all_records

PROJECT = Path(__file__).resolve().parents[3]


def started(url: str, *names: str, keys: int) -> list[subprocess.Popen[str]]:
    """Processes that begin to append at the same time."""
    module = "tests.api.storage.appending"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", module, url, name, str(keys)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{READY}\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def answers(lines: Iterable[str]) -> dict[str, str]:
    """What clients were told by key; a line that a killed process did not finish was told to nobody."""
    return dict(line.split() for line in lines if line.endswith("\n"))


def logged(database: Database) -> dict[str | None, str]:
    """Decisions of the log by key, each key once."""
    found = all_records(database)
    assert max(Counter(record.idempotency_key for record in found).values(), default=1) == 1
    return {record.idempotency_key: record.decision_id for record in found}


def test_processes_that_append_the_same_requests_at_once_all_answer_the_first_one_of_each(
    migrated_url: str, database: Database
) -> None:
    processes = started(migrated_url, "a", "b", keys=2000)
    told = [answers(process.communicate()[0].splitlines(keepends=True)) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    stored = logged(database)
    assert len(stored) == 2000
    assert told == [stored, stored]
    assert {decision_id.split("-")[0] for decision_id in stored.values()} == {"a", "b"}


def test_what_a_killed_process_had_answered_is_in_the_log_and_its_successor_says_the_same(
    migrated_url: str, database: Database
) -> None:
    (process,) = started(migrated_url, "killed", keys=100_000)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(random.randint(1, 400))]
    process.kill()
    lines += process.stdout.readlines()  # not `communicate`, which leaves out what has been read ahead
    process.communicate()
    told = answers(lines)
    stored = logged(database)
    assert told.items() <= stored.items()
    again = asyncio.run(append_all(database, "successor", 100_000 // 100))
    assert len(again) == 1000
    assert {key: again[key] for key in again if key in stored} == {key: stored[key] for key in again if key in stored}
    assert logged(database) == stored | again
