"""Worker processes: how one is started, heard and ended.

Contract
- A worker ignores Ctrl-C from its first moment: an interruption is for the parent, which ends its workers. A worker
  whose parent has been killed ends by itself.
- Messages travel over one pipe a worker, so that a worker that dies blocks no other.
- The target of a worker is called with its end of the pipe; a function at module level, since processes are spawned.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeAlias, TypeVar

Pipe: TypeAlias = "connection.Connection[Any, Any]"

_CONTEXT = get_context("spawn")
_ORPHANED = 1


class WorkerDied(Exception):
    """The worker process ended without a last message."""


class WorkerProcess:
    """A worker process, as its parent sees it."""

    def __init__(self, name: str, target: Callable[[Pipe], None], environment: Mapping[str, str] | None = None) -> None:
        """Start the process; `environment` adds to the variables that it sees."""
        self.parent_conn, child_conn = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_run, name=name, args=(target, child_conn), daemon=True)
        with _ignoring_interrupts(), _environment(environment or {}):
            self._process.start()
        child_conn.close()

    def send(self, message: object) -> None:
        """Hand over a message. If the process has died, `receive` finds out."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.parent_conn.send(message)

    def receive(self) -> Any:
        """The next message. Raises WorkerDied where there will be none."""
        try:
            return self.parent_conn.recv()
        except (EOFError, OSError):  # nothing more, or no whole message
            self._process.join()
            self.parent_conn.close()
            raise WorkerDied(f"its process ended with exit code {self._process.exitcode}") from None

    def join(self) -> None:
        """Wait until the process has ended by itself."""
        self._process.join()
        self.parent_conn.close()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self.join()


Worker = TypeVar("Worker", bound=WorkerProcess)


def ready(workers: Sequence[Worker]) -> list[Worker]:
    """Those with a message, or dead; waits until there is one."""
    waiting = connection.wait([worker.parent_conn for worker in workers])
    return [worker for worker in workers if worker.parent_conn in waiting]


def _run(target: Callable[[Pipe], None], child_conn: Pipe) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    target(child_conn)


def _end_with_parent() -> None:
    """The parent has been killed: end.."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(_ORPHANED)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """A process started meanwhile ignores Ctrl-C before its own code runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """A process started meanwhile has these variables set."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
