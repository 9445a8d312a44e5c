from __future__ import annotations

import dataclasses
import random
from pathlib import Path

from api.storage.database.database import Database
from tests.api.commands.killed_service import Service, Trial
from tests.api.storage.decisions import all_records, decision


def test_a_service_killed_under_load_has_logged_each_answer_once_and_answers_the_rest_when_asked_again(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    service = Service(url)
    trial = Trial(service, random.Random(), clients=8)
    service.start()
    try:
        kill = trial.kill_once(after_answers=random.randint(1, 100))
    finally:
        service.kill()
    database = Database(url)
    log = all_records(database)
    database.close()
    assert trial.faults(log) == []
    assert kill.differing == 0
    assert len(log) == kill.answered + kill.unanswered


def test_a_log_that_differs_from_what_clients_were_told_is_found_out() -> None:
    trial = Trial(Service("sqlite:///unused.db"), random.Random(0))
    trial.told.answers |= {"same": "1", "lost": "2", "other": "3", "twice": "4"}
    log = [
        decision(idempotency_key=key, answer=answer)
        for key, answer in [("same", "1"), ("other", "?"), ("twice", "4"), ("twice", "4"), ("nobody's", "5")]
    ]
    assert trial.faults(log) == [
        "twice is in the log 2 times",
        "lost was answered and is not in the log",
        "nobody's is in the log and was never answered",
        "other was answered otherwise than it is in the log",
    ]
    assert (
        trial.faults(
            [
                dataclasses.replace(log[0], idempotency_key=key, answer=answer)
                for key, answer in trial.told.answers.items()
            ]
        )
        == []
    )
