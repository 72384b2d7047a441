"""What the service says to whoever traces it. Without an endpoint nobody does, and every span is None.

`traces.py` does it with OpenTelemetry; nothing else imports that.
"""

from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded


class RequestSpan(Protocol):
    """One request, from its headers to the last byte of its response; an ask puts its steps below it."""

    trace_id: str
    span_id: str

    def asked(self, question_id: UUID) -> None:
        """The request is this question."""

    def recording(self) -> AbstractContextManager[None]:
        """A span for as long as the event store is waited for."""

    def step(self, step: AttemptStarted | AttemptFailed | AttemptSkipped | AttemptSucceeded) -> None:
        """A step of the chain: an attempt's span begins or ends; one that is skipped is an event."""

    def headers(self) -> dict[str, str]:
        """What a call of the attempt under way sends along."""

    def failed(self, error_type: str) -> None:
        """The request ends in an error, with an attempt still open or not."""

    def responded(self, route: str | None, status: int) -> None:
        """The response begins. `route` is a template, never a path."""

    def end(self) -> None:
        """The response is out."""


class Tracer(Protocol):
    """Begins spans, and exports them in the background."""

    def request(self, method: str, traceparent: str | None, tracestate: str | None) -> RequestSpan:
        """A request begins, in the caller's trace if it has one. `traceparent` is well-formed."""

    def projecting(self, events: int, position: int) -> AbstractContextManager[None]:
        """A span of its own, as a commit serves many requests: so many events, up to a position, are folded."""

    async def close(self) -> None:
        """Exports what is left, for two seconds at most."""
