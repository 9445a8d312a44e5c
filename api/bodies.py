"""Bodies read once, by pydantic straight from the bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.problems import Problem, from_validation

Model = TypeVar("Model", bound=BaseModel)
_CHARSETS = ("", "charset=utf-8", 'charset="utf-8"')


async def read_bytes(request: Request) -> bytes:
    """The body, which must be JSON by its kind. Raises Problem."""
    kind = request.headers.get("content-type", "")
    media, _, parameters = kind.partition(";")
    if media.strip().lower() != "application/json" or parameters.strip().lower() not in _CHARSETS:
        said = kind or "a body of no kind"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send application/json in UTF-8, not {said}.")
    return await request.body()


async def read_body(request: Request, model: type[Model]) -> Model:
    """The body as that model. Raises Problem with every fault."""
    return parse(await read_bytes(request), model)


def parse(body: bytes, model: type[Model]) -> Model:
    """Bytes as that model. Raises Problem with every fault."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from error


def described(model: type[BaseModel], **more: Any) -> dict[str, Any]:
    """What a route says of its body in the OpenAPI document, which has the model among its components."""
    content = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}, **more}
