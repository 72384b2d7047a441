"""What must hold for every log, whatever happened to the process that wrote it."""

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from ouija_es.config import key_bytes
from ouija_es.domain.events import (
    FINAL,
    Answered,
    AnsweredTexts,
    Asked,
    AskedTexts,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    PolicyAdopted,
    Sealed,
)
from ouija_es.fallback.course import Counts, Course
from ouija_es.store.log import BreakerChange, EventLog, Recorded
from ouija_es.store.mapper import to_event
from ouija_es.store.vault import Vault

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/events.md"
START, END = "(start)", "(end)"


def documented_order() -> dict[str, set[str]]:
    """From docs/events.md: which events may come after which."""
    table = DOCUMENT.read_text(encoding="utf-8").partition("| after | may come |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    return {
        after.strip("`"): {word.strip("`") for word in following.split(", ")}
        for after, following in cells
        if "---" not in after
    }


def open_log(database: Path) -> EventLog:
    """The log of a database whose key file lies beside it."""
    return EventLog(database, vault_of(database))


def vault_of(database: Path) -> Vault:
    """The vault of a database whose key file lies beside it."""
    key = database.with_name(database.name + ".vault-key").read_text(encoding="ascii").strip()
    return Vault(key_bytes(SecretStr(key)))


def streams_of(log: EventLog) -> dict[UUID, list[Recorded]]:
    """Every stream, texts sealed. Asserts that positions and versions have no gaps."""
    streams: dict[UUID, list[Recorded]] = {}
    last = 0
    while page := list(log.rows_after(last, 10_000)):
        for position, row in page:
            assert position == last + 1, f"position {position} follows {last}"
            last = position
            assert isinstance(row.originator_id, UUID)
            stream = streams.setdefault(row.originator_id, [])
            assert row.originator_version == len(stream) + 1, f"stream {row.originator_id}: {row.originator_version}"
            stream.append(Recorded(position, row.originator_id, row.originator_version, row.topic, to_event(row)))
    return streams


def assert_whole(streams: Mapping[UUID, list[Recorded]], *, still_open: bool = False) -> None:
    """Every stream is a process's policy, a seal, or a question from its Asked to its end, in the documented order.

    `still_open`: a question may also be on its way. What was decided about it is decided again from its events.
    """
    order = documented_order()
    counts = Counts()
    for stream, history in streams.items():
        events = [it.event for it in history]
        if isinstance(events[0], PolicyAdopted):
            assert all(isinstance(event, BreakerChange) for event in events[1:])
            assert events[0].instance == stream
            continue
        if isinstance(events[0], Sealed):
            assert len(events) == 1
            continue
        names = [START, *(type(event).__name__ for event in events)]
        for before, after in pairwise(names):
            assert after in order[before], f"{stream}: {names}"
        assert still_open or isinstance(events[-1], FINAL), f"{stream} is open: {names}"
        course = Course(_policy(streams, events[0].instance), counts)
        assert [it for event in events[1:] if (it := course.follow(event))] == [], f"{stream} is decided otherwise"
    assert counts.undecidable == 0


def _policy(streams: Mapping[UUID, list[Recorded]], instance: UUID) -> PolicyAdopted:
    adopted = streams[instance][0].event
    assert isinstance(adopted, PolicyAdopted)
    return adopted


def assert_recorded(body: Mapping[str, Any], log: EventLog) -> None:
    """What a client got with a 200 is in the log: the question, every attempt in order, the answer."""
    history = log.question(UUID(body["questionId"]))
    events = [it.event for it in history]
    assert events, f"question {body['questionId']} is not in the log"
    first, last = events[0], events[-1]
    assert isinstance(first, Asked)
    assert isinstance(first.texts, AskedTexts)
    assert isinstance(last, Answered), type(last).__name__
    assert isinstance(last.texts, AnsweredTexts)
    recorded = {
        "questionId": str(history[0].stream),
        "sessionId": str(first.session_id),
        "question": first.texts.question,
        "response": last.texts.response,
        "personality": first.personality,
        "language": first.language,
        "category": first.category,
        "source": last.source,
        "model": last.model,
        "responseTime": last.duration_ms,
        "attempts": [attempt for event in events if (attempt := _attempt(event))],
    }
    assert recorded == dict(body)


def _attempt(event: Event) -> dict[str, Any] | None:
    outcome: tuple[str, str, str | None, int]
    match event:
        case AttemptSucceeded():
            outcome = (event.provider, "answered", event.reason, event.duration_ms)
        case AttemptFailed():
            outcome = (event.provider, "failed", event.reason, event.duration_ms)
        case AttemptSkipped():
            outcome = (event.provider, "skipped", event.reason, 0)
        case _:
            return None
    return dict(zip(("provider", "outcome", "reason", "durationMs"), outcome, strict=True))


def started(streams: Mapping[UUID, list[Recorded]], provider: str) -> int:
    """How many calls of a provider were announced."""
    events = (it.event for history in streams.values() for it in history)
    return sum(isinstance(event, AttemptStarted) and event.provider == provider for event in events)
