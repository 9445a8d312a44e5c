"""An address that cannot be had stops the start at once, with one line that says what to do."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.commands.listening import bound_sockets

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "arbitrage", *arguments]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serving_on_a_taken_port_is_one_line_and_nothing_was_begun(
    tmp_path: Path, taken_port: int, workers: str
) -> None:
    ended = run(tmp_path, "serve", "--no-authentication", "--port", str(taken_port), "--workers", workers)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{taken_port}: something else listens there" in line
    assert ended.stdout == ""
    assert list(tmp_path.glob("*.db")) == []


def test_a_simulation_that_is_to_be_watched_on_a_taken_port_is_one_line(tmp_path: Path, taken_port: int) -> None:
    ended = run(tmp_path, "simulate-live", "--strategy", "idle", "--days", "0.02", "--serve", str(taken_port))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{taken_port}" in line


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("203.0.113.1", "it is no address of this machine"),
        ("2001:db8::1", "it is no address of this machine"),
        ("no such host.invalid", "is no address"),
    ],
)
def test_an_address_of_elsewhere_is_named(host: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        bound_sockets(host, 0)


def test_a_port_that_the_user_may_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidding(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("socket.socket", Forbidding)
    with pytest.raises(RuntimeError, match=r"127.0.0.1:80: this user may not: give a --port of 1024 or above"):
        bound_sockets("127.0.0.1", 80)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service_answers_on_the_bound_socket(tmp_path: Path, workers: int) -> None:
    (listener,) = bound_sockets("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    command = [sys.executable, "-m", "arbitrage", "serve", "--no-authentication", "--port", str(port)]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    process = subprocess.Popen([*command, "--workers", str(workers)], cwd=tmp_path, env=environment)
    try:
        until = time.monotonic() + 90.0
        while not _answers(port) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert _answers(port)
    finally:
        process.terminate()
        process.wait(30.0)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
