"""A fetch in a process of its own that is killed outright, and what its store must be like once it was taken up again.

Two stores are the same if they have the same files, each with the same mark of being final and the same bytes in every
column but `first_seen`: the time of being seen is what two fetches differ in by nature.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from arbitrage.market.fetch.elia_client import EliaClient
from arbitrage.market.fetch.fetch import EliaSource, FetchReport, fetch
from arbitrage.market.store import parquet as store_files
from arbitrage.market.store.datasets import Source
from arbitrage.market.store.store import FIRST_SEEN, Store
from tests.market.fetch.elia_server import EliaServer

TOPICS = (Source.PRICES, Source.MINUTES)
NOW = pd.Timestamp("2024-12-01", tz="UTC")
_LONGEST_PIECE_S = 0.08
"""About as long as it takes to read an answer and to write its piece, so that kills fall into all of it."""


def fetch_all(url: str, directory: Path, start: str, end: str) -> FetchReport:
    """Fetch a span into a store."""
    with EliaClient(url) as client:
        sources = dict.fromkeys(TOPICS, EliaSource(client))
        span = (pd.Timestamp(time, tz="UTC") for time in (start, end))
        return fetch(Store(directory), sources, *span, now=lambda: NOW)


def killed(
    server: EliaServer, directory: Path, start: str, end: str, *, at_request: int, chance: random.Random | None
) -> None:
    """Start a fetch and kill it outright after its request of that number has come.

    chance: of the moment; None kills as soon as a half-written file is there.
    """
    before = len(server.requests)
    command = [sys.executable, "-m", "tests.market.fetch.killed_fetch", server.url, str(directory), start, end]
    project = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE) as process:
        while len(server.requests) < before + at_request:
            if process.poll() is not None:
                raise RuntimeError(f"the fetch ended before its request {at_request}: {process.communicate()[1]!r}")
            time.sleep(0.001)
        if chance is None:
            while not unfinished(directory) and process.poll() is None:
                pass
        else:
            time.sleep(chance.uniform(0.0, _LONGEST_PIECE_S))
        process.kill()


def unfinished(directory: Path) -> list[Path]:
    """The half-written files of a store."""
    return list(directory.glob("*/*/.*"))


def contents(directory: Path) -> dict[str, str]:
    """Of every file of a store, a digest of what makes two stores the same."""
    return {str(file.relative_to(directory)): _digest(file) for file in sorted(directory.glob("*/*/[0-9]*.parquet"))}


def _digest(file: Path) -> str:
    table = parquet.read_table(file).drop_columns([FIRST_SEEN]).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return f"{store_files.is_final(file)} {hashlib.sha256(sink.getvalue()).hexdigest()}"


if __name__ == "__main__":
    fetch_all(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
