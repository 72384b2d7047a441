"""A question's life as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

import msgspec
import structlog
from falcon.asgi import SSEvent

from ouija_es.domain.attempts import Attempt
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import RequestError
from ouija_es.resources.bodies import AnswerBody
from ouija_es.resources.problem import problem_body
from ouija_es.seance import Accepted, Answer, Delta, Discard, Item, Tell

MEDIA_TYPE = "text/event-stream"
COMMENT_SECONDS = 2.0
"""A comment line keeps proxies from taking silence for an end."""

log = structlog.get_logger()


class Stream:
    """One streamed question, asked in a task of its own, so that it can outlive its client.

    What is told waits here without a bound of its own: a provider may say 2,000 characters, and is tried a few times.
    `gone` is done once nobody reads the response any more.
    """

    def __init__(
        self, asking: Callable[[Tell], Awaitable[Answer]], gone: asyncio.Future[None], *, finish_without_client: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.task = self._loop.create_task(self._ask(asking))
        self._finish_without_client = finish_without_client
        self._told: list[Item | RequestError | None] = []  # None: the end
        self._more = asyncio.Event()
        self._accepted = False
        gone.add_done_callback(self._nobody_reads)

    async def accepted(self) -> bool:
        """Whether the question will be asked; else its stored answer follows at once.

        Raises what is wrong with the request: that is an ordinary error still, not an event.
        """
        await self._more.wait()
        first = self._told[0]
        if isinstance(first, RequestError):
            raise first
        if first is None:
            await self.task  # raises the bug
        return self._accepted

    async def events(self, body: Callable[[Answer], AnswerBody], trace_id: str) -> AsyncIterator[SSEvent | None]:
        """The events to send; None is a comment line."""
        self._comment_later()
        try:
            yield None
            shown = False
            while True:
                await self._more.wait()
                self._more.clear()
                told, self._told = self._told, []
                if not told:
                    yield None
                for item in joined(told):
                    if item is None:
                        return
                    if isinstance(item, RequestError) and shown:
                        yield _event("discard", {"reason": Reason.CANCELLED})
                    shown = isinstance(item, Delta) or (shown and not isinstance(item, Discard))
                    if (event := _to_event(item, body, trace_id)) is not None:
                        yield event
        finally:
            self._commenting.cancel()
            if not self._finish_without_client:
                self.task.cancel()

    async def _ask(self, asking: Callable[[Tell], Awaitable[Answer]]) -> None:
        try:
            self._tell(await asking(self._tell))
        except RequestError as error:
            self._tell(error)
        except Exception:
            # The stream's border: a bug ends it, and its operators see it.
            if not self._accepted:
                raise
            log.exception("bug")
        finally:
            self._tell(None)

    def _tell(self, item: Item | RequestError | None) -> None:
        self._accepted = self._accepted or isinstance(item, Accepted)
        self._told.append(item)
        self._more.set()

    def _comment_later(self) -> None:
        self._commenting = self._loop.call_later(COMMENT_SECONDS, self._comment)

    def _comment(self) -> None:
        self._more.set()
        self._comment_later()

    def _nobody_reads(self, _: object) -> None:
        self._tell(None)
        if not self._finish_without_client:
            self.task.cancel()


class Streams:
    """All that are under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def open(
        self, asking: Callable[[Tell], Awaitable[Answer]], gone: asyncio.Future[None], *, finish_without_client: bool
    ) -> Stream:
        """Begins one."""
        stream = Stream(asking, gone, finish_without_client=finish_without_client)
        self._tasks.add(stream.task)
        stream.task.add_done_callback(self._tasks.discard)
        return stream

    async def drain(self) -> None:
        """Waits for the questions whose clients are gone."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def joined(told: Iterable[Item | RequestError | None]) -> Iterator[Item | RequestError | None]:
    """Pieces of text that came together become one: an event costs more than its text."""
    text = ""
    for item in told:
        if isinstance(item, Delta):
            text += item.text
            continue
        if text:
            yield Delta(text)
            text = ""
        yield item
    if text:
        yield Delta(text)


def _to_event(item: Item | RequestError, body: Callable[[Answer], AnswerBody], trace_id: str) -> SSEvent | None:
    match item:
        case Attempt():
            return _event("attempt", item)
        case Delta():
            return _event("delta", item)
        case Discard():
            return _event("discard", item)
        case Answer():
            return _event("answer", body(item))
        case Accepted():
            return None
        case RequestError():
            return _event("error", problem_body(item, trace_id))


def _event(name: str, data: object) -> SSEvent:
    return SSEvent(event=name, data=msgspec.json.encode(data))
