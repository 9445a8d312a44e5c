"""Fetches killed outright at random moments, and what becomes of their stores when they are taken up again.

    python benchmarks/fetch_kill.py [--kills 10] [--seed 0]

Each fetch runs in a process of its own against the local double of Elia's service and is killed (SIGKILL): every odd
one after a random request and a random further wait, every even one after a random request as soon as a half-written
file is seen. Its store is then taken up by a second fetch and compared with that of one that nobody disturbed: the same
files, each with the same bytes in every column but the time of being seen. Exit code 1 if one differs.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from tests.market.fetch import elia_server as double
from tests.market.fetch.elia_server import EliaServer
from tests.market.fetch.killed_fetch import contents, fetch_all, killed, unfinished

SPAN = ("2024-05-15", "2024-06-08")
"""Across the go-live of 2024-05-22: prices and minutes from two datasets each."""


def served() -> EliaServer:
    old = double.old_quarter_hours("2024-05-01", "2024-05-22")
    return EliaServer(
        datasets={
            "ods047": old,
            "ods134": double.quarter_hours("2024-05-22", "2024-07-01"),
            "ods046": double.minutes("2024-05-15", "2024-05-22", "Validated"),
            "ods133": double.minutes("2024-05-22", "2024-06-08", "Validated"),
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    table = Table("kill", "after request", "pieces stored", "left unfinished", "asked again", "skipped", "same store")
    all_same = True
    with served().running() as server, tempfile.TemporaryDirectory() as directory:
        fetch_all(server.url, Path(directory) / "undisturbed", *SPAN)
        requests, expected = len(server.requests), contents(Path(directory) / "undisturbed")
        for number in range(1, options.kills + 1):
            store = Path(directory) / str(number)
            at_request = chance.randint(1, requests - 3)
            killed(server, store, *SPAN, at_request=at_request, chance=chance if number % 2 else None)
            there, left = contents(store), len(unfinished(store))
            report = fetch_all(server.url, store, *SPAN)
            same = contents(store) == expected
            all_same &= same
            asked, skipped = (sum(getattr(each, name) for each in report.record_types) for name in ("asked", "skipped"))
            table.add_row(*map(str, (number, f"{at_request} of {requests}", len(there), left, asked, skipped, same)))
    Console().print(table)
    return 0 if all_same else 1


if __name__ == "__main__":
    sys.exit(main())
