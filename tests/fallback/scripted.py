"""Providers that do what a test says, without a wire."""

from collections.abc import AsyncGenerator
from typing import Any

from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.providers.provider import Query, Reply
from tests.still_clock import StillClock


class Scripted:
    """A provider that does one thing after the other; the last stays. A call takes `takes_seconds` of the still clock.

    A thing is a reply, an error, or a list: pieces of text, then one of these.
    """

    def __init__(self, name: Provider, clock: StillClock, *script: Any, takes_seconds: float = 0.0) -> None:
        self.name = name
        self.model = f"model-of-{name}"
        self.timeouts: list[float] = []
        self.takes_seconds = takes_seconds
        self._clock = clock
        self._script = list(script) or [reply(name)]

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        async for piece in self.stream(query, timeout_seconds):
            if isinstance(piece, Reply):
                return piece
        raise AssertionError("the script has no reply")

    async def stream(self, query: Query, timeout_seconds: float) -> AsyncGenerator[str | Reply]:
        self.timeouts.append(timeout_seconds)
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        self._clock.seconds += min(self.takes_seconds, timeout_seconds)
        for piece in step if isinstance(step, list) else [step]:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def reply(name: Provider, **fields: Any) -> Reply:
    return Reply(text=f"So speaks {name}.", model=f"model-of-{name}", **fields)


def error(reason: Reason = Reason.SERVER_ERROR, **fields: Any) -> ProviderError:
    return ProviderError(reason, **fields)
