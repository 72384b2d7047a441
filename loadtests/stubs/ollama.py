"""Ollama's wire, as the types of its official client show it."""

import time
from typing import Any

import msgspec

from loadtests.stubs.wire import Ask, Frames, Payload, Refusal, Request, Said

CHAT, GENERATE, TAGS = b"/api/chat", b"/api/generate", b"/api/tags"
PULLED = "qwen2.5:0.5b"
ERRORS = {
    404: "model '{model}' not found",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


class _Body(msgspec.Struct):
    model: str = ""
    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    stream: bool | None = None


_decode = msgspec.json.Decoder(_Body).decode


class Ollama:
    """POST /api/chat and /api/generate, which stream lines of JSON unless told not to; GET /api/tags."""

    name = "ollama"
    paths: tuple[tuple[bytes, bytes], ...] = ((b"POST", CHAT), (b"POST", GENERATE), (b"GET", TAGS))
    stream_type = "application/x-ndjson"
    padding = (b"", b"")

    def read(self, request: Request) -> Ask:
        if request.path == TAGS:
            return Ask(TAGS, "", stream=False, probe=True)
        if not request.body:
            raise Refusal(400, "missing request body")
        try:
            body = _decode(request.body)
        except msgspec.DecodeError as mistake:
            raise Refusal(400, str(mistake)) from mistake
        if not body.model:
            raise Refusal(400, "model is required")
        asked = body.messages if request.path == CHAT else body.prompt
        stream = body.stream is None or body.stream
        return Ask(request.path, body.model, stream, probe=not asked)  # with nothing to answer it only loads the model

    def headers(self, _status: int, /) -> dict[str, str]:
        return {}

    def payload(self, ask: Ask, said: Said) -> Payload:
        if ask.path == TAGS:
            return tags()
        if ask.probe:
            return {**_part(ask, ""), "done": True, "done_reason": "load"}
        return {**_part(ask, said.text), **_end(said)}

    def frames(self, ask: Ask, said: Said) -> Frames:
        if ask.probe:
            return Frames([], [], {"whole": [self.payload(ask, said)]})
        last = {**_part(ask, ""), **_end(said)}
        unfinished = {key: value for key, value in last.items() if key != "done_reason"}
        return Frames(
            opening=[],
            deltas=[{**_part(ask, delta), "done": False} for delta in said.deltas],
            endings={"whole": [last], "no_finish": [unfinished], "no_done": []},
        )

    def frame(self, payload: Payload | bytes) -> bytes:
        return payload if isinstance(payload, bytes) else msgspec.json.encode(payload) + b"\n"

    def error(self, status: int, message: str | None = None, model: str = "") -> Payload:
        return {"error": message or ERRORS.get(status, "error {status}").format(model=model, status=status)}

    def without_answer(self, payload: Payload) -> Payload:
        return {key: value for key, value in payload.items() if key not in ("message", "response")}

    def stream_error(self, form: str) -> bytes:
        """`data` is the only form Ollama has: a line with nothing but the error."""
        return {"data": self.frame({"error": "an error was encountered while running the model: unexpected EOF"})}[form]


def tags(*, pulled: bool = True) -> Payload:
    """The reply of /api/tags: one model, or none."""
    details = {"parent_model": "", "format": "gguf", "family": "qwen2", "families": ["qwen2"]}
    details |= {"parameter_size": "494.03M", "quantization_level": "Q4_K_M"}
    model = {"name": PULLED, "model": PULLED, "modified_at": "2026-01-31T12:00:00.123456789Z", "size": 397821319}
    return {"models": [{**model, "digest": "a8b0c515" * 8, "details": details}] if pulled else []}


def _part(ask: Ask, text: str | None) -> Payload:
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9:09d}Z"
    said = {"message": {"role": "assistant", "content": text}} if ask.path == CHAT else {"response": text}
    return {"model": ask.model, "created_at": stamp, **said}


def _end(said: Said) -> Payload:
    load, prompt, evaluation = 52_403_291, 21_870_113, said.completion_tokens * 18_204_417
    return {
        "done": True,
        "done_reason": said.finish,
        "total_duration": load + prompt + evaluation + 3_118_902,
        "load_duration": load,
        "prompt_eval_count": said.prompt_tokens,
        "prompt_eval_duration": prompt,
        "eval_count": said.completion_tokens,
        "eval_duration": evaluation,
    }
