"""Running the service: one process, or several that share the database.

Contract
- What can be found wrong is found before anything listens, the address first of all.
- SIGHUP ends nothing: what may change while serving, the keys file, is looked at by every process.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from api.app import app_to_serve, create_app
from api.commands.listening import bound_sockets
from api.http.rate_limit import LIMITS_VARIABLE, make_limits_file
from api.logs import configure_logs
from api.metrics import MULTIPROCESS_VARIABLE
from api.settings import Settings
from api.storage.database.database import Database
from api.storage.database.refusals import DatabaseRefused

if sys.platform != "win32":
    from api.http.connections import ConnectionLimits, Door, raise_descriptor_limit

log = structlog.get_logger("api.commands.server")


def run(settings: Settings) -> None:
    """Serve until asked to stop; what was begun is finished first. Raises BadInput, RuntimeError."""
    _ignore_hangup()
    configure_logs(settings.log_level)
    sockets = list(bound_sockets(settings.host, settings.port))
    _prepare_database(settings.database_url)
    options = server_options(settings)
    if settings.workers == 1:
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(app_to_serve(settings), **options)).run(sockets)
        return
    create_app(settings)
    os.environ.update(settings.as_environment())
    with tempfile.TemporaryDirectory(prefix="arbitrage-metrics-") as folder, tempfile.TemporaryDirectory() as limits:
        os.environ[MULTIPROCESS_VARIABLE] = folder
        os.environ[LIMITS_VARIABLE] = str(Path(limits) / "limits")
        make_limits_file(Path(os.environ[LIMITS_VARIABLE]))
        config = uvicorn.Config("api.app:from_environment", factory=True, workers=settings.workers, **options)
        supervisor = Multiprocess(config, sockets)
        # Not handled but ignored, which workers inherit: a handler of the supervisor's would replace them all.
        _ignore_hangup()
        supervisor.run()


def server_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn serves: our logs, deadlines and limits."""
    return {
        **_guarded(settings),
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": int(settings.graceful_stop_s),
        "timeout_keep_alive": settings.idle_timeout_s,
        "lifespan": "on",
    }


def _guarded(settings: Settings) -> dict[str, Any]:
    """What makes connections, with limits that fit the files that a process may open."""
    if sys.platform == "win32":
        return {}
    limits = ConnectionLimits.of(settings, raise_descriptor_limit())
    log.info("connection_limits", of_each_worker=limits.most, of_one_address=limits.most_per_address)
    return {"http": Door(limits), "backlog": limits.backlog}


def _ignore_hangup() -> None:
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _prepare_database(url: str) -> None:
    database = Database(url)
    try:
        database.migrate()
    except DatabaseRefused as refused:
        raise RuntimeError(str(refused)) from refused
    finally:
        database.close()
