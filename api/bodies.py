"""Bodies read once, by pydantic straight from the bytes."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from api.problems import from_validation
from api.schemas.wire import Wire

Model = TypeVar("Model", bound=Wire)


async def read_body(request: Request, model: type[Model]) -> Model:
    """The body as that model. Raises Problem with every fault."""
    return parse(await request.body(), model)


def parse(body: bytes, model: type[Model]) -> Model:
    """Bytes as that model. Raises Problem with every fault."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from error
