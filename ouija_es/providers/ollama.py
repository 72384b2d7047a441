"""Ollama: a model on one's own machine (https://docs.ollama.com/api/chat)."""

from collections.abc import AsyncGenerator
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

KEEP_ALIVE = "30m"
"""How long Ollama keeps the model loaded after a call; loading may take tens of seconds."""


class _Message(msgspec.Struct):
    content: Any = None


class _Chat(msgspec.Struct):
    message: _Message | None = None
    model: str | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None
    done: bool = False


class Ollama:
    """The second tier."""

    name = Provider.OLLAMA

    def __init__(self, url: str, model: str) -> None:
        self.model = model
        self._wire = WireClient(Endpoint(f"{url}/api/chat", {}))
        self._loading = self._wire.beside(f"{url}/api/generate")
        self._decoder = msgspec.json.Decoder(_Chat)

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """Ollama's answer. Raises ProviderError."""
        received = await self._wire.post(
            self._body(query, stream=False), self._decoder, timeout_seconds, query.trace_headers
        )
        chat = received.body
        if chat.error is not None:
            raise ProviderError(Reason.SERVER_ERROR, retryable=True)
        if chat.message is None:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        return self._reply(chat, chat.message.content)

    async def stream(self, query: Query, timeout_seconds: float) -> AsyncGenerator[str | Reply]:
        """A JSON object a line; the one with `done` completes the answer, one with `error` ends it."""
        text, last = "", _Chat()
        pieces = self._wire.lines(self._body(query, stream=True), timeout_seconds, query.trace_headers)
        async with aclosing(pieces):
            async for lines in pieces:
                for line in lines.texts:
                    chat = decoded(self._decoder, line)
                    if chat.error is not None:
                        raise ProviderError(Reason.SERVER_ERROR, retryable=True)
                    if chat.message is None and not chat.done:
                        raise ProviderError(Reason.MALFORMED_RESPONSE)
                    if chat.message is not None and (piece := delta_text(chat.message.content)):
                        lines.started = True
                        text += piece
                        yield piece
                    if chat.done:
                        last = chat
                        break
                if last.done:
                    break
        if last.done_reason is None:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        yield self._reply(last, text)

    async def load(self, timeout_seconds: float) -> None:
        """Has the model loaded and kept (`/api/generate` without a prompt); costs no tokens. Raises ProviderError."""
        await self._loading.post({"model": self.model, "keep_alive": KEEP_ALIVE}, self._decoder, timeout_seconds)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()

    def _body(self, query: Query, *, stream: bool) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": messages(query.question, query.personality, query.language, query.history),
            "stream": stream,
            "keep_alive": KEEP_ALIVE,
            "options": {"num_predict": ANSWER_TOKENS, "temperature": TEMPERATURE},
        }

    def _reply(self, chat: _Chat, text: object) -> Reply:
        truncated = chat.done_reason == "length"
        return Reply(
            text=checked_answer(text, truncated=truncated),
            model=chat.model or self.model,
            truncated=truncated,
            input_tokens=token_count(chat.prompt_eval_count),
            output_tokens=token_count(chat.eval_count),
        )
