"""Rows of a log, without a database."""

from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ouija_es.store.ledger import LogRow


def to_log_row(position: int, event: StoredEvent, own_link: bytes) -> LogRow:
    """The row as it would be stored at a position."""
    stream = event.originator_id.hex if isinstance(event.originator_id, UUID) else event.originator_id
    return LogRow(position, stream, event.originator_version, event.topic, event.state, own_link)
