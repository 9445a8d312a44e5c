"""Running the service: one process, or several that share the database.

Law: what can be found wrong is found before anything listens.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import uvicorn

from api.app import app_to_serve, create_app
from api.logs import configure_logs
from api.metrics import MULTIPROCESS_VARIABLE
from api.settings import Settings
from api.storage.database import Database
from api.storage.refusals import DatabaseRefused


def run(settings: Settings) -> None:
    """Serve until told to stop; what was begun is finished first. Raises BadInput, RuntimeError."""
    configure_logs(settings.log_level)
    _prepare_database(settings.database_url)
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": int(settings.graceful_stop_s),
        "timeout_keep_alive": 30,
        "lifespan": "on",
    }
    if settings.workers == 1:
        uvicorn.run(app_to_serve(settings), **options)
        return
    create_app(settings)
    os.environ.update(settings.as_environment())
    with tempfile.TemporaryDirectory(prefix="arbitrage-metrics-") as folder:
        os.environ[MULTIPROCESS_VARIABLE] = folder
        uvicorn.run("api.app:from_environment", factory=True, workers=settings.workers, **options)


def _prepare_database(url: str) -> None:
    database = Database(url)
    try:
        database.migrate()
    except DatabaseRefused as refused:
        raise RuntimeError(str(refused)) from refused
    finally:
        database.close()
