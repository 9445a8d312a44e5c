"""The service killed outright at random moments under load, and whether its log says what its clients were told.

    python benchmarks/service/kill.py [--kills 50] [--clients 32] [--workers 1] [--database sqlite] [--json out.json]

Each time `arbitrage serve` is asked for decisions from all sides on loopback and killed (SIGKILL, all its processes)
after a random number of answers and a further random moment; started again; and asked again, under the same idempotency
keys, for what it left unanswered and for some of what it had answered. At the end the log is read: every answered
decision must be in it exactly once and as it was answered, and nothing else. Exit code 1 if it is not so, or if the
service once took longer than 5 s to be ready again. `--database postgresql` starts a server of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from api.storage.database.database import Database
from tests.api.commands.killed_service import Kill, Service, Trial
from tests.api.storage import postgresql
from tests.api.storage.decisions import all_records

READY_WITHIN_S = 5.0
MOST_ANSWERS = 400
"""That a kill waits for, at most."""


@contextmanager
def database_of(kind: str) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/log.db"
        return
    programs = postgresql.server_programs()
    if programs is None:
        raise SystemExit(postgresql.INSTALL)
    with postgresql.server(programs) as url:
        yield url


def run(options: argparse.Namespace, database_url: str) -> tuple[list[Kill], int, list[str]]:
    """The kills, how many decisions the log holds at last, and all that is wrong with it."""
    chance = random.Random(options.seed)
    service = Service(database_url, options.workers)
    trial = Trial(service, chance, options.clients)
    service.start()
    try:
        order = track(range(options.kills), "killing", console=Console(stderr=True), transient=True)
        kills = [trial.kill_once(chance.randint(1, MOST_ANSWERS)) for _ in order]
    finally:
        service.kill()
    database = Database(database_url)
    log = all_records(database)
    database.close()
    return kills, len(log), trial.faults(log)


def table_of(kills: list[Kill]) -> Table:
    table = Table("kill", "answered", "under way", "of these written", "ready again, s", "told otherwise")
    for number, kill in enumerate(kills, 1):
        values = (kill.answered, kill.unanswered, kill.written, f"{kill.ready_s:.2f}", kill.differing)
        table.add_row(str(number), *map(str, values))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with database_of(options.database) as database_url:
        kills, logged, faults = run(options, database_url)
    slowest_s = max((kill.ready_s for kill in kills), default=0.0)
    report = {
        "database": options.database,
        "workers": options.workers,
        "kills": [asdict(kill) for kill in kills],
        "answered": sum(kill.answered for kill in kills),
        "unanswered": sum(kill.unanswered for kill in kills),
        "written_unanswered": sum(kill.written for kill in kills),
        "logged": logged,
        "faults": faults,
        "slowest_ready_s": slowest_s,
    }
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    console = Console()
    console.print(table_of(kills))
    console.print(
        f"{report['answered']} answered; {report['unanswered']} under way when killed, "
        f"{report['written_unanswered']} of these already written; {logged} in the log; {len(faults)} faults; "
        f"ready again within {slowest_s:.2f} s"
    )
    for fault in faults[:20]:
        console.print(fault)
    good = not faults and slowest_s <= READY_WITHIN_S and not any(kill.differing for kill in kills)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
