"""The stored format: every row ever written can be read, and docs/events.md says what it is.

A new version of an event, a new field or a new word: add lines to golden_events.jsonl that show it, and add a pin.
"""

import base64
import hashlib
import json
import re
import sqlite3
from contextlib import closing
from itertools import groupby
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from ouija_es.domain import vocabulary
from ouija_es.domain.events import (
    FINAL,
    TOPIC_OF,
    TOPICS,
    AnsweredTexts,
    Asked,
    AskedTexts,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Erased,
    Event,
    PolicyAdopted,
    Sealed,
    TierPolicy,
    TierState,
)
from ouija_es.store.mapper import opened, to_event
from ouija_es.store.sqlite import open_recorder
from ouija_es.store.vault import SealingKey, Vault
from tests.store.history import DOCUMENT, END, START, documented_order

GOLDEN = (Path(__file__).parent / "golden_events.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
VAULT_KEY = bytes(range(32))
"""What the session keys in the golden lines are wrapped under."""

PINS = [
    (66, "fdb7c517f97b7aecd4bd9df35e2fdb5a5c34d4f0a308efc387143ac453411cbc"),
    (84, "c8863d6d9aa5f3d36bbc0a30f893aed5cc2831014951a2e9bf6bcc01181765ed"),
    (86, "c3e5c475a08eae69f22fdce39cec178ad1195207f82301c5c11a86c24a918a49"),
    (87, "f3575a6bd67a9b12f5f455d90a317a121d189e6f525a9a19088e57a45e095adc"),
    (88, "62b47ea2806886b999165024fc26ece345c6a85ff2fccf211dd97812e6efe691"),
    (95, "e932595e70698672275cc1b24b70c7a1777c40e90e58738f36e6a12773005930"),
]
"""How many lines there were, and their SHA-256. Pins are only added: lines that were written once are never edited."""

DOCUMENTED = DOCUMENT.read_text(encoding="utf-8")
OF_NO_QUESTION = (PolicyAdopted, BreakerOpened, BreakerHalfOpened, BreakerClosed, Erased, Sealed)
PARTS: dict[str, type[msgspec.Struct]] = {
    "TierPolicy": TierPolicy,
    "AskedTexts": AskedTexts,
    "AnsweredTexts": AnsweredTexts,
    "TierState": TierState,
}


class Line:
    """A stored row, and for a test what its texts say."""

    def __init__(self, text: str) -> None:
        self.json: dict[str, Any] = json.loads(text)
        self.state: dict[str, Any] = self.json["state"]
        self.raw = json.dumps(self.state, ensure_ascii=False, separators=(",", ":")).encode()
        self.stream, self.version = UUID(self.json["stream"]), int(self.json["version"])

    def event(self) -> Event:
        return to_event(StoredEvent(self.stream, self.version, self.json["topic"], self.raw))


LINES = [Line(text) for text in GOLDEN]


@pytest.mark.parametrize("line", LINES, ids=range(1, len(LINES) + 1))
def test_a_row_of_old_is_read_and_means_what_it_meant(line: Line) -> None:
    event = line.event()
    again = msgspec.json.encode(event)
    fields = json.loads(again)
    assert holds(fields, line.state)
    # What the row does not have yet came in with a default; a row of today's form is the same to the byte.
    assert again == line.raw or fields != line.state


def holds(new: Any, old: Any) -> bool:
    """Whether everything that stood in the row is there as it was; nested parts may have grown, too."""
    if isinstance(old, dict):
        return all(name in new and holds(new[name], value) for name, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return bool(new == old)


def test_sealed_texts_of_old_open_and_say_what_they_said() -> None:
    keys: dict[UUID, SealingKey] = {}
    session_of: dict[UUID, UUID] = {}
    seen = 0
    for line in LINES:
        event = line.event()
        if isinstance(event, Asked):
            session_of[line.stream] = event.session_id
            if event.opens_session:
                wrapped = base64.b64decode(line.json["wrapped"])
                keys[event.session_id] = Vault(VAULT_KEY).unwrap(event.session_id, wrapped)
        if "texts" in line.json:
            clear = opened(line.stream, line.version, event, keys[session_of[line.stream]])
            texts = msgspec.to_builtins(clear)["texts"]
            assert {name: texts[name] for name in line.json["texts"]} == line.json["texts"]
            seen += 1
    assert seen == sum("texts" in line.state for line in LINES) > 0


def test_golden_lines_are_only_added() -> None:
    for count, digest in PINS:
        assert hashlib.sha256("".join(GOLDEN[:count]).encode()).hexdigest() == digest
    assert [count for count, _ in PINS] == sorted({count for count, _ in PINS})
    assert PINS[-1][0] == len(GOLDEN), "new lines want a pin of their own"


def test_every_topic_and_every_field_is_in_the_golden_lines() -> None:
    stored = {topic: [line.state for line in LINES if line.json["topic"] == topic] for topic in TOPICS}
    for topic, event in TOPICS.items():
        names = {field.encode_name for field in msgspec.structs.fields(event)}
        assert any(state.keys() == names for state in stored[topic]), f"no line shows {topic} with all its fields"
    assert {line.json["topic"] for line in LINES} <= TOPICS.keys()


@pytest.mark.parametrize("event", TOPIC_OF, ids=lambda event: event.__name__)
def test_golden_lines_show_each_field_that_may_be_null_with_and_without_a_value(event: type[Event]) -> None:
    states = [line.state for line in LINES if line.json["topic"] == TOPIC_OF[event]]
    names = {field.name: field.encode_name for field in msgspec.structs.fields(event)}
    for name, kind in get_type_hints(event).items():
        if get_origin(kind) is UnionType and NoneType in get_args(kind):
            assert {state[names[name]] is None for state in states if names[name] in state} == {True, False}, name


@pytest.mark.parametrize("words", ["Language", "Personality", "Category", "Provider", "Reason", "ErasedBy"])
def test_every_word_that_can_be_stored_is_in_the_golden_lines(words: str) -> None:
    field = {"ErasedBy": "by"}.get(words, words.lower())
    stored = {line.state[field] for line in LINES if field in line.state} - {None}
    assert stored == {word.value for word in getattr(vocabulary, words)}


def test_golden_streams_follow_the_documented_order() -> None:
    order = documented_order()
    for _, lines in groupby(LINES, key=lambda line: line.stream):
        names = [type(line.event()).__name__ for line in lines]
        if names[0] not in {"PolicyAdopted", "Erased", "Sealed"}:
            assert all(after in order[before] for before, after in zip([START, *names], names, strict=False)), names


def documented_fields(heading: str) -> set[str]:
    """The fields in the table under a heading."""
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", DOCUMENTED, re.MULTILINE | re.DOTALL)
    assert section, f"docs/events.md has no heading {heading}"
    return set(re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE))


@pytest.mark.parametrize("topic", TOPICS)
def test_an_event_is_documented_field_by_field(topic: str) -> None:
    every = {field.encode_name for field in msgspec.structs.fields(Event)}
    assert documented_fields("Every event") == every
    fields = {field.encode_name for field in msgspec.structs.fields(TOPICS[topic])}
    assert documented_fields(f"`{topic}`") == fields - every


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_an_event_is_documented_field_by_field(part: str) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(PARTS[part])}
    assert documented_fields(f"`{part}`") == fields


def test_no_other_event_is_documented() -> None:
    assert set(re.findall(r"^### `([^`]+)`$", DOCUMENTED, re.MULTILINE)) == TOPICS.keys()
    assert set(re.findall(r"^#### `([^`]+)`$", DOCUMENTED, re.MULTILINE)) == PARTS.keys()


def test_the_documented_order_knows_every_event_of_a_question_and_ends_with_the_final_ones() -> None:
    order = documented_order()
    names = {event.__name__ for event in TOPIC_OF} - {event.__name__ for event in OF_NO_QUESTION}
    assert order.keys() == names | {START}
    assert set().union(*order.values()) == names | {END}
    assert {name for name, following in order.items() if following == {END}} == {event.__name__ for event in FINAL}


@pytest.mark.parametrize("table", ["stored_events", "session_keys"])
def test_a_table_is_documented_column_by_column(tmp_path: Path, table: str) -> None:
    open_recorder(tmp_path / "ouija.db").datastore.close()
    with closing(sqlite3.connect(tmp_path / "ouija.db")) as connection:
        columns = {name: kind.lower() for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")}
    section = DOCUMENTED.partition(f"`{table}`, one row")[2].partition("\n\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section.split("\n\n")[1], re.MULTILINE)
    assert dict(rows) == columns
