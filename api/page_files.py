"""The files of the page, read once: its own from the package, plotly's from the plotly that is installed.

Contract: every file but the page itself has an address that changes with its content, so that browsers keep it for good
and never mix two editions.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
HTML = "index.html"
PLOTLY = "plotly.min.js"
_KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_SCRIPT = "text/javascript; charset=utf-8"
_EDITION_MARK = "EDITION"
"""Stands in the page where its files' addresses have the edition."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it is sent."""

    content: bytes
    compressed: bytes
    """By gzip."""
    media_type: str


@cache
def edition() -> str:
    """Names this edition of the page: its own files and the version of plotly."""
    digest = hashlib.sha256(version("plotly").encode())
    for name in own_files():
        digest.update(name.encode() + (FOLDER / name).read_bytes())
    return digest.hexdigest()[:16]


@cache
def own_files() -> tuple[str, ...]:
    """Names of the page's own files."""
    return tuple(sorted(path.name for path in FOLDER.iterdir() if path.suffix in {*_KINDS, ".js"}))


@cache
def html() -> PageFile:
    """The page, which names its files by edition."""
    text = (FOLDER / HTML).read_text(encoding="utf-8").replace(_EDITION_MARK, edition())
    return _page_file(text.encode(), HTML)


@cache
def file_named(name: str) -> PageFile | None:
    """A file that the page asks for; None where there is none of that name."""
    if name == PLOTLY:
        return _page_file(_plotly_script().read_bytes(), name)
    return _page_file((FOLDER / name).read_bytes(), name) if name in own_files() and name != HTML else None


def _plotly_script() -> Path:
    """Where plotly keeps its script; found without loading plotly."""
    spec = find_spec("plotly")
    if spec is None or spec.submodule_search_locations is None:
        raise RuntimeError("plotly is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "package_data" / PLOTLY


def _page_file(content: bytes, name: str) -> PageFile:
    return PageFile(content, gzip.compress(content, 6, mtime=0), _KINDS.get(Path(name).suffix, _SCRIPT))
