"""Files that others have written, read so that none of them can stop, fill or crash the process.

Contract: only regular files up to a size are read, and JSON only as its standard has it: no NaN, no infinite number, no
key twice in an object, and a bounded depth. Everything else is a BadInput that names the file and the remedy.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arbitrage.errors import BadInput, Fault

MOST_DEPTH = 32
"""Objects and lists within each other."""
_LONGEST_NAMED = 40
_SURROGATE = re.compile("[\ud800-\udfff]")
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Opening a pipe does not wait for a writer."""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file. Raises BadInput for everything else, and for more than `most_bytes`."""
    try:
        _refuse_special(path, path.stat(), most_bytes)
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            found = os.fstat(file.fileno())
            _refuse_special(path, found, most_bytes)
            content = file.read(found.st_size + 1)
    except OSError as error:
        raise BadInput([Fault(str(path), f"cannot be read: {error.strerror}")]) from error
    if len(content) != found.st_size:
        raise BadInput([Fault(str(path), "has changed while it was read; read it again")])
    return content


def read_json(path: Path, most_bytes: int) -> Any:
    """What a JSON file says. Raises BadInput, also where `read_bounded` does."""
    content = read_bounded(path, most_bytes)
    try:
        value = json.loads(
            content, object_pairs_hook=_each_once, parse_constant=_refuse, parse_float=_finite, parse_int=_whole
        )
    except RecursionError:
        raise BadInput([_too_deep(path)]) from None
    except ValueError as error:
        raise BadInput([Fault(str(path), f"is not JSON: {error}")]) from error
    faults = list(_faults_within(path, value))
    if faults:
        raise BadInput(faults)
    return value


def _refuse_special(path: Path, found: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadInput([Fault(str(path), "is not a regular file; put the file itself there")])
    if found.st_size > most_bytes:
        raise BadInput([Fault(str(path), f"is larger than the {most_bytes:,} bytes that such a file may have")])


def _too_deep(path: Path) -> Fault:
    return Fault(str(path), f"is nested deeper than {MOST_DEPTH} objects and lists")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which every key stands once: of two values no reader can say which one was meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise ValueError(f"the key {twice[:_LONGEST_NAMED]!r} stands twice in one object")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number of JSON; write null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_LONGEST_NAMED]} is too large for a number")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def _faults_within(path: Path, value: object) -> Iterator[Fault]:
    """Too many levels, and text that is not Unicode, level by level."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        texts = [part for part in level if isinstance(part, str)]
        texts += [key for part in level if isinstance(part, dict) for key in part]
        if _SURROGATE.search("\n".join(texts)):
            yield Fault(str(path), "holds half a surrogate pair, which is not text")
            return
        level, depth = [child for part in level for child in _children(part)], depth + 1
    if level:
        yield _too_deep(path)


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
