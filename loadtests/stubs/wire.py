"""What the two wires share: a request understood, an answer to say, a reply to frame, and HTTP/1.1 as bytes."""

import enum
import http
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

TEXT = "Las estrellas dicen que sí, pero el camino pide paciencia."
# Stands for the running number in ids: a valid id as it is, and replaced by the number of the reply where speed allows.
MARK = b"5ea4ce000000"

JSON = "application/json"
Payload = dict[str, Any]
Headers = Mapping[str, str | None]
NOTHING: Headers = {}


class End(enum.Enum):
    """How a script may leave a connection other than ready for the next request."""

    HANG = "hang"
    CLOSE = "close"
    RESET = "reset"


Step = bytes | float | End  # bytes to send, seconds to wait, or the end
Script = bytes | Iterable[Step]


class Ask(NamedTuple):
    """A request as a provider reads it. `probe`: it lists or loads models and asks nothing."""

    path: bytes
    model: str
    stream: bool
    probe: bool = False


Answer = Callable[[Ask], Script]


class Request(NamedTuple):
    """A request as it came; `at` in seconds since the epoch."""

    at: float
    method: bytes
    path: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    keep_alive: bool

    def header(self, name: bytes) -> bytes:
        """Its value, or nothing; `name` in lower case."""
        for key, value in self.headers:
            if len(key) == len(name) and key.lower() == name:
                return value
        return b""


class Refusal(Exception):
    """The request itself is wrong, whatever the provider's mood."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Said:
    """An answer. `tokens` None: as many as it has words."""

    text: str | None = TEXT
    finish: str = "stop"
    tokens: int | None = None
    prompt_tokens: int = 58

    @property
    def deltas(self) -> list[str | None]:
        return [None] if self.text is None else list(re.findall(r"\s*\S+|\s+", self.text)) or [""]

    @property
    def completion_tokens(self) -> int:
        return len(self.deltas) if self.tokens is None else self.tokens


@dataclass(frozen=True)
class Frames:
    """A streamed reply: what comes before the text, the text, and the endings `whole`, `no_finish`, `no_done`."""

    opening: list[Payload]
    deltas: list[Payload]
    endings: Mapping[str, list[Payload | bytes]]


class Wire(Protocol):
    """One provider's format."""

    name: str
    paths: tuple[tuple[bytes, bytes], ...]
    stream_type: str
    padding: tuple[bytes, bytes]  # around as many spaces as one likes, in front of a streamed reply: it stays valid

    def read(self, request: Request) -> Ask:
        """Raises Refusal."""

    def headers(self, status: int, /) -> dict[str, str]:
        """What is sent beside content-type and content-length."""

    def payload(self, ask: Ask, said: Said) -> Payload: ...
    def frames(self, ask: Ask, said: Said) -> Frames: ...
    def frame(self, payload: Payload | bytes) -> bytes: ...
    def error(self, status: int, message: str | None = None, model: str = "") -> Payload: ...
    def without_answer(self, payload: Payload) -> Payload: ...
    def stream_error(self, form: str) -> bytes: ...


def head(status: int, headers: Headers) -> bytes:
    """The status line and headers, with the blank line; a header whose value is None is left out."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "\r\n"]).encode("latin-1")


def response(status: int, headers: Headers, body: bytes, *, off_by: int = 0) -> bytes:
    """A whole response; `off_by` falsifies its content-length."""
    if status in (204, 304):
        return head(status, headers)
    return head(status, {**headers, "content-length": str(len(body) + off_by)}) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
