"""Events to rows and back. What is `texts` in an event is sealed in its row."""

from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from ouija_es.domain.events import TOPIC_OF, TOPICS, Answered, AnsweredTexts, Asked, AskedTexts, Event
from ouija_es.errors import OuijaError
from ouija_es.store.vault import SealingKey, padded

_WITH_TEXTS = (Asked, Answered)  # `Asked | Answered` would be made anew for each event
_encoder = msgspec.json.Encoder()
_decoders = {topic: msgspec.json.Decoder(event) for topic, event in TOPICS.items()}
_text_decoders: dict[type[Event], msgspec.json.Decoder[AskedTexts] | msgspec.json.Decoder[AnsweredTexts]] = {
    Asked: msgspec.json.Decoder(AskedTexts),
    Answered: msgspec.json.Decoder(AnsweredTexts),
}


class UnreadableEvent(OuijaError):
    """A row is not an event of a known topic and form."""


def to_row(stream: UUID, version: int, event: Event, key: SealingKey | None = None) -> StoredEvent:
    """The row of an event; `key` seals its texts and must be given if it has any."""
    topic = TOPIC_OF[type(event)]
    if isinstance(event, _WITH_TEXTS) and not isinstance(event.texts, bytes):
        if key is None:
            raise ValueError(f"{topic} has texts, and no key to seal them")
        plaintext = padded(_encoder.encode(event.texts))
        event = msgspec.structs.replace(event, texts=key.seal(plaintext, _associated(stream, version, topic)))
    return StoredEvent(stream, version, topic, _encoder.encode(event))  # by keywords it costs twice as much


def to_event(row: StoredEvent) -> Event:
    """The event of a row, its texts still sealed. Raises UnreadableEvent."""
    try:
        return decoded(row.topic, row.state)
    except UnreadableEvent as error:
        raise UnreadableEvent(f"{row.topic} at version {row.originator_version} of {row.originator_id}") from error


def decoded(topic: str, state: bytes) -> Event:
    """The event of a row's topic and state, its texts still sealed. Raises UnreadableEvent."""
    try:
        return _decoders[topic].decode(state)
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEvent(topic) from error


def opened(stream: UUID, version: int, event: Event, key: SealingKey) -> Event:
    """The event with its texts in the clear. Raises SealBroken, UnreadableEvent."""
    if not isinstance(event, _WITH_TEXTS) or not isinstance(event.texts, bytes):
        return event
    plaintext = key.open(event.texts, _associated(stream, version, TOPIC_OF[type(event)]))
    try:
        return msgspec.structs.replace(event, texts=_text_decoders[type(event)].decode(plaintext))
    except msgspec.DecodeError as error:
        raise UnreadableEvent(f"the texts at version {version} of {stream}") from error


def _associated(stream: UUID, version: int, topic: str) -> bytes:
    # Binds the sealed bytes to their place: moved to another row they do not open.
    return f"{stream.hex}|{version}|{topic}".encode()
