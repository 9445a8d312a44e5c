"""Running the service: one process, or several that share the database.

Law: what can be found wrong is found before anything listens, the address first of all.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from api.app import app_to_serve, create_app
from api.listening import bound_sockets
from api.logs import configure_logs
from api.metrics import MULTIPROCESS_VARIABLE
from api.settings import Settings
from api.storage.database import Database
from api.storage.refusals import DatabaseRefused


def run(settings: Settings) -> None:
    """Serve until told to stop; what was begun is finished first. Raises BadInput, RuntimeError."""
    configure_logs(settings.log_level)
    sockets = list(bound_sockets(settings.host, settings.port))
    _prepare_database(settings.database_url)
    options: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": int(settings.graceful_stop_s),
        "timeout_keep_alive": 30,
        "lifespan": "on",
    }
    if settings.workers == 1:
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(app_to_serve(settings), **options)).run(sockets)
        return
    create_app(settings)
    os.environ.update(settings.as_environment())
    with tempfile.TemporaryDirectory(prefix="arbitrage-metrics-") as folder:
        os.environ[MULTIPROCESS_VARIABLE] = folder
        config = uvicorn.Config("api.app:from_environment", factory=True, workers=settings.workers, **options)
        Multiprocess(config, sockets).run()


def _prepare_database(url: str) -> None:
    database = Database(url)
    try:
        database.migrate()
    except DatabaseRefused as refused:
        raise RuntimeError(str(refused)) from refused
    finally:
        database.close()
