"""The audit API's lists: the sessions, newest first, and the whole log, in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import falcon
import msgspec
from falcon.asgi import Request, Response

from ouija_es.errors import StoreUnreadable
from ouija_es.projections.projector import Projector
from ouija_es.projections.sessions import SessionRow
from ouija_es.resources import paging
from ouija_es.resources.tokens import BearerToken
from ouija_es.store.cloudevents import NotALine, to_line
from ouija_es.store.rows import log_rows

SESSIONS_LIMIT = 200
SESSIONS_DEFAULT = 50
EVENTS_LIMIT = 1_000
CHUNK_EVENTS = 200
MEDIA_NDJSON = "application/x-ndjson"


class SessionsResource:
    """GET /audit/sessions?cursor=&limit=: a page of sessions."""

    def __init__(self, projector: Projector, token: BearerToken) -> None:
        self._projector = projector
        self._token = token

    async def on_get(self, req: Request, resp: Response) -> None:
        """The page, and the cursor of the next; null on the last one."""
        self._token.check(req)
        limit = paging.limit(req, default=SESSIONS_DEFAULT, most=SESSIONS_LIMIT)
        before = paging.before(req)
        rows = await self._projector.sessions(before, limit + 1)
        self._token.accepted(req, opened_before=before, sessions=len(rows[:limit]))
        resp.data = msgspec.json.encode(sessions_body(rows, limit))
        resp.content_type = falcon.MEDIA_JSON


class EventsResource:
    """GET /audit/events?after=&limit=: the log as CloudEvents, one a line; nothing is left out, texts stay sealed."""

    def __init__(self, database: Path, token: BearerToken) -> None:
        self._database = database
        self._token = token

    async def on_get(self, req: Request, resp: Response) -> None:
        """The lines; `Link` leads to what follows, if the log goes on."""
        self._token.check(req)
        after = paging.after(req)
        limit = paging.limit(req, default=EVENTS_LIMIT, most=EVENTS_LIMIT)
        end, head = await asyncio.to_thread(self._end, after, limit)
        first, position = await asyncio.to_thread(self._lines, after, end)
        self._token.accepted(req, behind=after, up_to=end)
        if end < head:
            resp.set_header("Link", f'</audit/events?after={end}&limit={limit}>; rel="next"')
        resp.stream = self._chunks(first, position, end)
        resp.content_type = MEDIA_NDJSON

    def _end(self, after: int, limit: int) -> tuple[int, int]:
        """The last position of the page, and of the log."""
        with log_rows(self._database) as log:
            return log.page_end(after, limit), log.head()

    async def _chunks(self, chunk: bytes, position: int, end: int) -> AsyncIterator[bytes]:
        """Never a page that is short without saying so: an error breaks the response off."""
        yield chunk
        while position < end:
            chunk, position = await asyncio.to_thread(self._lines, position, end)
            yield chunk

    def _lines(self, after: int, end: int) -> tuple[bytes, int]:
        """Some lines behind a position, and the position of the last. Raises StoreUnreadable."""
        if after >= end:
            return b"", end
        with log_rows(self._database) as log:
            rows = [row for row in log.after(after, CHUNK_EVENTS) if row.position <= end]
        try:
            return b"".join(map(to_line, rows)), rows[-1].position
        except NotALine as error:
            raise StoreUnreadable(f"The log cannot be told: {error}.") from error


def sessions_body(rows: Sequence[SessionRow], limit: int) -> dict[str, Any]:
    """A page of at most `limit`; a row more tells that there is a next one."""
    page = rows[:limit]
    return {
        "sessions": [
            {
                "sessionId": row.session_id,
                "openedAt": row.opened_at,
                "lastAt": row.last_at,
                "questions": row.questions,
                "erasedAt": row.erased_at,
            }
            for row in page
        ],
        "next": paging.cursor(page[-1].opened_position) if len(rows) > limit else None,
    }
