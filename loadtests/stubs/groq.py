"""Groq's wire, as the types of its official client and its replies to others' requests show it."""

import re
import time
from typing import Any

import msgspec

from loadtests.stubs.wire import MARK, Ask, Frames, Payload, Refusal, Request, Said

CHAT = b"/openai/v1/chat/completions"
REQUEST_ID = f"req_01j0000000zzzz{MARK.decode()}"
COMPLETION_ID = f"chatcmpl-0190c0de-0000-7000-8000-{MARK.decode()}"
FINGERPRINT = "fp_f757f4b0bf"
DONE = b"data: [DONE]\n\n"
# message, type and code of the error object; statuses: https://console.groq.com/docs/errors
ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("invalid request", "invalid_request_error", None),
    401: ("Invalid API Key", "invalid_request_error", "invalid_api_key"),
    403: (
        "The model `{model}` is blocked at the organization level.",
        "permissions_error",
        "model_permission_blocked_org",
    ),
    404: (
        "The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    413: (
        "Request too large for model `{model}` on tokens per minute (TPM): Limit 6000, Requested 9000.",
        "tokens",
        "rate_limit_exceeded",
    ),
    429: (
        "Rate limit reached for model `{model}` on tokens per minute (TPM): Limit 6000, Used 5990. Try again in 2s.",
        "tokens",
        "rate_limit_exceeded",
    ),
    498: ("Flex tier capacity exceeded.", "service_unavailable", "capacity_exceeded"),
    503: ("Service unavailable, please try again later.", "service_unavailable", None),
}


class _Message(msgspec.Struct):
    role: str
    content: Any = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None


_has_key = re.compile(rb"Bearer \S").match
_decode = msgspec.json.Decoder(_Body).decode


class Groq:
    """POST /openai/v1/chat/completions; streams server-sent events."""

    name = "groq"
    paths: tuple[tuple[bytes, bytes], ...] = ((b"POST", CHAT),)
    stream_type = "text/event-stream"
    padding = (b":", b"\n\n")

    def read(self, request: Request) -> Ask:
        if not _has_key(request.header(b"authorization")):
            raise Refusal(401, "Invalid API Key")
        try:
            body = _decode(request.body)
        except msgspec.DecodeError as mistake:
            raise Refusal(400, str(mistake)) from mistake
        if not body.messages:
            raise Refusal(400, "'messages' : minimum number of items is 1")
        return Ask(request.path, body.model, bool(body.stream))

    def headers(self, status: int, /) -> dict[str, str]:
        """Requests count per day, tokens per minute. The allowance never shrinks: a behaviour's `headers` set it."""
        limited = status == 429
        return {
            "cache-control": "private, max-age=0, no-store, no-cache, must-revalidate",
            "vary": "Origin, Accept-Encoding",
            **({"retry-after": "2"} if limited else {}),
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-remaining-tokens": "10" if limited else "5800",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-reset-tokens": "2s",
            "x-request-id": REQUEST_ID,
        }

    def payload(self, ask: Ask, said: Said) -> Payload:
        message = {"role": "assistant", "content": said.text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}
        return {
            **_about(ask, "chat.completion"),
            "choices": [choice],
            "usage": _usage(said),
            "usage_breakdown": None,
            "x_groq": {"id": REQUEST_ID, "seed": 1734022},
            "service_tier": "on_demand",
        }

    def frames(self, ask: Ask, said: Said) -> Frames:
        def piece(delta: Payload, finish: str | None = None, **more: Any) -> Payload:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return {**_about(ask, "chat.completion.chunk"), "choices": [choice], **more}

        usage = _usage(said)
        last = piece({}, said.finish, x_groq={"id": REQUEST_ID, "usage": usage}, usage=usage)
        return Frames(
            opening=[piece({"role": "assistant", "content": ""}, x_groq={"id": REQUEST_ID, "seed": 1734022})],
            deltas=[piece({"content": delta}) for delta in said.deltas],
            endings={"whole": [last, DONE], "no_finish": [DONE], "no_done": [last]},
        )

    def frame(self, payload: Payload | bytes) -> bytes:
        return payload if isinstance(payload, bytes) else b"data: %b\n\n" % msgspec.json.encode(payload)

    def error(self, status: int, message: str | None = None, model: str = "") -> Payload:
        kind = "invalid_request_error" if status < 500 else "internal_server_error"
        text, kind, code = ERRORS.get(status, (f"Error {status}", kind, None))
        error = {"message": message or text.format(model=model), "type": kind}
        return {"error": {**error, "code": code} if code else error}

    def without_answer(self, payload: Payload) -> Payload:
        return {**payload, "choices": []}

    def stream_error(self, form: str) -> bytes:
        """`data`: an error object; `event`: the same under `event: error`; `x_groq`: a chunk that says why it stops."""
        data = self.frame(self.error(503, "Over capacity, please try again later."))
        if form == "x_groq":
            about = _about(Ask(CHAT, "llama-3.1-8b-instant", stream=True), "chat.completion.chunk")
            return self.frame({**about, "choices": [], "x_groq": {"id": REQUEST_ID, "error": "over_capacity"}})
        return {"data": data, "event": b"event: error\n" + data}[form]


def _about(ask: Ask, kind: str) -> Payload:
    about = {"id": COMPLETION_ID, "object": kind, "created": int(time.time()), "model": ask.model}
    return {**about, "system_fingerprint": FINGERPRINT}


def _usage(said: Said) -> Payload:
    completion_time, prompt_time = round(said.completion_tokens / 750, 9), 0.012458
    return {
        "queue_time": 0.045212,
        "prompt_tokens": said.prompt_tokens,
        "prompt_time": prompt_time,
        "completion_tokens": said.completion_tokens,
        "completion_time": completion_time,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
        "total_time": round(prompt_time + completion_time, 9),
    }
