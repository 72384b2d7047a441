"""Where a request goes: to a provider, or to the control interface beside them."""

from collections import deque
from typing import Any

import msgspec

from loadtests.stubs.provider import KEPT, Provider, Record, Tally
from loadtests.stubs.wire import JSON, Request, Script, response

CONTROL = b"/control"


class Stubs:
    """Sends each request to its provider, to the control interface, or among the strays."""

    def __init__(self, *providers: Provider) -> None:
        self.providers = {provider.wire.name: provider for provider in providers}
        self._routes = {route: provider for provider in providers for route in provider.wire.paths}
        self.connections = 0
        self.strays: deque[Record] = deque(maxlen=KEPT)

    def answer(self, request: Request) -> tuple[Script, Record | None]:
        path = request.path
        provider = self._routes.get((request.method, path.partition(b"?")[0] if b"?" in path else path))
        if provider is not None:
            return provider.answer(request)
        if request.path.startswith(CONTROL):
            return self._control(request), None
        stray = Record(request, Tally())
        self.strays.append(stray)
        return response(404, {"content-type": "text/plain"}, b"404 page not found"), stray

    def _control(self, request: Request) -> bytes:
        provider = self.providers.get(request.path[len(CONTROL) + 1 :].decode(errors="replace"))
        match request.method:
            case b"PUT" if provider:
                try:
                    provider.behave(msgspec.json.decode(request.body))
                except (ValueError, TypeError) as mistake:
                    return _json(422, {"error": str(mistake)})
                return response(204, {}, b"")
            case b"GET" if request.path == CONTROL:
                return _json(200, self.as_json())
            case b"DELETE" if request.path == CONTROL:
                self.reset()
                return response(204, {}, b"")
        return _json(404, {"error": "PUT /control/groq or /control/ollama, GET or DELETE /control"})

    def reset(self) -> None:
        self.connections = 0
        self.strays.clear()
        for provider in self.providers.values():
            provider.reset()

    def as_json(self) -> dict[str, Any]:
        providers = {name: provider.as_json() for name, provider in self.providers.items()}
        strays = [stray.as_json() for stray in self.strays]
        return {"connections": self.connections, "strays": strays, **providers}


def _json(status: int, content: Any) -> bytes:
    return response(status, {"content-type": JSON}, msgspec.json.encode(content))
