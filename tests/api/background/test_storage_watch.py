"""What readiness and decisions say while nothing can be written, and after: disk, file, page, server."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.schemas.examples import DECISION_REQUEST
from api.storage.database import file as database_file
from api.storage.database.database import Database
from tests.api.conftest import NOW
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.storage import postgresql
from tests.api.storage.decisions import logged

ASSET = {"battery": {}, "policy_id": "threshold", "state": {"soc_mwh": 1.0}}
OUTAGES = ("/storage", "/outcome-open")


@pytest.fixture(autouse=True)
def _always_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question about readiness asks the database and waits for it, and nothing else asks."""
    monkeypatch.setattr("api.background.storage_watch.StorageWatch.start", lambda _: None)
    monkeypatch.setattr("api.background.storage_watch.EVERY_S", 0.0)
    monkeypatch.setattr("api.background.storage_watch.PATIENCE_S", 60.0)
    monkeypatch.setattr("api.background.storage_watch.SILENCE_S", 60.0)
    monkeypatch.setattr("api.storage.database.probe.LEAST_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("api.storage.database.probe._LOOKS", 0.0)


@contextmanager
def serving(folder: Path, **given: Any) -> Iterator[LocalClient]:
    with LocalClient(open_settings(folder, **given), StandingClock(NOW)) as client:
        yield client


def decide(client: LocalClient) -> httpx.Response:
    return client.post("/v1/decisions", DECISION_REQUEST)


def ready(client: LocalClient) -> tuple[bool, str]:
    told = client.get("/readyz").json()
    return told["ready"], " ".join(reason["message"] for reason in told["reasons"] if reason["about"] == "database")


def assert_fit(client: LocalClient) -> None:
    assert ready(client) == (True, "")
    assert decide(client).status_code == 200


def assert_refused(client: LocalClient, because: str) -> None:
    """An outage, whatever is asked first, which goes on."""
    for _ in range(2):
        answer = decide(client)
        assert answer.status_code == 503, answer.text
        assert answer.json()["type"].endswith(OUTAGES)
        is_ready, reason = ready(client)
        assert not is_ready
        assert because in reason


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a disk of its own needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take all the space that is left."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(b"\0" * 4096):
            pass


def test_on_a_full_disk_decisions_are_refused_and_go_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.storage.database.probe.LEAST_FREE_BYTES", 1)
    with small_disk(tmp_path / "disk", 4) as disk, serving(disk) as client:
        assert_fit(client)
        fill(disk / "filler")
        answers = [decide(client)]
        while answers[-1].status_code == 200 or len(answers) < 50:  # until nothing fits into what the files have
            assert "0 MiB are free" in ready(client)[1]
            answers.append(decide(client))
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert answers[-1].json()["type"].endswith("/storage")
        (disk / "filler").unlink()
        assert_fit(client)
        told = {answer.json()["decision_id"] for answer in answers if answer.status_code == 200}
        logged = {each["decision_id"] for each in client.get("/v1/decisions?limit=1000").json()["decisions"]}
    assert told <= logged
    assert len(logged) == len(told) + 2


def test_a_disk_that_is_nearly_full_is_not_fit_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as client:
        with monkeypatch.context() as nearly_full:
            nearly_full.setattr(database_file.DatabaseFile, "free_bytes", lambda _: 5 * 2**20)
            assert ready(client) == (
                False,
                f"5 MiB are free on the disk of {tmp_path / 'service.db'}, and 32 MiB are needed: make room",
            )
        assert_fit(client)


def test_what_is_decided_on_a_moved_file_is_refused_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    file, away = tmp_path / "service.db", tmp_path / "away.db"
    with serving(tmp_path) as client:
        assert client.put("/v1/assets/be-1", ASSET).status_code == 200
        before = decide(client).json()["decision_id"]
        file.rename(away)
        assert_refused(client, "was deleted or moved")
        assert client.put("/v1/assets/be-1", ASSET).status_code == 503
        assert not file.exists(), "no empty database takes the place of one that is gone"
        away.rename(file)
        assert_fit(client)
        logged = [each["decision_id"] for each in client.get("/v1/decisions").json()["decisions"]]
    assert len(logged) == 2
    assert logged[1] == before


def test_a_backup_that_takes_the_place_of_a_deleted_file_is_taken_up(tmp_path: Path) -> None:
    file, backup = tmp_path / "service.db", tmp_path / "backup.db"
    with serving(tmp_path) as client:
        assert_fit(client)
        with sqlite3.connect(file) as source, sqlite3.connect(backup) as target:
            source.backup(target)
        file.unlink()
        assert_refused(client, "was deleted or moved")
        for junk in (b"", b"Dear reader, " * 1000):
            file.write_bytes(junk)
            assert_refused(client, "another file lies in the place of the database")
        backup.replace(file)
        assert ready(client) == (True, "")
        decided = decide(client).json()["decision_id"]
        assert decided in {each["decision_id"] for each in client.get("/v1/decisions").json()["decisions"]}
    kept = Database(f"sqlite:///{file}")
    assert logged(kept, decided) is not None
    kept.close()


def test_a_file_that_goes_while_a_decision_is_written_leaves_its_outcome_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as client:
        assert_fit(client)
        faults = iter([None, "the database file was deleted or moved"])

        def fault(_: object) -> str | None:
            return next(faults, None) if threading.current_thread().name.startswith("group-commit") else None

        with monkeypatch.context() as going:
            going.setattr(database_file.DatabaseFile, "fault", fault)
            answer = decide(client)
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("/outcome-open")
        assert_fit(client)


def damaged(file: Path, table: str) -> bytes:
    """Flip the bits of the pages of a table; returns the file as it was."""
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    whole = file.read_bytes()
    begin, end = (root - 1) * size, root * size
    file.write_bytes(whole[:begin] + bytes(255 - byte for byte in whole[begin:end]) + whole[end:])
    return whole


@pytest.mark.parametrize("table", ["decisions", "ix_decisions_role_generated_at_sequence"])
def test_damage_is_an_outage_until_the_database_is_whole_again(tmp_path: Path, table: str) -> None:
    file = tmp_path / "service.db"
    with serving(tmp_path) as client:
        assert_fit(client)
    whole = damaged(file, table)
    with serving(tmp_path) as client:
        assert_refused(client, "malformed")
        assert client.get("/v1/decisions").status_code == 503
        copy = tmp_path / "copy.db"
        copy.write_bytes(whole)
        copy.replace(file)
        assert_fit(client)
        assert len(client.get("/v1/decisions").json()["decisions"]) == 2


def test_damage_in_a_place_that_no_decision_touches_is_mended_by_itself(tmp_path: Path) -> None:
    """Found by a writer, in the file that stays: fit again once all of it was looked through."""
    file = tmp_path / "service.db"
    with serving(tmp_path) as client:
        assert_fit(client)
    whole = damaged(file, "decisions")
    with serving(tmp_path) as client:
        assert_refused(client, "malformed")
        with file.open("r+b") as same:
            same.write(whole)
        assert_fit(client)


def test_a_stopped_server_is_an_outage_until_it_is_back(tmp_path: Path) -> None:
    programs = postgresql.server_programs()
    if programs is None:
        pytest.skip(postgresql.INSTALL)
    with postgresql.stoppable_server(programs) as server, serving(tmp_path, database_url=server.url) as client:
        assert_fit(client)
        server.stop()
        try:
            assert_refused(client, "connection")
        finally:
            server.start()
        assert_fit(client)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LocalClient]:
    with serving(tmp_path) as client:
        yield client


def replaced_probe(client: LocalClient, probe: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.app.state.service.storage_watch, "_probe_all", probe)


def test_readiness_answers_while_the_database_does_not(client: LocalClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fit(client)
    release = threading.Event()
    replaced_probe(client, lambda: bool(release.wait()), monkeypatch)
    monkeypatch.setattr("api.background.storage_watch.PATIENCE_S", 0.01)
    assert ready(client) == (True, ""), "as it was when it was asked last"
    monkeypatch.setattr("api.background.storage_watch.SILENCE_S", 0.0)
    is_ready, reason = ready(client)
    assert not is_ready
    assert "has not answered for" in reason
    release.set()
    monkeypatch.setattr("api.background.storage_watch.PATIENCE_S", 60.0)
    monkeypatch.setattr("api.background.storage_watch.SILENCE_S", 60.0)
    assert_fit(client)


def test_readiness_asks_the_database_once_in_its_time_however_often_it_is_asked(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    replaced_probe(client, lambda: asked.append(1), monkeypatch)
    ready(client)
    monkeypatch.setattr("api.background.storage_watch.EVERY_S", 600.0)
    count = len(asked)
    for _ in range(20):
        assert_fit(client)
    assert len(asked) == count


def test_a_write_that_fails_counts_before_the_database_is_asked_again(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_fit(client)
    monkeypatch.setattr("api.background.storage_watch.EVERY_S", 600.0)
    client.app.state.service.database.health.failed("database or disk is full", is_damage=False)
    assert ready(client) == (False, "database or disk is full")
    assert decide(client).status_code == 200
    assert ready(client) == (True, "")


def test_the_outcome_stands_in_the_figures(client: LocalClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fit(client)
    assert "arbitrage_storage_fit 1.0" in client.get("/metrics").text
    monkeypatch.setattr(database_file.DatabaseFile, "free_bytes", lambda _: 0)
    ready(client)
    assert "arbitrage_storage_fit 0.0" in client.get("/metrics").text
