"""The Parquet files of the store: atomic writes, one writer at a time.

Contract
- A file is written under a temporary name, synced to disk and renamed, all under the lock of the store.
- The lock ends with the process that holds it. The next writer deletes what a killed process left unfinished; an
  unfinished file is never read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
from filelock import FileLock

from arbitrage.errors import BadInput, Fault
from arbitrage.market.files.schemas import QUALITY, START, RecordQuality

STATUSES = pd.CategoricalDtype([quality.value for quality in RecordQuality])
_NOTES = b"arbitrage"
_LAYOUT = 1
_LOCK_WAIT_S = 60.0
_UNFINISHED = ".unfinished"


@contextmanager
def writing(directory: Path, folder: Path) -> Iterator[None]:
    """Hold the store's lock, create `folder` and delete unfinished files in it. Raises OSError if the lock is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / ".lock", timeout=_LOCK_WAIT_S):
        for left in folder.glob(f".*{_UNFINISHED}"):
            left.unlink()
        yield


def is_final(path: Path) -> bool:
    """Whether a file exists and is marked as final. Raises BadInput if it is damaged."""
    return path.exists() and bool(_notes(path, _schema(path))["final"])


def read(path: Path) -> pd.DataFrame:
    """The rows of a file, indexed by UTC start. Raises BadInput if it is damaged or of another layout."""
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    _notes(path, table.schema)
    frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas().set_index(START)
    if QUALITY in frame:
        frame[QUALITY] = frame[QUALITY].astype(STATUSES)
    return frame


def write(path: Path, frame: pd.DataFrame, *, final: bool) -> None:
    """Write a file, replacing an older one. Call only while holding the lock (`writing`)."""
    flat = frame.reset_index()
    if QUALITY in flat:
        flat[QUALITY] = flat[QUALITY].astype(object)
    notes = json.dumps({"layout": _LAYOUT, "final": final}).encode()
    table = pa.Table.from_pandas(flat, preserve_index=False).replace_schema_metadata({_NOTES: notes})
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    with temporary.open("wb") as file:
        parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Force a rename to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _schema(path: Path) -> pa.Schema:
    try:
        return parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _notes(path: Path, schema: pa.Schema) -> dict[str, object]:
    notes: dict[str, object] = json.loads((schema.metadata or {}).get(_NOTES, b"{}"))
    if notes.get("layout") != _LAYOUT:
        raise BadInput([Fault(str(path), "was not written by this version of the store; move it out of the store")])
    return notes


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput([Fault(str(path), f"is damaged: delete it and fetch again ({error})")])
