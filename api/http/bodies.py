"""Bodies read once, by pydantic straight from the bytes.

Contract: a field that is given twice is refused, for readers differ in which of the two they take; so is a body of more
fields than any request has.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from api.http.problems import Problem, fault, from_validation, unusable

Model = TypeVar("Model", bound=BaseModel)
MOST_FIELDS = 1000
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(\s*+:)?', re.DOTALL)
"""Every string of a JSON text, with the colon behind it if it names a field."""
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
    fields = sum(map(bool, _STRINGS.findall(body)))
    if fields > MOST_FIELDS:
        raise unusable(
            [fault("body", "too_many_fields", f"has {fields} fields; no request has more than {MOST_FIELDS}")]
        )
    try:
        read = model.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from error
    if fields != _given(read):
        raise unusable(fault(name, "given_twice", "stands in the body more than once") for name in _twice(body))
    return read


def _given(read: BaseModel) -> int:
    """How many fields of a model and of those in it were given."""
    inner = (getattr(read, name) for name in read.model_fields_set)
    return len(read.model_fields_set) + sum(_given(each) for each in inner if isinstance(each, BaseModel))


def _twice(body: bytes) -> list[str]:
    """Names of fields that an object of the body has more than once."""
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = Counter(name for name, _ in pairs)
        found.extend(name for name, count in names.items() if count > 1)

    json.loads(body, object_pairs_hook=note)
    return found


def described(model: type[BaseModel], **more: Any) -> dict[str, Any]:
    """What a route says of its body in the OpenAPI document, which has the model among its components."""
    content = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}, **more}
