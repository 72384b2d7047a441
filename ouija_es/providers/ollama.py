"""Ollama: a model on one's own machine (https://docs.ollama.com/api/chat)."""

from typing import Any

import msgspec

from ouija_es.domain.persona import messages
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.providers.provider import Query, Reply
from ouija_es.providers.wire import ANSWER_TOKENS, TEMPERATURE, Endpoint, WireClient, checked_answer

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
    error: str | None = None


class Ollama:
    """The second tier."""

    name = Provider.OLLAMA

    def __init__(self, url: str, model: str) -> None:
        self.model = model
        self._wire = WireClient(Endpoint(f"{url}/api/chat", {}))
        self._decoder = msgspec.json.Decoder(_Chat)

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """Ollama's answer. Raises ProviderError."""
        prompt = messages(query.question, query.personality, query.language, query.history)
        body = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in prompt],
            "stream": False,
            "keep_alive": KEEP_ALIVE,
            "options": {"num_predict": ANSWER_TOKENS, "temperature": TEMPERATURE},
        }
        chat = await self._wire.post(body, self._decoder, timeout_seconds)
        if chat.error is not None:
            raise ProviderError(Reason.SERVER_ERROR)
        if chat.message is None:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        truncated = chat.done_reason == "length"
        return Reply(
            text=checked_answer(chat.message.content, truncated=truncated),
            model=chat.model or self.model,
            truncated=truncated,
            input_tokens=chat.prompt_eval_count,
            output_tokens=chat.eval_count,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()
