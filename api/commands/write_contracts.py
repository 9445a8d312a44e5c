"""Rewrites the OpenAPI document and the JSON Schemas: `python -m api.commands.write_contracts [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from api.app import create_app
from api.http.openapi import CONTRACTS, documents
from api.settings import Authentication, Settings


def generated() -> dict[str, str]:
    """Every document by its file name; no setting changes any of them."""
    return documents(create_app(Settings(authentication=Authentication.OFF)))


def main() -> None:
    """Write them into a folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else CONTRACTS
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
