"""POST /ouija/ask."""

import asyncio
import re
import unicodedata
from functools import partial
from typing import Annotated
from uuid import UUID

import falcon
import msgspec
from falcon.asgi import Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import Language, Personality
from ouija_es.errors import (
    FieldError,
    InvalidRequest,
    MalformedRequest,
    NotAcceptable,
    SlowBody,
    TooLarge,
    UnsupportedMediaType,
)
from ouija_es.fallback.deadline import Deadline
from ouija_es.readiness import Readiness
from ouija_es.resources.bodies import answer_body, server_timing
from ouija_es.resources.client import client_address
from ouija_es.resources.client_limit import ClientLimit
from ouija_es.resources.connection import GONE, WHOLE
from ouija_es.resources.languages import preferred_language
from ouija_es.resources.sse import MEDIA_TYPE as EVENT_STREAM
from ouija_es.resources.sse import Streams
from ouija_es.seance import Ask, Seance
from ouija_es.shedding import Shedding

BODY_LIMIT_BYTES = 16 * 1024
BODY_SECONDS = 5.0
QUESTION_LIMIT = 500
IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{16,255}")
ECHO_LIMIT = 100
# Unicode's category Cc, but newline and tab.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _question(value: str) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise ValueError("must not be empty")
    if len(text) > QUESTION_LIMIT:
        raise ValueError(f"must have at most {QUESTION_LIMIT} characters")
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters other than newline and tab")
    return text


def _null_is_absent(default: object) -> BeforeValidator:
    return BeforeValidator(
        lambda value: default if value is None else value, json_schema_input_type=type(default) | None
    )


class AskRequest(BaseModel):
    """The body of a question."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    question: Annotated[str, AfterValidator(_question)]
    personality: Annotated[Personality, _null_is_absent(Personality.WISE)] = Personality.WISE
    language: Language | None = None
    session_id: UUID | None = Field(None, alias="sessionId")


class AskResource:
    """Reads, validates, asks, writes."""

    def __init__(
        self,
        seance: Seance,
        readiness: Readiness,
        streams: Streams,
        clock: Clock,
        client_limit: ClientLimit,
        shedding: Shedding,
        *,
        deadline_seconds: float,
        proxy_hops: int,
    ) -> None:
        self._seance = seance
        self._readiness = readiness
        self._clock = clock
        self._client_limit = client_limit
        self._shedding = shedding
        self._deadline_seconds = deadline_seconds
        self._proxy_hops = proxy_hops
        self._streams = streams
        self._encoder = msgspec.json.Encoder()

    async def on_post(self, req: Request, resp: Response) -> None:
        """Answers a question."""
        deadline = Deadline(self._deadline_seconds, self._clock)
        address = client_address(req, self._proxy_hops)
        self._client_limit.spend(req, resp, address)
        if self._readiness.ready:  # an early question is held back below, not shed
            self._shedding.admit()
        streamed = wants_stream(req)
        key = idempotency_key(req)
        request = parse(await read_body(req))
        language = request.language or preferred_language(req.get_header("accept-language"))
        ask = Ask(
            question=request.question,
            personality=request.personality,
            language=language,
            session_id=request.session_id,
            client_address=address,
            trace_id=req.context.trace_id,
            idempotency_key=key,
            span=req.context.span,
        )
        await self._readiness.wait(deadline.left())
        resp.set_header("Content-Language", language)
        if streamed:
            await self._stream(req, resp, ask, deadline)
            return
        answer = await self._seance.ask(ask, deadline)
        if answer.replayed:
            resp.set_header("Idempotency-Replayed", "true")
        resp.data = self._encoder.encode(answer_body(ask, answer))
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("Server-Timing", server_timing(answer))

    async def _stream(self, req: Request, resp: Response, ask: Ask, deadline: Deadline) -> None:
        stream = self._streams.open(
            partial(self._seance.ask, ask, deadline),
            req.scope[GONE],
            finish_without_client=ask.idempotency_key is not None,
        )
        if not await stream.accepted():
            resp.set_header("Idempotency-Replayed", "true")
        resp.set_header("X-Accel-Buffering", "no")
        resp.sse = stream.events(partial(answer_body, ask), ask.trace_id)


def wants_stream(req: Request) -> bool:
    """Whether the client prefers server-sent events to JSON. Raises NotAcceptable if it takes neither."""
    if req.accept in ("*/*", falcon.MEDIA_JSON):
        return False  # almost everybody; the negotiation below takes its time
    preferred = req.client_prefers((falcon.MEDIA_JSON, EVENT_STREAM))
    if preferred is None:
        raise NotAcceptable(f"This route answers {falcon.MEDIA_JSON} or {EVENT_STREAM}.")
    return preferred == EVENT_STREAM


def idempotency_key(req: Request) -> str | None:
    """The client's key, if it sent one. Raises MalformedRequest."""
    key = req.get_header("idempotency-key")
    key = None if key is None else key.strip(" \t")  # no part of the value (RFC 9110 §5.5), but the server leaves it
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise MalformedRequest("Idempotency-Key must be 16 to 255 printable ASCII characters.")
    return key


async def read_body(req: Request) -> bytes:
    """The request's JSON bytes. Raises UnsupportedMediaType, TooLarge, SlowBody before anything is parsed."""
    media_type, _, parameters = (req.content_type or "").partition(";")
    charset = parameters.lower().replace(" ", "").replace('"', "")
    if media_type.strip().lower() != falcon.MEDIA_JSON or charset not in ("", "charset=utf-8"):
        raise UnsupportedMediaType("Send the question as application/json in UTF-8.")
    if req.get_header("content-encoding", default="identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without a content encoding.")
    whole: bytes | None = req.scope[WHOLE]
    if len(whole or b"") > BODY_LIMIT_BYTES or (req.content_length or 0) > BODY_LIMIT_BYTES:
        raise _too_large()
    if whole is not None:
        return whole
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await req.stream.read(BODY_LIMIT_BYTES + 1 - len(body)):
                body += chunk
                if len(body) > BODY_LIMIT_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise SlowBody(f"The request must be complete within {BODY_SECONDS:.0f} s.") from None
    return bytes(body)


def _too_large() -> TooLarge:
    return TooLarge(f"A request may have at most {BODY_LIMIT_BYTES} bytes.")


def parse(body: bytes) -> AskRequest:
    """The request. Raises MalformedRequest if it is no JSON object, InvalidRequest with every mistake otherwise."""
    try:
        return AskRequest.model_validate_json(body)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    if mistakes[0]["type"] in ("json_invalid", "model_type", "model_attributes_type"):
        raise MalformedRequest("The body is not a JSON object in UTF-8.")
    raise InvalidRequest(
        "See errors for what is wrong where.",
        errors=tuple(
            FieldError(
                field=".".join(str(part) for part in mistake["loc"])[:ECHO_LIMIT],
                message=mistake["msg"].removeprefix("Value error, "),
            )
            for mistake in mistakes[:10]
        ),
    )
