"""Replies that are sound HTTP: the healthy one, other contents, other statuses."""

from typing import Any

import msgspec

from loadtests.stubs import ollama
from loadtests.stubs.speak import BROKEN, Speak
from loadtests.stubs.wire import JSON, NOTHING, TEXT, Answer, Ask, Headers, Payload, Said, Wire, response


def ok(
    wire: Wire,
    *,
    text: str = TEXT,
    tokens: int | None = None,
    prompt_tokens: int = 58,
    headers: Headers = NOTHING,
    delta_ms: float = 0,
) -> Answer:
    return Speak(wire, Said(text, tokens=tokens, prompt_tokens=prompt_tokens), headers=headers, delta_ms=delta_ms)


def status(wire: Wire, *, code: int, body: Any = None, headers: Headers = NOTHING) -> Answer:
    """Any status. `body`: text as it is, anything else as JSON, by default the provider's own.

    A header whose value is None is left out.
    """
    if not 200 <= code <= 599:
        raise ValueError("code is from 200 to 599")

    def answer(ask: Ask) -> bytes:
        content = wire.error(code, model=ask.model) if body is None else body
        data = content.encode() if isinstance(content, str) else msgspec.json.encode(content)
        return response(code, {"content-type": JSON, **wire.headers(code), **headers}, data)

    return answer


def wrong_types(wire: Wire) -> Answer:
    """Every field is there, none has its type."""
    return Speak(wire, Said(), alter=_flipped)


def no_choices(wire: Wire) -> Answer:
    return Speak(wire, Said(), alter=wire.without_answer)


def null_content(wire: Wire) -> Answer:
    return Speak(wire, Said(None, tokens=0))


def empty_content(wire: Wire) -> Answer:
    return Speak(wire, Said("", tokens=0))


def whitespace(wire: Wire) -> Answer:
    return Speak(wire, Said(" \n\t\u00a0\u2003 \n"))


def too_long(wire: Wire, *, characters: int = 2001) -> Answer:
    return Speak(wire, Said((TEXT + " ") * (characters // len(TEXT)) + "a" * (characters % len(TEXT) + 60)))


def invalid_utf8(wire: Wire) -> Answer:
    return Speak(wire, Said(f"Las estrellas {BROKEN} callan."))


def nul(wire: Wire) -> Answer:
    return Speak(wire, Said("Las estrellas\x00 callan."))


def length(wire: Wire, *, text: str = "Las estrellas dicen que sí. El camino pide paci") -> Answer:
    return Speak(wire, Said(text, finish="length"))


def content_filter(wire: Wire, *, text: str = "") -> Answer:
    if wire.name != "groq":
        raise ValueError("Ollama has no content filter")
    return Speak(wire, Said(text, finish="content_filter"))


def loading(wire: Wire) -> Answer:
    """503 while the model is being read, in llama.cpp's words; Ollama's list of models is answered all the same."""
    error: Payload = {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}
    if wire.name == "ollama":
        error = {"error": "unexpected server status: llm server loading model"}
    refuse, listed = status(wire, code=503, body=error), ok(wire)
    return lambda ask: listed(ask) if ask.path == ollama.TAGS else refuse(ask)


def not_pulled(wire: Wire) -> Answer:
    if wire.name != "ollama":
        raise ValueError("only Ollama pulls models")
    missing, none = status(wire, code=404), Speak(wire, Said(), alter=lambda _: ollama.tags(pulled=False))
    return lambda ask: none(ask) if ask.path == ollama.TAGS else missing(ask)


def _flipped(value: Any) -> Any:
    match value:
        case dict():
            return {key: _flipped(item) for key, item in value.items()}
        case list():
            return [_flipped(item) for item in value]
        case bool():
            return "yes"
        case str():
            return 7
        case int() | float():
            return "seven"
        case _:
            return False
