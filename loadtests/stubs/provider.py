"""One stub provider: what it does next, and what it was asked."""

from collections import deque
from typing import Any

import msgspec

from loadtests.stubs.behaviours import Spec, behaviours
from loadtests.stubs.wire import JSON, Refusal, Request, Script, Wire, response

KEPT = 50


class Record:
    """A request and how it ended: `answered`, `cut` by the stub, `disconnected` by the client, or None while open."""

    __slots__ = ("ended", "request", "tally")

    def __init__(self, request: Request, tally: "Tally") -> None:
        self.request, self.tally = request, tally
        self.ended: str | None = None

    def begin(self) -> None:
        self.tally.in_flight += 1
        self.tally.max_in_flight = max(self.tally.max_in_flight, self.tally.in_flight)

    def end(self, how: str) -> None:
        self.tally.in_flight -= 1
        self.ended = how

    def as_json(self) -> dict[str, Any]:
        request = self.request
        try:
            body = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            body = request.body.decode(errors="replace")
        return {
            "at": request.at,
            "method": request.method.decode(),
            "path": request.path.decode(errors="replace"),
            "headers": {name.decode().lower(): value.decode("latin-1") for name, value in request.headers},
            "body": body,
            "ended": self.ended,
        }


class Tally:
    """What came since the last reset. A request still open at a reset goes on counting in the old one.

    `probes` are the requests that ask nothing (a list of models, the loading of one): they neither count as calls nor
    use up a behaviour. `in_flight` counts the replies that take time; what is answered at once never shows in it.
    """

    def __init__(self) -> None:
        self.calls = self.probes = self.in_flight = self.max_in_flight = 0
        self.records: deque[Record] = deque(maxlen=KEPT)


class Provider:
    """A wire with a mood."""

    def __init__(self, wire: Wire, spec: Spec, latency_ms: float) -> None:
        self.wire, self._first, self._latency_ms = wire, spec, latency_ms
        self.reset()

    def reset(self) -> None:
        """Back to the behaviour it was started with, nothing counted."""
        self.tally = Tally()
        self.behave(self._first)

    def behave(self, spec: Spec) -> None:
        """Raises ValueError and stays as it is if there is no such behaviour."""
        self._next = deque(behaviours(spec, self.wire, self._latency_ms))
        self._spec = spec

    def answer(self, request: Request) -> tuple[Script, Record]:
        tally = self.tally
        record = Record(request, tally)
        tally.records.append(record)
        try:
            ask = self.wire.read(request)
        except Refusal as refusal:
            tally.calls += 1
            body = msgspec.json.encode(self.wire.error(refusal.status, str(refusal)))
            return response(refusal.status, {"content-type": JSON}, body), record
        if ask.probe:
            tally.probes += 1
            return self._next[0](ask), record
        tally.calls += 1
        answer = self._next.popleft() if len(self._next) > 1 else self._next[0]
        return answer(ask), record

    def as_json(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "behaviour": self._spec,
            "calls": tally.calls,
            "probes": tally.probes,
            "in_flight": tally.in_flight,
            "max_in_flight": tally.max_in_flight,
            "requests": [record.as_json() for record in tally.records],
        }
