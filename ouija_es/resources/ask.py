"""POST /ouija/ask."""

import asyncio
import ipaddress
import unicodedata
from typing import Annotated
from uuid import UUID

import falcon
import msgspec
import structlog
from falcon.asgi import Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider, Reason
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
from ouija_es.resources.languages import preferred_language
from ouija_es.seance import Answer, Ask, Seance

log = structlog.get_logger()

BODY_LIMIT_BYTES = 16 * 1024
BODY_SECONDS = 5.0
QUESTION_LIMIT = 500
ECHO_LIMIT = 100


def _question(value: str) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise ValueError("must not be empty")
    if len(text) > QUESTION_LIMIT:
        raise ValueError(f"must have at most {QUESTION_LIMIT} characters")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\t" for character in text):
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


class AttemptBody(msgspec.Struct, frozen=True, rename="camel"):
    """One try of a provider."""

    provider: Provider
    outcome: Outcome
    reason: Reason | None
    duration_ms: int


class AnswerBody(msgspec.Struct, frozen=True, rename="camel"):
    """The 200 body. `response_time` in whole milliseconds."""

    question_id: UUID
    session_id: UUID
    question: str
    response: str
    personality: Personality
    language: Language
    category: Category
    source: Provider
    model: str
    response_time: int
    attempts: list[AttemptBody]


class AskResource:
    """Reads, validates, asks, writes."""

    def __init__(
        self, seance: Seance, readiness: Readiness, clock: Clock, *, deadline_seconds: float, proxy_hops: int
    ) -> None:
        self._seance = seance
        self._readiness = readiness
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._proxy_hops = proxy_hops
        self._encoder = msgspec.json.Encoder()

    async def on_post(self, req: Request, resp: Response) -> None:
        """Answers a question."""
        deadline = Deadline(self._deadline_seconds, self._clock)
        if not req.client_accepts(falcon.MEDIA_JSON):
            raise NotAcceptable("This route answers application/json.")
        request = parse(await read_body(req))
        language = request.language or preferred_language(req.get_header("accept-language"))
        ask = Ask(
            question=request.question,
            personality=request.personality,
            language=language,
            session_id=request.session_id,
            client_address=client_address(req, self._proxy_hops),
            trace_id=req.context.trace_id,
        )
        await self._readiness.wait(deadline.left())
        answer = await self._seance.ask(ask, deadline)
        log.info(
            "answered",
            question_id=str(answer.question_id),
            trace_id=ask.trace_id,
            source=answer.source.value,
            duration_ms=answer.duration_ms,
            record_ms=round(answer.record_ms, 1),
            attempts=[f"{it.provider} {it.outcome} {it.reason or '-'} {it.duration_ms}" for it in answer.attempts],
        )
        resp.data = self._encoder.encode(_body(ask, answer))
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("Server-Timing", _server_timing(answer))
        resp.set_header("Content-Language", language)


def _body(ask: Ask, answer: Answer) -> AnswerBody:
    return AnswerBody(
        question_id=answer.question_id,
        session_id=answer.session_id,
        question=ask.question,
        response=answer.response,
        personality=ask.personality,
        language=ask.language,
        category=answer.category,
        source=answer.source,
        model=answer.model,
        response_time=answer.duration_ms,
        attempts=[
            AttemptBody(attempt.provider, attempt.outcome, attempt.reason, attempt.duration_ms)
            for attempt in answer.attempts
        ],
    )


def _server_timing(answer: Answer) -> str:
    """https://www.w3.org/TR/server-timing/: one entry per attempt, and the event store's share."""
    entries = [f'{attempt.provider};dur={attempt.duration_ms};desc="{attempt.outcome}"' for attempt in answer.attempts]
    return ", ".join([*entries, f"record;dur={answer.record_ms:.1f}"])


async def read_body(req: Request) -> bytes:
    """The request's JSON bytes. Raises UnsupportedMediaType, TooLarge, SlowBody before anything is parsed."""
    media_type, _, parameters = (req.content_type or "").partition(";")
    charset = parameters.lower().replace(" ", "").replace('"', "")
    if media_type.strip().lower() != falcon.MEDIA_JSON or charset not in ("", "charset=utf-8"):
        raise UnsupportedMediaType("Send the question as application/json in UTF-8.")
    if req.get_header("content-encoding", default="identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without a content encoding.")
    too_large = TooLarge(f"A request may have at most {BODY_LIMIT_BYTES} bytes.")
    if (req.content_length or 0) > BODY_LIMIT_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await req.stream.read(BODY_LIMIT_BYTES + 1 - len(body)):
                body += chunk
                if len(body) > BODY_LIMIT_BYTES:
                    raise too_large
    except TimeoutError:
        raise SlowBody(f"The request must be complete within {BODY_SECONDS:.0f} s.") from None
    return bytes(body)


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


def client_address(req: Request, proxy_hops: int) -> str | None:
    """The client's IP address; behind proxies, that many entries from the right of `X-Forwarded-For`.

    What stands further left was written by whoever asked and is not believed.
    """
    address: str | None = req.remote_addr
    if proxy_hops:
        entries = [entry.strip() for entry in req.get_header("x-forwarded-for", default="").split(",")]
        address = entries[-proxy_hops] if len(entries) >= proxy_hops else None
    try:
        return str(ipaddress.ip_address(address or ""))
    except ValueError:
        return None
