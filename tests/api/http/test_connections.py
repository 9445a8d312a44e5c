"""Connections of strangers, over real sockets: none of them costs the service anything for long."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api.http.connections import OWN_DESCRIPTORS, ConnectionLimits
from api.schemas.examples import DECISION_REQUEST
from api.settings import Settings
from tests.api.served import Served, served

DEADLINE_S = 0.5
PATIENCE_S = 15.0
HALF_OPEN = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
WHOLE = HALF_OPEN + b"\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with short deadlines."""
    with served(
        tmp_path_factory.mktemp("hasty"),
        header_timeout_s=DEADLINE_S,
        idle_timeout_s=DEADLINE_S,
        answer_timeout_s=DEADLINE_S,
        request_timeout_s=2.0,
    ) as running:
        yield running


def received_until_closed(connection: socket.socket) -> bytes:
    """What came before the service closed. Raises TimeoutError if it does not."""
    connection.settimeout(PATIENCE_S)
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def drip_until_closed(connection: socket.socket, drop: bytes) -> None:
    """Send one drop after another. Raises TimeoutError if the service goes on listening."""
    until = time.monotonic() + PATIENCE_S
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < until:
            connection.sendall(drop)
            time.sleep(DEADLINE_S / 5)
        raise TimeoutError


@pytest.mark.parametrize("sent", [b"", b"GET", HALF_OPEN, b"\r\n\r\n"])
def test_headers_that_do_not_come_end_the_connection(hasty: Served, sent: bytes) -> None:
    with hasty.connect(sent) as connection:
        assert received_until_closed(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("sent", "drop"), [(HALF_OPEN, b"a"), (b"", b"\r\n"), (WHOLE, b"G"), (WHOLE, b"\r\n")])
def test_headers_that_come_byte_by_byte_end_the_connection(hasty: Served, sent: bytes, drop: bytes) -> None:
    with hasty.connect(sent) as connection:
        drip_until_closed(connection, drop)


def test_an_idle_connection_is_closed(hasty: Served) -> None:
    with hasty.connect(WHOLE) as connection:
        assert received_until_closed(connection).count(b"HTTP/1.1") == 1


def test_headers_without_end_are_refused(hasty: Served) -> None:
    with hasty.connect(b"GET /healthz HTTP/1.1\r\nx: ") as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"a" * 200_000)
        assert received_until_closed(connection).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_does_not_come_is_answered_and_ends_the_connection(hasty: Served) -> None:
    kind = b"content-type: application/json\r\ncontent-length: 50\r\n\r\n"
    with hasty.connect(b"POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\n" + kind + b"{") as connection:
        assert received_until_closed(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_after_its_answer_has_a_deadline(hasty: Served) -> None:
    with hasty.connect(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000\r\n\r\n") as connection:
        drip_until_closed(connection, b"x")


def test_an_answer_that_is_not_read_ends_the_connection(hasty: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", hasty.port))
        ask = b"GET /openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        connection.sendall(ask * 100)
        wait_for(lambda: not is_open_at_the_service(hasty, connection))


def is_open_at_the_service(running: Served, connection: socket.socket) -> bool:
    """Whether the service's end of a connection is still held by its process."""
    port = connection.getsockname()[1]
    lines = Path(f"/proc/{running.process.pid}/net/tcp").read_text().splitlines()[1:]
    inodes = {line.split()[9] for line in lines if line.split()[2].endswith(f":{port:04X}")}
    held = set()
    for entry in Path(f"/proc/{running.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            held.add(str(entry.readlink()))
    return any(f"socket:[{inode}]" in held for inode in inodes)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_request_in_pieces_is_served_as_before(hasty: Served) -> None:
    with hasty.connect(WHOLE[:20]) as connection:
        time.sleep(DEADLINE_S / 5)
        connection.sendall(WHOLE[20:] + WHOLE)
        assert received_until_closed(connection).count(b'{"status":"alive"}') == 2


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sent", [b"", HALF_OPEN])
def test_500_half_open_connections_leave_a_service_of_256_files_alive(
    tmp_path: Path, workers: int, sent: bytes
) -> None:
    with served(tmp_path, descriptors=256, workers=workers) as running, contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(running.connect(sent))
        for _ in range(10):
            assert running.status("/healthz") == httpx.codes.OK
            decided = httpx.post(f"{running.url}/v1/decisions", json=DECISION_REQUEST, timeout=10.0)
            assert decided.status_code == httpx.codes.OK
        assert running.process.poll() is None
        assert "connections_at_their_limit" in running.log.read_text()


def test_a_connection_that_has_asked_outlives_those_that_never_do(tmp_path: Path) -> None:
    with served(tmp_path, most_connections=40, idle_timeout_s=600.0) as running, contextlib.ExitStack() as stack:
        kept = httpx.Limits(keepalive_expiry=None)
        client = stack.enter_context(httpx.Client(base_url=running.url, limits=kept, timeout=30.0))
        first = client.get("/healthz")
        for _ in range(100):
            stack.enter_context(running.connect(HALF_OPEN))
        second = client.get("/healthz")
        streams = [answer.extensions["network_stream"].get_extra_info("client_addr") for answer in (first, second)]
        assert streams[0] == streams[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_hangup_ends_nothing(tmp_path: Path, workers: int) -> None:
    with served(tmp_path, workers=workers) as running:
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        for pid in (running.process.pid, *map(int, children if workers > 1 else [])):
            os.kill(pid, signal.SIGHUP)
        time.sleep(1.0)
        assert running.status("/healthz") == httpx.codes.OK
        assert running.process.poll() is None


def test_limits_fit_the_files_that_may_be_opened() -> None:
    settings = Settings(authentication="off", most_connections=1000, most_connections_per_address=500)
    assert ConnectionLimits.of(settings, 65536).most == 1000
    assert ConnectionLimits.of(settings, 65536).most_per_address == 500
    assert ConnectionLimits.of(settings, 256).most == 256 - OWN_DESCRIPTORS
    assert ConnectionLimits.of(settings, 256).most_per_address == (256 - OWN_DESCRIPTORS) * 3 // 4
