"""The git revision that is running, for cards, reports and the service."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def code_revision() -> str | None:
    """The git revision of a source checkout, with `+` if files were changed; None in an installed package."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    revision = _git(root, "rev-parse", "--short=12", "HEAD")
    return revision and revision + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(root: Path, *arguments: str) -> str | None:
    result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
