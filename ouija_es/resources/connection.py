"""What Falcon leaves to the server: a client that sends nothing, goes away, or does not read its streamed answer."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Generator, Mapping
from types import coroutine
from typing import Any, TypeVar

import falcon.asgi
import msgspec
from falcon.asgi import Request

from ouija_es.errors import MalformedRequest, RequestError, SlowBody
from ouija_es.resources.envelope import SECURITY_HEADERS, SPAN, EnvelopedResponse
from ouija_es.resources.problem import MEDIA_TYPE, problem_body

GONE = "ouija_es.gone"
WHOLE = "ouija_es.whole"
HTTP_VERSIONS = ("1.0", "1.1")
FIRST_PIECE_SECONDS = 5.0
SEND_SECONDS = 10.0
"""How long a client may leave a piece of a stream unread before its connection is given up."""

Message = Mapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Result = TypeVar("Result")
Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]


class App(falcon.asgi.App[Request, EnvelopedResponse]):
    """Falcon's application.

    `scope[GONE]` is a future, done once nobody reads the response any more; `scope[WHOLE]` is the request's body if all
    of it was there with its first piece, so that nobody has to wait for more, else None.
    """

    # Falcon's ASGI class overrides its WSGI one, too.
    async def __call__(  # type: ignore[override]
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """One connection (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if scope["http_version"] not in HTTP_VERSIONS:  # the server's parser lets 0.9 and 2.0 pass; Falcon raises
            await _refuse(send, MalformedRequest("This service speaks HTTP/1.1 and HTTP/1.0."))
            return
        gone = scope[GONE] = asyncio.get_running_loop().create_future()
        # Falcon waits for the first piece of a body before any responder runs: without a limit here, for ever.
        try:
            first = await within(FIRST_PIECE_SECONDS, receive())
        except TimeoutError:
            await _refuse(send, SlowBody(f"The request must be complete within {FIRST_PIECE_SECONDS:.0f} s."))
            return
        scope[WHOLE] = None if first.get("more_body") else first.get("body", b"")

        unread: Message | None = first

        async def receiving() -> Message:
            nonlocal unread
            message, unread = (unread, None) if unread is not None else (await receive(), None)
            if message["type"] == "http.disconnect":
                _done(gone)
            return message

        async def sending(message: dict[str, Any]) -> None:
            if not message.get("more_body"):
                await send(message)
                return
            try:
                await within(SEND_SECONDS, send(message))
            except TimeoutError:
                _done(gone)
                raise

        try:
            await super().__call__(scope, receiving, sending)
        finally:
            if SPAN in scope:
                scope[SPAN].end()


async def within(seconds: float, awaited: Coroutine[Any, Any, Result]) -> Result:
    """Its result. Raises TimeoutError if it takes longer; what need not wait, as nearly always, costs no timer."""
    try:
        waits_for = awaited.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _going_on(awaited, waits_for)


@coroutine
def _going_on(begun: Coroutine[Any, Any, Result], waits_for: Any) -> Generator[Any, Any, Result]:  # noqa: ANN401 - the loop's
    """Awaits a coroutine that has run up to its first wait already."""
    while True:
        try:
            try:
                woken = yield waits_for
            except BaseException as error:  # noqa: BLE001 - thrown on into it
                waits_for = begun.throw(error)
            else:
                waits_for = begun.send(woken)
        except StopIteration as done:
            result: Result = done.value
            return result


def _done(gone: asyncio.Future[None]) -> None:
    if not gone.done():
        gone.set_result(None)


async def _refuse(send: Send, error: RequestError) -> None:
    """Without the application, which never gets to see the request; the connection is of no use any more."""
    trace_id = os.urandom(16).hex()
    body = msgspec.json.encode(problem_body(error, trace_id))
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        "connection": "close",
        "x-trace-id": trace_id,
    }
    headers |= SECURITY_HEADERS
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
