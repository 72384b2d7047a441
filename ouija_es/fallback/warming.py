"""Keeps Ollama's model loaded: the first call after a pause would take tens of seconds, and fall to the next tier."""

import asyncio
from collections.abc import Callable

import structlog

from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError
from ouija_es.fallback.tier import Evidence, Tier
from ouija_es.providers.ollama import Ollama

LOAD_SECONDS = 60.0
PAUSE_SECONDS = 300.0
"""A third of how long Ollama keeps a model at least, so that one lost probe does no harm."""
FIRST_PAUSE_SECONDS = 15.0
"""After a failure; doubled from one to the next, up to `PAUSE_SECONDS`."""

log = structlog.get_logger()


class Warming:
    """Probes one provider, one probe at a time. `random()` gives a float in [0, 1): replicas must not probe in step."""

    def __init__(self, tier: Tier, ollama: Ollama, random: Callable[[], float]) -> None:
        self._tier = tier
        self._ollama = ollama
        self._random = random

    async def run(self) -> None:
        """Probes until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._ollama.load(LOAD_SECONDS)
            except ProviderError as error:
                self._saw(error.reason)
                wait, pause = pause, min(PAUSE_SECONDS, pause * 2)
            else:
                self._saw(None)
                wait, pause = PAUSE_SECONDS, FIRST_PAUSE_SECONDS
            await asyncio.sleep(wait * (0.75 + self._random() / 2))

    def _saw(self, reason: Reason | None) -> None:
        before = self._tier.evidence
        self._tier.evidence = Evidence(available=reason is None, reason=reason)
        if before != self._tier.evidence:
            log.info("ollama probed", available=reason is None, reason=reason)
