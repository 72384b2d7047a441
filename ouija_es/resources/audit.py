"""The audit API: what happened to a question, as it was written down."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import falcon
import msgspec
from falcon.asgi import Request, Response

from ouija_es.domain.events import Asked
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.erasure import Erasure
from ouija_es.errors import UnknownQuestion, UnknownSession
from ouija_es.resources.erasing import erase
from ouija_es.resources.tokens import BearerToken
from ouija_es.store.log import EventLog, Recorded


class SessionHistoryResource:
    """GET /audit/sessions/{sessionId}: its questions in order, each with its events; DELETE erases their texts."""

    def __init__(self, log: EventLog, token: BearerToken, erasure: Erasure, erasure_token: BearerToken) -> None:
        self._log = log
        self._token = token
        self._erasure = erasure
        self._erasure_token = erasure_token

    async def on_get(self, req: Request, resp: Response, session_id: UUID) -> None:
        """The session's history; texts in the clear unless erased."""
        self._token.check(req)
        questions = await asyncio.to_thread(self._log.session, session_id)
        if not questions:
            raise UnknownSession("No question of this session is recorded.")
        # A session is known by its first question.
        self._token.accepted(req, question_id=str(questions[0][0].stream))
        _write(resp, {"sessionId": session_id, "questions": [question_body(events) for events in questions]})

    async def on_delete(self, req: Request, resp: Response, session_id: UUID) -> None:
        """As the holder's, by an operator."""
        self._erasure_token.check(req)
        self._erasure_token.accepted(req)
        await erase(self._erasure, resp, session_id, ErasedBy.OPERATOR)


class QuestionHistoryResource:
    """GET /audit/questions/{questionId}: one question with its events."""

    def __init__(self, log: EventLog, token: BearerToken) -> None:
        self._log = log
        self._token = token

    async def on_get(self, req: Request, resp: Response, question_id: UUID) -> None:
        """The question's history; texts in the clear unless erased."""
        self._token.check(req)
        self._token.accepted(req, question_id=str(question_id))
        events = await asyncio.to_thread(self._log.question, question_id)
        if not events:
            raise UnknownQuestion("No question with this id is recorded.")
        _write(resp, question_body(events))


def question_body(events: Sequence[Recorded]) -> dict[str, Any]:
    """A question as auditors see it. `erased`: its texts cannot be opened any more, and are null."""
    first = events[0]
    asked = first.event
    if not isinstance(asked, Asked):
        raise TypeError(first.topic)
    return {
        "questionId": first.stream,
        "sessionId": asked.session_id,
        "erased": isinstance(asked.texts, bytes),
        "events": [
            {"position": it.position, "version": it.version, "type": it.topic, "data": _data(it)} for it in events
        ],
    }


def _data(recorded: Recorded) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(recorded.event, builtin_types=[bytes])
    if isinstance(data.get("texts"), bytes):
        data["texts"] = None
    return data


def _write(resp: Response, body: dict[str, Any]) -> None:
    resp.data = msgspec.json.encode(body)
    resp.content_type = falcon.MEDIA_JSON
