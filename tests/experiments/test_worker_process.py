"""Worker processes: what they are handed, what they answer, and what becomes of those that die."""

from __future__ import annotations

import os
import signal

import pytest

from arbitrage.experiments.worker_process import Pipe, WorkerDied, WorkerProcess, ready


def answer(child_conn: Pipe) -> None:
    """Send a variable, then whether Ctrl-C is ignored, then end with the exit code that is received."""
    name = child_conn.recv()
    child_conn.send(os.environ.get(name))
    child_conn.send(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
    os._exit(int(child_conn.recv()))


def test_a_worker_answers_in_its_environment_ignores_ctrl_c_and_its_death_is_reported() -> None:
    before = signal.getsignal(signal.SIGINT)
    worker = WorkerProcess("worker", answer, {"ARBITRAGE_TEST_WORKER": "yes"})
    assert "ARBITRAGE_TEST_WORKER" not in os.environ
    assert signal.getsignal(signal.SIGINT) is before
    worker.send("ARBITRAGE_TEST_WORKER")
    assert ready([worker]) == [worker]
    assert worker.receive() == "yes"
    assert worker.receive() is True
    worker.send(3)
    assert ready([worker]) == [worker]
    worker.send("a message to a dead process is no error: receiving finds out")
    with pytest.raises(WorkerDied, match="exit code 3"):
        worker.receive()
