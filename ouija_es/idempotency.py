"""Idempotency keys: the same request with the same key is asked once, and its stored answer is given again.

They are kept in the log itself, as keyed hashes in `Asked`, and survive a restart; who is being answered right now is
known to the one process that answers.
"""

import asyncio
import hmac
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from ouija_es.clock import Clock
from ouija_es.domain.events import FINAL, Answered, Asked
from ouija_es.errors import ErasedQuestion, KeyInFlight, KeyReused
from ouija_es.recovery import Recovery
from ouija_es.store.log import EventLog, Recorded
from ouija_es.store.vault import SealingKey, Vault

KEPT_FOR = timedelta(hours=24)
LOOKS = 3
IN_FLIGHT_RETRY_SECONDS = 1

Request = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that this request alone may use until it is let go."""

    hash: str


class Idempotency:
    """Finds what was asked with a key before."""

    def __init__(self, log: EventLog, vault: Vault, recovery: Recovery, clock: Clock) -> None:
        self._log = log
        self._vault = vault
        self._recovery = recovery
        self._clock = clock
        self._in_flight: set[str] = set()

    @contextmanager
    def holding(self, key: str) -> Iterator[HeldKey]:
        """Takes the key for one request. Raises KeyInFlight if another one has it."""
        key_hash = self._hash(key)
        if key_hash in self._in_flight:
            raise _in_flight()
        self._in_flight.add(key_hash)
        try:
            yield HeldKey(key_hash)
        finally:
            self._in_flight.discard(key_hash)

    def request_hash(self, session_key: SealingKey, request: Request) -> str:
        """Tells one request from another. Under the session's key, so that erasing the session voids it."""
        return session_key.keyed_hash("request", json.dumps(request))

    def is_held(self, key: str) -> bool:
        """Whether another request has the key: to ask with it, or only to read what was answered."""
        return self._hash(key) in self._in_flight

    async def answered(self, key: str, request: Request) -> list[Recorded]:
        """As `earlier`, without holding the key: if there is no answer, it raises KeyInFlight."""
        history = await asyncio.to_thread(self._look, self._hash(key), request)
        if history is None or not isinstance(history[-1].event, Answered):
            raise _in_flight()
        return history

    async def earlier(self, key: HeldKey, request: Request) -> list[Recorded] | None:
        """The opened history of the question that was answered for this key; None if there is none.

        Raises KeyReused, ErasedQuestion, StoreUnavailable.
        """
        for _ in range(LOOKS):
            history = await asyncio.to_thread(self._look, key.hash, request)
            if history is None or isinstance(history[-1].event, Answered):
                return history
            # It ended without an answer, or has no end yet: then it gets one first, so that none can follow later.
            if isinstance(history[-1].event, FINAL):
                return None
            await self._recovery.abandon(history[0].stream)
        raise _in_flight()

    def _hash(self, key: str) -> str:
        return self._vault.keyed_hash("idempotency-key", key)

    def _look(self, key_hash: str, request: Request) -> list[Recorded] | None:
        question_id = self._log.question_with_key(key_hash)
        if question_id is None:
            return None
        history = self._log.stream(question_id)
        asked = history[0].event
        if not isinstance(asked, Asked) or self._clock.now() - asked.at > KEPT_FOR:
            return None
        session_key = self._log.session_key(asked.session_id)
        if session_key is None:
            raise ErasedQuestion("Its texts are gone for good.")
        if not hmac.compare_digest(asked.request_hash or "", self.request_hash(session_key, request)):
            raise KeyReused("Use a new key for a new request.")
        return self._log.history(question_id, session_key)


def _in_flight() -> KeyInFlight:
    return KeyInFlight("Wait for the first request to end.", retry_after_seconds=IN_FLIGHT_RETRY_SECONDS)
