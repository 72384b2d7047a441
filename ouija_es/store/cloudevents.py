"""Rows of the log as CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec/tree/v1.0.2), one a line, and back.

`data` is the stored JSON byte for byte, so that a row's link can be computed from its line. Whatever else a line says
follows from the row: docs/audit.md tells it to third parties.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ouija_es.errors import OuijaError
from ouija_es.store.ledger import LogRow

SOURCE = "urn:ouija-es:log"
"""The same for every log: ids are unique by themselves, and an imported log gives the same lines again."""


class NotALine(OuijaError):
    """A row that is damaged so that it cannot be told, or a line that is none of an export; the message says why."""


class CloudEvent(msgspec.Struct, kw_only=True):
    """One row. `time` and `data` are absent, and `data_base64` is there, if what is stored is no JSON of an event."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: str | UnsetType = UNSET
    datacontenttype: str = "application/json"
    position: int
    streamversion: int
    link: str
    data: Raw | UnsetType = UNSET
    data_base64: bytes | UnsetType = UNSET


class _Moment(msgspec.Struct):
    at: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CloudEvent)
_moment_decoder = msgspec.json.Decoder(_Moment)


def to_line(row: LogRow) -> bytes:
    """The row's line, with its end. Raises NotALine."""
    return _encoder.encode(_cloud_event(row)) + b"\n"


def from_line(line: bytes) -> LogRow:
    """The row of a line as `to_line` writes it, whatever its spaces and the order of its keys. Raises NotALine."""
    try:
        event = _decoder.decode(line)
        stream, link = event.subject.replace("-", ""), bytes.fromhex(event.link)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NotALine(f"not an event of an export: {error}") from error
    state = event.data if isinstance(event.data, Raw) else event.data_base64
    if isinstance(state, UnsetType):
        raise NotALine("not an event of an export: it has no data")
    row = LogRow(event.position, stream, event.streamversion, event.type, bytes(state), link)
    if event != _cloud_event(row):
        raise NotALine("what it says of its event is not what follows from the event")
    return row


def _cloud_event(row: LogRow) -> CloudEvent:
    position, stream, version, topic, state, link = row
    try:
        event = CloudEvent(
            id=f"{stream}/{version}",
            type=topic,
            subject=f"{stream[:8]}-{stream[8:12]}-{stream[12:16]}-{stream[16:20]}-{stream[20:]}",
            position=position,
            streamversion=version,
            link=link.hex(),
        )
        moment = _moment(state)
    except (TypeError, AttributeError) as error:
        raise NotALine(f"the row at position {position} is damaged") from error
    if moment is None:
        event.datacontenttype = "application/octet-stream"
        event.data_base64 = state
    else:
        event.time, event.data = moment, Raw(state)
    return event


def _moment(state: bytes) -> str | None:
    """When it happened, as the state says it; None if that is no JSON object that fits into a line as it is."""
    if state[:1] != b"{" or state[-1:] != b"}" or b"\n" in state:
        return None
    try:
        state.decode()
        return _moment_decoder.decode(state).at
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
