"""A finished page as PDF or PNG, printed by the browser that is there.

Contract: the page is the report; these are pictures of it. Chromium, or what is built on it, opens the file without a
window and without a network. Where there is none, or it fails, the reason is given and nothing is left behind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Looked for on the PATH, in this order."""
DESKTOP_PX = 1400
_PAPER_PX = 760
_LONGEST_S = 120
_DRAWING_MS = 15_000
_HEIGHT = re.compile(r'data-height-px="(\d+)"')


def write_pdf(page: Path, pdf: Path) -> None:
    """Print a page on A4. Raises RuntimeError saying what is missing or went wrong."""
    _write(page, pdf, [f"--window-size={_PAPER_PX},1000", "--no-pdf-header-footer"], "print-to-pdf")


def write_png(page: Path, png: Path, *, width_px: int = DESKTOP_PX) -> None:
    """Draw a whole page at a width of at least 500. Raises RuntimeError saying what is missing or went wrong."""
    found = _HEIGHT.search(_run(page, [f"--window-size={width_px},1000", "--dump-dom"]))
    if found is None:
        raise RuntimeError(f"{page} was not drawn to its end within {_DRAWING_MS // 1000} s")
    _write(page, png, [f"--window-size={width_px},{int(found.group(1))}", "--hide-scrollbars"], "screenshot")


def _write(page: Path, out: Path, options: list[str], act: str) -> None:
    """Let the browser write beside `out`, and move it there once it is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        unfinished = Path(folder) / out.name
        reported = _run(page, [*options, f"--{act}={unfinished}"])
        if not unfinished.is_file():
            raise RuntimeError(f"the browser wrote no {out.name}: {reported.strip()[-500:]}")
        unfinished.replace(out)


def _run(page: Path, options: list[str]) -> str:
    """What the browser says of a page."""
    with tempfile.TemporaryDirectory(prefix="arbitrage-browser-") as profile:
        command = [
            find_browser(),
            "--headless",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={_DRAWING_MS}",
            *(["--no-sandbox"] if _is_root() else []),
            *options,
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{command[0]} did not finish within {_LONGEST_S} s") from error
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout or done.stderr


def find_browser() -> str:
    """Path of the browser that prints. Raises RuntimeError where there is none."""
    for name in BROWSERS:
        if (path := shutil.which(name)) is not None:
            return path
    raise RuntimeError(
        f"PDF and PNG need Chromium or Chrome, and none of {', '.join(BROWSERS)} is on the PATH; "
        "write the page as HTML, which any browser prints"
    )


def _is_root() -> bool:
    """Chromium's sandbox does not start for the superuser; the page is our own and loads nothing."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
