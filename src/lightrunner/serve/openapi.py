"""The OpenAPI document of the server: operations -> JSON, with msgspec's schemas of the bodies. Pure."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from .messages import ErrorBody

_REST = "{path}"
"""The parameter that takes all further parts of a path."""


class Operation(NamedTuple):
    """A method of a path.

    Attributes:
        method: in capitals.
        path: parameters are parts in braces; ``{path}`` at the end takes all further parts.
        summary: what it does.
        status: of its success.
        body: the type of the JSON body.
        reply: the type of the JSON response.
        content: the type of another body.
        stream: the type of another response.
        query: parameters, and what they mean.
    """

    method: str
    path: str
    summary: str
    status: HTTPStatus
    body: type | None = None
    reply: type | None = None
    content: str | None = None
    stream: str | None = None
    query: Mapping[str, str] = {}

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """Return the parameters in the parts of a path; None if it is another path."""
        wanted = self.path.removeprefix("/").split("/")
        if wanted[-1] == _REST and len(parts) >= len(wanted):
            parts = [*parts[: len(wanted) - 1], "/".join(parts[len(wanted) - 1 :])]
        if len(wanted) != len(parts):
            return None
        arguments: dict[str, str] = {}
        for want, part in zip(wanted, parts, strict=True):
            if want.startswith("{"):
                arguments[want[1:-1]] = part
            elif want != part:
                return None
        return arguments


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    types = [ErrorBody, *(kind for it in operations for kind in (it.body, it.reply) if kind is not None)]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    schema_of: dict[type, dict[str, Any]] = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "lightrunner", "version": version},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(operation: Operation, schema_of: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names),
        *(
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in operation.query.items()
        ),
    ]
    reply: dict[str, Any] = {"description": operation.status.phrase}
    if operation.reply:
        reply["content"] = {"application/json": {"schema": schema_of[operation.reply]}}
    elif operation.stream:
        reply["content"] = {operation.stream: {"schema": {"type": "string"}}}
    failure = {"application/json": {"schema": schema_of[ErrorBody]}}
    described: dict[str, Any] = {
        "operationId": _id(operation),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {str(int(operation.status)): reply, "default": {"description": "An error", "content": failure}},
    }
    if operation.body:
        described["requestBody"] = {"content": {"application/json": {"schema": schema_of[operation.body]}}}
    elif operation.content:
        binary = {"type": "string", "format": "binary"}
        described["requestBody"] = {"required": True, "content": {operation.content: {"schema": binary}}}
    return described


def _id(operation: Operation) -> str:
    words = [part.strip("{}").partition(".")[0] for part in operation.path.split("/") if part]
    return "_".join([operation.method.lower(), *words])
