"""Where tests find the real market data that lies beside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_file(name: str) -> Path:
    """The path of a shared file, such as `imbalance_qh_2022.parquet`; skips the test where it is absent."""
    path = _DATA / name
    if not path.exists():
        pytest.skip(f"needs {path}, which is not here")
    return path
