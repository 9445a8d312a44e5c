"""A private PostgreSQL server for tests, from the Debian package, which nothing else talks to."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, text

INSTALL = "needs PostgreSQL's server, which is not here; on Debian: apt-get install -y postgresql"
UNPRIVILEGED = "postgres"
"""The user that the package makes; the server refuses to run as root."""
_numbers = itertools.count()


def server_programs() -> Path | None:
    """The folder with initdb and pg_ctl, the newest if there are several."""
    found = shutil.which("pg_ctl")
    if found is not None and shutil.which("initdb") is not None:
        return Path(found).parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    stop: Callable[[], None]
    """At once, as if it had died."""
    start: Callable[[], None]
    """Again; returns when it is there."""


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """Run a fresh server; yields its URL."""
    with stoppable_server(programs) as running:
        yield running.url


@contextmanager
def stoppable_server(programs: Path) -> Iterator[Server]:
    """Run a fresh server, reached through a socket in a folder of its own."""
    user = _other_user()
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", f"{folder}/data", *arguments]
            who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **who)

        run("initdb", "--auth=trust", "--username=arbitrage", "--encoding=UTF8", "--locale=C", "--no-sync")
        settings = f"-k {folder} -c listen_addresses= -c fsync=off"
        start = partial(run, "pg_ctl", "start", "--wait", "--log", f"{folder}/log", "--options", settings)
        stop = partial(run, "pg_ctl", "stop", "--wait", "--mode=immediate")
        start()
        try:
            yield Server(f"postgresql://arbitrage@/postgres?host={quote(folder, safe='')}", stop, start)
        finally:
            stop()


def fresh_schema(server_url: str) -> str:
    """The URL of a new, empty schema on a server."""
    name = f"test_{next(_numbers)}"
    engine = create_engine(server_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{server_url}&options=-csearch_path%3D{name}"


def _other_user() -> pwd.struct_passwd | None:
    """Whom to run as: ourselves (None), unless we are root."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
