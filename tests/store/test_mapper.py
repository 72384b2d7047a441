"""Events to rows and back, and what a row's sealed texts are bound to."""

import types
from datetime import UTC, datetime
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from ouija_es.domain.events import TOPIC_OF, TOPICS, Answered, AnsweredTexts, Asked, AskedTexts, Event
from ouija_es.ids import uuid7
from ouija_es.store.mapper import UnreadableEvent, opened, to_event, to_row
from ouija_es.store.vault import SealBroken, SealingKey
from tests.store.rows import abandoned, answered, asked

KEY, OTHER_KEY = SealingKey(bytes(range(32))), SealingKey(bytes(32))
STREAM, SESSION = uuid7(), uuid7()

SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    datetime: st.datetimes(timezones=st.just(UTC)),
    UUID: st.uuids(),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type; texts in the clear."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if get_origin(kind) is types.UnionType:
        return st.one_of([values(part) for part in get_args(kind) if part is not bytes])
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=4).map(tuple)
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    assert issubclass(kind, msgspec.Struct)
    return st.builds(kind, **{name: values(part) for name, part in get_type_hints(kind).items()})


@pytest.mark.parametrize("event_type", TOPICS.values(), ids=lambda event: event.__name__)
@given(data=st.data())
def test_every_event_comes_back_as_it_was(event_type: type[Event], data: st.DataObject) -> None:
    event = data.draw(values(event_type))
    stream, version = data.draw(st.uuids()), data.draw(st.integers(1, 10**9))
    row = to_row(stream, version, event, KEY)
    assert (row.originator_id, row.originator_version, row.topic) == (stream, version, TOPIC_OF[event_type])
    assert opened(stream, version, to_event(row), KEY) == event


@pytest.mark.parametrize("event", [asked(SESSION, "¿Volverá?"), answered("Volverá.")])
def test_texts_are_sealed_in_the_row_and_without_a_key_there_is_no_row(event: Asked | Answered) -> None:
    row = to_row(STREAM, 1, event, KEY)
    assert "olverá".encode() not in row.state
    assert b"198.51.100.7" not in row.state
    back = to_event(row)
    assert isinstance(back, Asked | Answered)
    assert isinstance(back.texts, bytes)
    with pytest.raises(ValueError, match="no key"):
        to_row(STREAM, 1, event)


def test_sealed_texts_stay_as_they_are_when_an_event_is_written_again() -> None:
    row = to_row(STREAM, 1, asked(SESSION, "¿Volverá?"), KEY)
    assert to_row(STREAM, 1, to_event(row)) == row


def test_an_event_without_sealed_texts_is_its_own_opened_form() -> None:
    for event in (abandoned(), answered("Volverá.")):
        assert opened(STREAM, 1, event, KEY) is event


@pytest.mark.parametrize("event", [asked(SESSION, "¿Volverá?"), answered("Volverá.")])
def test_sealed_texts_do_not_open_in_another_place_or_under_another_key(event: Asked | Answered) -> None:
    sealed = to_event(to_row(STREAM, 3, event, KEY))
    assert isinstance(sealed, Asked | Answered)
    assert opened(STREAM, 3, sealed, KEY) == event
    for stream, version, key in [(uuid7(), 3, KEY), (STREAM, 4, KEY), (STREAM, 3, OTHER_KEY)]:
        with pytest.raises(SealBroken):
            opened(stream, version, sealed, key)


def test_sealed_texts_do_not_open_in_an_event_of_another_topic() -> None:
    question, answer = (
        to_event(to_row(STREAM, 1, event, KEY)) for event in (asked(SESSION, "¿Volverá?"), answered("Volverá."))
    )
    assert isinstance(question, Asked)
    assert isinstance(answer, Answered)
    for moved in (
        msgspec.structs.replace(answer, texts=question.texts),
        msgspec.structs.replace(question, texts=answer.texts),
    ):
        with pytest.raises(SealBroken):
            opened(STREAM, 1, moved, KEY)


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=15))
def test_short_questions_are_sealed_to_the_same_length(question: str) -> None:
    def length(text: str) -> int:
        sealed = to_event(to_row(STREAM, 1, asked(SESSION, text), KEY))
        assert isinstance(sealed, Asked)
        assert isinstance(sealed.texts, bytes)
        return len(sealed.texts)

    assert length(question) == length("?") == 1 + 12 + 64 + 16


@given(st.text(max_size=500), st.none() | st.ip_addresses().map(str))
def test_sealed_lengths_are_multiples_of_64(question: str, address: str | None) -> None:
    event = msgspec.structs.replace(asked(SESSION, ""), texts=AskedTexts(question=question, client_address=address))
    for it in (event, answered(question)):
        sealed = to_event(to_row(STREAM, 1, it, KEY))
        assert isinstance(sealed, Asked | Answered)
        assert isinstance(sealed.texts, bytes)
        assert (len(sealed.texts) - 1 - 12 - 16) % 64 == 0


def row(topic: str, state: bytes) -> StoredEvent:
    return StoredEvent(STREAM, 1, topic, state)


@pytest.mark.parametrize("topic", ["ouija.Asked.v2", "ouija.asked.v1", "Asked", "", "ouija_es.domain.events:Asked"])
def test_an_unknown_topic_is_unreadable(topic: str) -> None:
    with pytest.raises(UnreadableEvent, match=str(STREAM)):
        to_event(row(topic, to_row(STREAM, 1, asked(SESSION, "¿Volverá?"), KEY).state))


ABANDONED = to_row(STREAM, 1, abandoned()).state


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        ABANDONED[:-1],
        ABANDONED.replace(b'"at"', b'"At"'),
        ABANDONED.replace(b"019c", b"wxyz"),
        b'{"x":' + b"[" * 100_000,
    ],
    ids=range(8),
)
def test_another_form_is_unreadable(state: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        to_event(row("ouija.Abandoned.v1", state))


def test_bytes_that_are_no_text_are_unreadable() -> None:
    state = to_row(STREAM, 1, answered("Volverá."), KEY).state.replace(b"sqlite-fallback", b"sqlite\xfffallback")
    with pytest.raises(UnreadableEvent):
        to_event(row("ouija.Answered.v1", state))


@given(st.sampled_from(sorted(TOPICS)), st.binary(max_size=200))
def test_any_bytes_are_an_event_or_unreadable(topic: str, state: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        to_event(row(topic, state))


@given(st.data())
def test_a_damaged_row_is_an_event_or_unreadable(data: st.DataObject) -> None:
    whole = to_row(STREAM, 1, answered("Volverá."), KEY)
    state = bytearray(whole.state)
    state[data.draw(st.integers(0, len(state) - 1))] = data.draw(st.integers(0, 255))
    try:
        event = to_event(row(whole.topic, bytes(state)))
    except UnreadableEvent:
        return
    assert isinstance(event, Answered)


def test_opened_texts_of_another_form_are_unreadable() -> None:
    place = f"{STREAM.hex}|1|ouija.Answered.v1".encode()
    sealed = msgspec.structs.replace(answered(""), texts=KEY.seal(b'{"response":1}', place))
    with pytest.raises(UnreadableEvent):
        opened(STREAM, 1, sealed, KEY)


def test_the_place_and_the_plaintext_are_as_documented() -> None:
    event = to_event(to_row(STREAM, 7, answered("Volverá.", canned_answer_id="es-wise-love-01"), KEY))
    assert isinstance(event, Answered)
    assert isinstance(event.texts, bytes)
    plaintext = KEY.open(event.texts, f"{STREAM.hex}|7|ouija.Answered.v1".encode())
    assert msgspec.json.decode(plaintext, type=AnsweredTexts) == AnsweredTexts(
        response="Volverá.", canned_answer_id="es-wise-love-01", safety=False
    )
