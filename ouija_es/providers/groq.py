"""Groq Cloud: OpenAI-compatible chat completions (https://console.groq.com/docs/api-reference#chat-create)."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from ouija_es.domain.persona import messages
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.providers.provider import ANSWER_TOKENS, Query, Reply
from ouija_es.providers.text import checked_answer, delta_text, token_count
from ouija_es.providers.wire import (
    TEMPERATURE,
    Endpoint,
    WireClient,
    decoded,
)


class _Message(msgspec.Struct):
    content: Any = None


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    delta: _Message = msgspec.field(default_factory=_Message)
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Extra(msgspec.Struct):
    usage: _Usage | None = None
    error: Any = None


class _Completion(msgspec.Struct):
    """A completion or one chunk of it."""

    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    x_groq: _Extra | None = None
    error: Any = None


def _events(lines: list[bytes]) -> list[bytes]:
    """What lines of server-sent events carry; a comment or another field is nothing."""
    return [data for line in lines if line.startswith(b"data:") and (data := line[5:].strip())]


class Groq:
    """The first tier."""

    name = Provider.GROQ

    def __init__(self, url: str, api_key: str, model: str) -> None:
        self.model = model
        self._wire = WireClient(Endpoint(f"{url}/chat/completions", {"authorization": f"Bearer {api_key}"}))
        self._decoder = msgspec.json.Decoder(_Completion)

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """Groq's answer. Raises ProviderError."""
        received = await self._wire.post(
            self._body(query, stream=False), self._decoder, timeout_seconds, query.trace_headers
        )
        completion = received.body
        if completion.error is not None:
            raise ProviderError(Reason.SERVER_ERROR, retryable=True)
        if not completion.choices:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        choice = completion.choices[0]
        return self._reply(completion, choice.message.content, choice.finish_reason, received.rate_limit)

    async def stream(self, query: Query, timeout_seconds: float) -> AsyncGenerator[str | Reply]:
        """Server-sent events, each `data: ` and a chunk; the one with a finish reason completes the answer."""
        text, last, finish_reason, done = "", _Completion(), None, False
        rate_limit: Mapping[str, str] = {}
        pieces = self._wire.lines(self._body(query, stream=True), timeout_seconds, query.trace_headers)
        async with aclosing(pieces):
            async for lines in pieces:
                rate_limit = lines.rate_limit
                for data in _events(lines.texts):
                    if data == b"[DONE]":
                        done = True
                        break
                    chunk = decoded(self._decoder, data)
                    if chunk.error is not None or (chunk.x_groq is not None and chunk.x_groq.error is not None):
                        raise ProviderError(Reason.SERVER_ERROR, retryable=True)
                    if not chunk.choices:
                        continue
                    choice = chunk.choices[0]
                    if piece := delta_text(choice.delta.content):
                        lines.started = True
                        text += piece
                        yield piece
                    if choice.finish_reason is not None:
                        last, finish_reason = chunk, choice.finish_reason
                if done:
                    break
        if finish_reason is None:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        yield self._reply(last, text, finish_reason, rate_limit)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()

    def _body(self, query: Query, *, stream: bool) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": messages(query.question, query.personality, query.language, query.history),
            "max_tokens": ANSWER_TOKENS,
            "temperature": TEMPERATURE,
            "stream": stream,
        }

    def _reply(
        self, completion: _Completion, text: object, finish_reason: str | None, rate_limit: Mapping[str, str]
    ) -> Reply:
        if finish_reason == "content_filter":
            raise ProviderError(Reason.REFUSED, rate_limit=rate_limit)
        truncated = finish_reason == "length"
        usage = completion.usage or (completion.x_groq and completion.x_groq.usage) or _Usage()
        return Reply(
            text=checked_answer(text, truncated=truncated),
            model=completion.model or self.model,
            truncated=truncated,
            input_tokens=token_count(usage.prompt_tokens),
            output_tokens=token_count(usage.completion_tokens),
            rate_limit=rate_limit,
        )
