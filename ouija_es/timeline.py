"""A session's history as lines for a terminal."""

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from uuid import UUID

from ouija_es.domain.events import (
    Abandoned,
    Answered,
    AnsweredTexts,
    Asked,
    AskedTexts,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
)
from ouija_es.store.log import Recorded

WIDTH = 100
ERASED = "(erased)"


def timeline(session_id: UUID, questions: Sequence[Sequence[Recorded]]) -> Iterator[str]:
    """One block a question: what was asked, every step with the milliseconds since, what was answered."""
    yield f"session {session_id}, {len(questions)} question{'s' if len(questions) != 1 else ''}"
    for events in questions:
        yield ""
        first = events[0]
        for recorded in events:
            offset = (recorded.event.at - first.event.at).total_seconds() * 1000
            yield from _lines(recorded, offset)


def _lines(recorded: Recorded, offset_ms: float) -> Iterator[str]:
    event = recorded.event
    if isinstance(event, Asked):
        yield (
            f"{event.at:%Y-%m-%d %H:%M:%S}Z  question {recorded.stream}  "
            f"({event.personality}, {event.language}, {event.category})"
        )
        yield from _text(event.texts.question if isinstance(event.texts, AskedTexts) else ERASED)
    else:
        yield f"  {offset_ms:>7.0f} ms  {_step(event):<72}  #{recorded.position}"
    if isinstance(event, Answered):
        yield from _text(event.texts.response if isinstance(event.texts, AnsweredTexts) else ERASED)


def _step(event: Event) -> str:  # noqa: PLR0911 - one line an event
    match event:
        case AttemptStarted():
            return f"{event.provider} called, try {event.attempt}: {shown(event.model)}, at most {event.timeout_ms} ms"
        case AttemptFailed():
            status = f" (status {event.status})" if event.status else ""
            then = "next tier" if event.retry_in_ms is None else f"again in {event.retry_in_ms} ms"
            return f"{event.provider} failed after {event.duration_ms} ms: {event.reason}{status}, {then}"
        case AttemptSkipped():
            return f"{event.provider} skipped: {event.reason}"
        case AttemptSucceeded():
            tokens = f", {event.input_tokens}+{event.output_tokens} tokens" if event.output_tokens is not None else ""
            cut = ", truncated" if event.reason else ""
            return f"{event.provider} answered after {event.duration_ms} ms{tokens}{cut}"
        case Answered():
            return f"answered by {event.source} ({shown(event.model)}), {event.duration_ms} ms in all"
        case Abandoned():
            return "abandoned: found unfinished"
        case _:
            return type(event).__name__


def _text(text: str) -> Iterator[str]:
    for line in shown(text).splitlines():
        yield from textwrap.wrap(line, WIDTH, initial_indent="    “ ", subsequent_indent="      ") or [""]


def shown(text: str) -> str:
    """The text without what could steer a terminal: control characters and bidirectional overrides."""
    return "".join(
        character
        for character in text
        if character == "\n" or (unicodedata.category(character) != "Cc" and character not in _BIDIRECTIONAL)
    )


_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
