"""Keys that change while the service runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.http.security import ApiKey, KeyRing, digest_of, keys_in, new_key
from arbitrage.errors import BadInput
from tests.api.local_client import LocalClient, open_settings
from tests.api.served import served

OLD, NEW = new_key(), new_key()


def entry(name: str, key: str) -> dict[str, str]:
    return {"name": name, "sha256": digest_of(key)}


def shown(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", key.encode())]


class Watched:
    """A ring on a file, and the time that it goes by."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_s = path, 0.0
        self.write(json.dumps([entry("old", OLD)]))
        self.ring = KeyRing((), path, lambda: self.now_s)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def accepts(self, key: str) -> bool:
        """Whether it does a second later."""
        self.now_s += 1.0
        self.ring.refresh()
        return self.ring.owner(shown(key)) is not None


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "keys.json")


def test_a_new_key_is_accepted_and_a_revoked_one_is_not_within_a_second(watched: Watched) -> None:
    assert watched.accepts(OLD)
    watched.write(json.dumps([entry("new", NEW)]))
    assert watched.accepts(NEW)
    assert not watched.accepts(OLD)


def test_an_empty_list_revokes_all(watched: Watched) -> None:
    watched.write("[]")
    assert not watched.accepts(OLD)
    assert watched.ring.fault is None


def _twice(path: Path) -> None:
    path.write_text(json.dumps([entry("one", OLD), entry("two", OLD)]))


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(""),
        lambda path: path.write_text('[{"name": "ops"'),
        lambda path: path.write_text('{"name": "ops"}'),
        lambda path: path.write_text('[{"name": "ops", "sha256": "arb_secret"}]'),
        lambda path: path.write_bytes(b"[" + b" " * 2**20 + b"]"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        _twice,
        _to_pipe,
    ],
)
def test_a_file_that_cannot_be_used_keeps_the_keys_and_says_so(
    watched: Watched, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(watched.path)
    assert watched.accepts(OLD)
    assert watched.ring.fault is not None
    assert "arb_secret" not in watched.ring.fault
    assert "keys_file_refused" in "".join(capsys.readouterr())


def test_a_mended_file_is_taken_up(watched: Watched) -> None:
    watched.write("")
    assert watched.accepts(OLD)
    watched.write(json.dumps([entry("new", NEW)]))
    assert watched.accepts(NEW)
    assert watched.ring.fault is None


def test_the_file_is_looked_at_no_more_often_than_needed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr("api.http.security._stamp", looks.append)
    for _ in range(100):
        watched.now_s += 0.001
        watched.ring.refresh()
    assert len(looks) <= 1


def test_a_keys_file_that_never_ends_is_refused_at_the_start() -> None:
    with pytest.raises(BadInput, match="regular file"):
        keys_in(Path("/dev/zero"))


def test_a_broken_file_is_a_warning_to_operators_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([entry("ops", OLD), entry("eyes", NEW) | {"role": "reader"}]))
    with LocalClient(open_settings(tmp_path, authentication="keys", keys_file=path)) as client:
        assert client.get("/v1/assets", headers={"X-API-Key": OLD}).status_code == httpx.codes.OK
        path.write_text("")
        time.sleep(0.6)
        told = client.get("/readyz", headers={"X-API-Key": OLD})
        assert told.status_code == httpx.codes.OK
        assert [warning["about"] for warning in told.json()["warnings"]] == ["keys"]
        for headers in ({}, {"X-API-Key": NEW}):
            assert client.get("/readyz", headers=headers).json()["warnings"] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_follows_the_file(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([entry("old", OLD)]))
    open_to = {"wrong_keys_per_min": 6000.0, "wrong_key_delay_s": 0.0}
    with served(tmp_path, workers=workers, authentication="keys", keys_file=path, **open_to) as running:
        asked = [running.status("/v1/assets", headers={"X-API-Key": OLD}) for _ in range(20)]
        assert set(asked) == {httpx.codes.OK}
        (tmp_path / "next.json").write_text(json.dumps([entry("new", NEW)]))
        (tmp_path / "next.json").replace(path)
        time.sleep(1.0)
        for key, status in ((NEW, httpx.codes.OK), (OLD, httpx.codes.UNAUTHORIZED)):
            asked = [running.status("/v1/assets", headers={"X-API-Key": key}) for _ in range(20)]
            assert set(asked) == {status}


def test_keys_of_the_settings_stand_beside_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([entry("new", NEW)]))
    ring = KeyRing((ApiKey(**entry("old", OLD)),), path)
    assert [ring.owner(shown(key)).name for key in (OLD, NEW)] == ["old", "new"]
