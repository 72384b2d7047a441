"""Operations that only read: GET with its HEAD, and what clients may keep."""

from collections.abc import Mapping

from ouija_es.resources.openapi.headers import IF_NONE_MATCH, TRACEPARENT, header_refs
from ouija_es.resources.openapi.schemas import Schema


def with_head(get: Schema) -> Schema:
    """GET, and HEAD as GET without bodies."""
    responses = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in get["responses"].items()
    }
    return {"get": get, "head": {**get, "operationId": f"head{get['operationId'][3:]}", "responses": responses}}


def kept(
    name: str,
    summary: str,
    media_types: list[str],
    errors: Schema,
    schema: Schema | None = None,
    parameters: list[Schema] | None = None,
) -> Schema:
    """Something that clients may keep."""
    headers = header_refs("X-Trace-Id", "ETag", "Cache-Control")
    content = {media_type: {"schema": schema or {"type": "string"}} for media_type in media_types}
    return {
        "operationId": f"get{name}",
        "tags": ["description"],
        "summary": summary,
        "parameters": [*(parameters or []), IF_NONE_MATCH, TRACEPARENT],
        "responses": {
            "200": {"description": f"{summary}.", "headers": headers, "content": content},
            "304": {"description": "The client has it already.", "headers": headers},
            **errors,
        },
    }


def files_of(name: str, summary: str, files: Mapping[str, str], errors: Schema, tag: str = "description") -> Schema:
    """The files that a page loads, by name to media type."""
    media_types = sorted({media_type.partition(";")[0] for media_type in files.values()})
    file = {
        "name": "file",
        "in": "path",
        "required": True,
        "description": "The file's name.",
        "schema": {"type": "string", "enum": list(files)},
        "example": next(iter(files)),
    }
    return {**kept(name, summary, media_types, errors, parameters=[file]), "tags": [tag]}
