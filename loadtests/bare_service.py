"""What an ask costs before any of this service is in it: `python -m loadtests.bare_service STEP PORT UPSTREAM FOLDER`.

Steps, each with all of those before it: `echo`, Falcon under uvicorn reads JSON and writes some; `call`, the provider
is asked, with the service's own client; `commits`, two rows are made durable before the call and two after it, by the
service's own group commit into FOLDER. Nothing is validated, sealed, chained to a question, folded, counted or logged.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import falcon.asgi
import msgspec
import uvicorn
from eventsourcing.persistence import StoredEvent
from falcon.asgi import Request, Response

from ouija_es.domain.vocabulary import Category, Language, Personality
from ouija_es.ids import uuid7
from ouija_es.providers.groq import Groq
from ouija_es.providers.provider import Query
from ouija_es.store.recorder import GroupCommit

SECONDS = 5.0
TOPIC = "ouija.AttemptStarted.v1"
STATE = msgspec.json.encode({"at": "2026-01-01T00:00:00.000000Z", "model": "x" * 220})
"""As long as the events of an ask are on average."""


class Bare:
    """The one route, and its lifespan."""

    def __init__(self, step: str, upstream: str, folder: Path) -> None:
        self._groq = Groq(upstream, "gsk_nobody", "llama-3.1-8b-instant") if step != "echo" else None
        self._recorder = GroupCommit(folder / "bare.db") if step == "commits" else None

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        del scope, event
        if self._recorder is not None:
            self._recorder.start()

    async def on_post(self, req: Request, resp: Response) -> None:
        asked = msgspec.json.decode(await req.stream.read())
        text, stream = asked["messages"][-1]["content"], uuid7()
        if self._recorder is not None:
            await self._recorder.append([StoredEvent(stream, it, TOPIC, STATE) for it in (1, 2)], seconds=SECONDS)
        if self._groq is not None:
            query = Query(
                question_id=stream,
                question=text,
                personality=Personality.WISE,
                language=Language.EN,
                category=Category.GENERAL,
            )
            text = (await self._groq.answer(query, SECONDS)).text
        if self._recorder is not None:
            await self._recorder.append([StoredEvent(stream, it, TOPIC, STATE) for it in (3, 4)], seconds=SECONDS)
        resp.data = msgspec.json.encode({"id": stream, "text": text})
        resp.content_type = falcon.MEDIA_JSON


def main() -> None:
    step, port, upstream, folder = sys.argv[1:]
    bare = Bare(step, upstream, Path(folder))
    app: Any = falcon.asgi.App()  # type: ignore[var-annotated]
    app.add_middleware(bare)
    app.add_route("/", bare)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_config=None, access_log=False)


if __name__ == "__main__":
    main()
