"""Whether the service can answer: it listens first and gets ready while it listens."""

import asyncio

from ouija_es.errors import StoreUnavailable


class Readiness:
    """Starting, ready, draining."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self.draining = False

    @property
    def ready(self) -> bool:
        """Seeding and recovery are done, and the service is not about to stop."""
        return self._ready.is_set() and not self.draining

    def set_ready(self) -> None:
        """Everything that comes before the first answer is done."""
        self._ready.set()

    async def wait(self, seconds: float) -> None:
        """Holds an early question back until the service is ready. Raises StoreUnavailable if it takes too long."""
        if self._ready.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            raise StoreUnavailable("other") from None
