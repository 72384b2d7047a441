"""A question's life as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import msgspec
import structlog
from falcon.asgi import SSEvent

from ouija_es.domain.attempts import Attempt
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import RequestError
from ouija_es.fallback.chain import Delta, Discard
from ouija_es.resources.bodies import AnswerBody
from ouija_es.resources.problem import problem_body
from ouija_es.seance import Accepted, Answer, Item

MEDIA_TYPE = "text/event-stream"
COMMENT_SECONDS = 2.0
"""A comment line keeps proxies from taking silence for an end."""

log = structlog.get_logger()


class Streams:
    """Runs streamed questions in tasks of their own, so that one can outlive its client."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Waits for the questions whose clients are gone."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def events(
        self,
        first: Item,
        items: AsyncGenerator[Item],
        body: Callable[[Answer], AnswerBody],
        trace_id: str,
        gone: asyncio.Event,
        *,
        finish_without_client: bool,
    ) -> AsyncIterator[SSEvent | None]:
        """The events to send; None is a comment line.

        The queue needs no bound of its own: a provider may say 2,000 characters, and is tried a few times.
        """
        queue: asyncio.Queue[Item | RequestError | None] = asyncio.Queue()
        queue.put_nowait(first)
        task = asyncio.create_task(_pump(items, queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        watcher = asyncio.create_task(_watch(gone, queue, None if finish_without_client else task))
        try:
            yield None
            shown = False
            while True:
                try:
                    async with asyncio.timeout(COMMENT_SECONDS):
                        item = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if item is None:
                    return
                if isinstance(item, RequestError) and shown:
                    yield _event("discard", {"reason": Reason.CANCELLED})
                shown = isinstance(item, Delta) or (shown and not isinstance(item, Discard))
                if (event := _to_event(item, body, trace_id)) is not None:
                    yield event
        finally:
            watcher.cancel()
            if not finish_without_client:
                task.cancel()


async def _pump(items: AsyncGenerator[Item], queue: asyncio.Queue[Item | RequestError | None]) -> None:
    try:
        async for item in items:
            queue.put_nowait(item)
    except RequestError as error:
        queue.put_nowait(error)
    except Exception:
        # The stream's border: a bug ends it, and its operators see it.
        log.exception("bug")
        raise
    finally:
        queue.put_nowait(None)
        await items.aclose()


async def _watch(
    gone: asyncio.Event, queue: asyncio.Queue[Item | RequestError | None], task: asyncio.Task[None] | None
) -> None:
    await gone.wait()
    queue.put_nowait(None)
    if task is not None:
        task.cancel()


def _to_event(item: Item | RequestError, body: Callable[[Answer], AnswerBody], trace_id: str) -> SSEvent | None:
    match item:
        case Attempt():
            return _event("attempt", item)
        case Delta():
            return _event("delta", {"text": item.text})
        case Discard():
            return _event("discard", {"reason": item.reason})
        case Answer():
            return _event("answer", body(item))
        case Accepted():
            return None
        case RequestError():
            return _event("error", problem_body(item, trace_id))


def _event(name: str, data: object) -> SSEvent:
    return SSEvent(event=name, data=msgspec.json.encode(data))
