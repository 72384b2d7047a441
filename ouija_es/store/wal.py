"""SQLite's write-ahead log as it lies on disk: https://www.sqlite.org/fileformat2.html#the_write_ahead_log."""

from pathlib import Path

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24


def generation(log: Path) -> bytes:
    """The salts of the log: other ones each time it is begun anew. Empty bytes if it is empty or not there."""
    try:
        with log.open("rb") as file:
            return file.read(HEADER_BYTES)[16:24]
    except OSError:
        return b""


def bytes_left_of_older(log: Path) -> int:
    """How much of older generations lies behind the log's end: one that is begun anew keeps its length.

    Raises OSError.
    """
    left = 0
    with log.open("rb") as file:
        header = file.read(HEADER_BYTES)
        frame_bytes, at = FRAME_HEADER_BYTES + int.from_bytes(header[8:12]), HEADER_BYTES
        while frame := file.read(FRAME_HEADER_BYTES):
            left += frame_bytes * (frame[8:16] != header[16:24])
            at += frame_bytes
            file.seek(at)
    return left
