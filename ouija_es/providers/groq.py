"""Groq Cloud: OpenAI-compatible chat completions (https://console.groq.com/docs/api-reference#chat-create)."""

from typing import Any

import msgspec

from ouija_es.domain.persona import messages
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.errors import ProviderError
from ouija_es.providers.provider import Query, Reply
from ouija_es.providers.wire import ANSWER_TOKENS, TEMPERATURE, Endpoint, WireClient, checked_answer


class _Message(msgspec.Struct):
    content: Any = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


class Groq:
    """The first tier."""

    name = Provider.GROQ

    def __init__(self, url: str, api_key: str, model: str) -> None:
        self.model = model
        self._wire = WireClient(Endpoint(f"{url}/chat/completions", {"authorization": f"Bearer {api_key}"}))
        self._decoder = msgspec.json.Decoder(_Completion)

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """Groq's answer. Raises ProviderError."""
        prompt = messages(query.question, query.personality, query.language, query.history)
        body = {
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in prompt],
            "max_tokens": ANSWER_TOKENS,
            "temperature": TEMPERATURE,
            "stream": False,
        }
        completion = await self._wire.post(body, self._decoder, timeout_seconds)
        if not completion.choices:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        choice = completion.choices[0]
        if choice.finish_reason == "content_filter":
            raise ProviderError(Reason.REFUSED)
        truncated = choice.finish_reason == "length"
        usage = completion.usage
        return Reply(
            text=checked_answer(choice.message.content, truncated=truncated),
            model=completion.model or self.model,
            truncated=truncated,
            input_tokens=usage.prompt_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else None,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._wire.close()
