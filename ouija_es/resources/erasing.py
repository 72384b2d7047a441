"""DELETE of a session: its texts are erased for good."""

from uuid import UUID

import falcon
from falcon.asgi import Request, Response

from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.erasure import Erasure


class SessionResource:
    """DELETE /ouija/sessions/{sessionId}, for whoever holds the id."""

    def __init__(self, erasure: Erasure) -> None:
        self._erasure = erasure

    async def on_delete(self, req: Request, resp: Response, session_id: UUID) -> None:
        """204 when done, 202 while the last copy of the key is being flushed out."""
        del req
        await erase(self._erasure, resp, session_id, ErasedBy.HOLDER)


async def erase(erasure: Erasure, resp: Response, session_id: UUID, by: ErasedBy) -> None:
    """Erases and says how far it is."""
    flushed = await erasure.erase(session_id, by)
    resp.status = falcon.HTTP_204 if flushed else falcon.HTTP_202
