"""`arbitrage serve` as a process of its own, for tests and benchmarks of what goes over its sockets."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from api.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
LONGEST_START_S = 120.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    """Its lines of standard error."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection that has sent so much."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10.0)
        made.sendall(sent)
        return made

    def status(self, path: str, **options: Any) -> int:
        """The status of one request on a connection of its own."""
        return httpx.get(self.url + path, timeout=10.0, **options).status_code


@contextmanager
def served(folder: Path, descriptors: int | None = None, **given: Any) -> Iterator[Served]:
    """A service with these settings that has become ready; `descriptors`: how many files it may open."""
    port = _free_port()
    own: dict[str, Any] = {"authentication": "off", "database_url": f"sqlite:///{folder / 'log.db'}", "reports": folder}
    settings = Settings(port=port, **own | given)
    environment = os.environ | settings.as_environment() | {"PYTHONPATH": str(PROJECT)}
    log = folder / "log.txt"
    with ExitStack() as stack:
        process = subprocess.Popen(
            [sys.executable, "-m", "arbitrage", "serve"],
            cwd=folder,
            env=environment,
            stderr=stack.enter_context(log.open("wb")),
        )
        if descriptors is not None:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors // 2, descriptors))
        stack.callback(process.wait, 60.0)
        stack.callback(process.terminate)
        running = Served(process, port, log)
        _wait_until_ready(running)
        yield running


def _wait_until_ready(running: Served) -> None:
    until = time.monotonic() + LONGEST_START_S
    while time.monotonic() < until and running.process.poll() is None:
        try:
            if running.status("/readyz") == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the service did not become ready: {running.log.read_text()}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
