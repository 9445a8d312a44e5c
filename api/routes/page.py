"""`/`: the page, served as it stands."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from api.problems import Problem

FOLDER = Path(__file__).parents[1] / "page"
INDEX = FOLDER / "index.html"
router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_page() -> Response:
    """The page itself; what it shows it asks for with the key that is typed into it."""
    if not INDEX.is_file():
        raise Problem(HTTPStatus.NOT_FOUND, "This installation has no page.")
    return FileResponse(INDEX, media_type="text/html")
