"""The processes of backtests: what the database calls them, and how each ended, in one sentence for who asked for it.

Contract: a reason is a sentence and no traceback, which is for the log.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from arbitrage.errors import BadInput

LONGEST = 500
"""Characters of a reason."""
_MEMORY = "it needed more memory than there is: give a shorter span, or leave the report out"
_COUNTERS = Path("/proc/vmstat")


def worker_name(process_id: int) -> str:
    """What the database calls the worker that is a process of this machine."""
    return f"{socket.gethostname()}:{process_id}"


def failure_of(error: Exception) -> str:
    """Why a job failed, from what was raised: its faults, else the exception's name and first line."""
    if isinstance(error, MemoryError):
        return f"{_MEMORY} ({type(error).__name__})"
    if isinstance(error, BadInput):
        return str(error)
    lines = str(error).strip().splitlines()
    return (f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)[:LONGEST]


def ending_of(exit_code: int, killed_for_memory: int) -> str:
    """Why a process left its job unfinished; a negative exit code is a signal's.

    killed_for_memory: processes that the system ended meanwhile for lack of memory.
    """
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code} and left no result"
    name = _signal_name(-exit_code)
    if name != signal.SIGKILL.name:
        return f"its process was ended by {name}"
    if killed_for_memory:
        return f"its process was ended by {name}, for the system's memory ran out: {_MEMORY}"
    return f"its process was ended by {name}: by a person, or by a limit on memory"


def kills_for_memory() -> int:
    """Processes that the system has ended for lack of memory since it started; 0 where it does not say."""
    if not _COUNTERS.is_file():
        return 0
    counters = dict(line.split() for line in _COUNTERS.read_text().splitlines())
    return int(counters.get("oom_kill", 0))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
