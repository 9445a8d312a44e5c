"""`/`: the page on which people watch what is decided, and its files."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from api import page_files
from api.dependencies import ServiceDep
from api.http.problems import Problem
from api.page_files import PageFile

router = APIRouter(include_in_schema=False)
_FOR_GOOD = "public, max-age=31536000, immutable"
AcceptEncoding = Annotated[str, Header()]


@router.get("/")
async def get_page(service: ServiceDep, accept_encoding: AcceptEncoding = "") -> Response:
    """The page itself, which is never kept."""
    return _response(await service.beside(page_files.html), accept_encoding)


@router.get("/page/{edition}/{name}")
async def get_page_file(edition: str, name: str, service: ServiceDep, accept_encoding: AcceptEncoding = "") -> Response:
    """A file of this edition of the page. Raises Problem."""
    found = await service.beside(page_files.file_named, name) if edition == page_files.edition() else None
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, "This edition of the page has no such file.")
    return _response(found, accept_encoding, {"cache-control": _FOR_GOOD})


def _response(file: PageFile, accept_encoding: str, headers: dict[str, str] | None = None) -> Response:
    sent = {"vary": "accept-encoding", **(headers or {})}
    if "gzip" in accept_encoding:
        return Response(file.compressed, media_type=file.media_type, headers=sent | {"content-encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=sent)
