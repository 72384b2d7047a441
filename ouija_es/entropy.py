"""Random bytes of the operating system, fetched in blocks: a system call for each nonce costs more than sealing."""

import os
import threading

BLOCK_BYTES = 4_096


class _Block:
    """What is left of the last block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        with self._lock:
            if self._used + count > len(self._bytes):
                self._bytes, self._used = os.urandom(max(BLOCK_BYTES, count)), 0
            given = self._bytes[self._used : self._used + count]
            self._used += count
        return given

    def forget(self) -> None:
        """A forked process must not give out the same bytes; nor may it wait for a lock of the other's."""
        self.__init__()  # type: ignore[misc]


_block = _Block()
os.register_at_fork(after_in_child=_block.forget)


def random_bytes(count: int) -> bytes:
    """Fresh bytes, each given out once: fit for keys, nonces and secrets."""
    return _block.take(count)
