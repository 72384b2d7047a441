"""Says an answer on a wire: the whole of it, or the parts that faults are made from."""

import itertools
from collections.abc import Callable, Iterator

import msgspec

from loadtests.stubs.wire import (
    JSON,
    LAST_CHUNK,
    MARK,
    NOTHING,
    Ask,
    Headers,
    Payload,
    Said,
    Script,
    Step,
    Wire,
    chunk,
    head,
    response,
)

# A private-use character that becomes two bytes no UTF-8 text has.
BROKEN = "\ue000"


class Speak:
    """Says an answer, plain or streamed. The bytes are built once per kind of request; only the ids' number changes."""

    def __init__(
        self,
        wire: Wire,
        said: Said,
        *,
        headers: Headers = NOTHING,
        delta_ms: float = 0,
        alter: Callable[[Payload], Payload] = lambda payload: payload,
    ) -> None:
        self.wire, self.said, self.alter = wire, said, alter
        self.more, self.pause = headers, delta_ms / 1000
        self._built: dict[Ask, list[bytes]] = {}
        self._numbers = itertools.count()

    def __call__(self, ask: Ask) -> Script:
        if self.pause and ask.stream:
            return self._slowly(ask)
        parts = self._built.get(ask)
        if parts is None:
            parts = self.whole(ask).split(MARK)
            if len(self._built) < 64:  # a client that invents models must not fill the memory
                self._built[ask] = parts
        return (b"%012d" % next(self._numbers)).join(parts)

    def headers(self, ask: Ask) -> Headers:
        kind = self.wire.stream_type if ask.stream else JSON
        framing: Headers = {"transfer-encoding": "chunked"} if ask.stream else {}
        return {"content-type": kind, **self.wire.headers(200), **framing, **self.more}

    def plain(self, ask: Ask) -> bytes:
        """The body of a reply that is not streamed."""
        return broken(msgspec.json.encode(self.alter(self.wire.payload(ask, self.said))))

    def pieces(self, ask: Ask, *, opening: bool = True, deltas: int | None = None, ending: str = "") -> list[bytes]:
        """The frames of a streamed reply, or some of them."""
        frames = self.wire.frames(ask, self.said)
        payloads = [*(frames.opening if opening else []), *frames.deltas[:deltas], *frames.endings.get(ending, [])]
        altered = [part if isinstance(part, bytes) else self.alter(part) for part in payloads]
        return [broken(self.wire.frame(part)) for part in altered]

    def body(self, ask: Ask) -> bytes:
        """The body of either kind of reply, without transfer coding."""
        return b"".join(self.pieces(ask, ending="whole")) if ask.stream else self.plain(ask)

    def whole(self, ask: Ask) -> bytes:
        """The response as it is on the wire."""
        if not ask.stream:
            return response(200, self.headers(ask), self.plain(ask))
        chunks = [chunk(piece) for piece in self.pieces(ask, ending="whole")]
        return b"".join([head(200, self.headers(ask)), *chunks, LAST_CHUNK])

    def _slowly(self, ask: Ask) -> Iterator[Step]:
        yield head(200, self.headers(ask))
        for piece in self.pieces(ask, ending="whole"):
            yield chunk(piece)
            yield self.pause
        yield LAST_CHUNK


def broken(data: bytes) -> bytes:
    return data.replace(BROKEN.encode(), b"\xff\xfe")
