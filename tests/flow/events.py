"""Reads a streamed answer."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.service import RunningService

Event = tuple[str, dict[str, Any]]


def stream(service: RunningService, question: str, headers: dict[str, str] | None = None, **fields: Any) -> list[Event]:
    """All events of one streamed ask, (name, data)."""
    with opened(service, question, headers, **fields) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(response))


def opened(service: RunningService, question: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    """The open response, for a `with` block."""
    accept = {"accept": "text/event-stream"} | (headers or {})
    return service.client.stream("POST", "/ouija/ask", json={"question": question, **fields}, headers=accept)


def events(response: httpx.Response) -> Iterator[Event]:
    """The events as they come; comment lines are left out."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield name, json.loads(line.removeprefix("data:"))
