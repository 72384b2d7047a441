"""Makes a database with a long log, as the service would have written it: `python -m loadtests.make_log FILE EVENTS`.

Answers by Groq, four events each, sealed and chained, three questions a session, a question a second until now. The key
files lie beside the database, so a service goes on with it.
"""

import argparse
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ouija_es.config import Settings
from ouija_es.domain.events import Answered, AnsweredTexts, Asked, AskedTexts, AttemptStarted, AttemptSucceeded
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider
from ouija_es.store.keys import check_vault_key, keyring
from ouija_es.store.mapper import to_row
from ouija_es.store.sqlite import open_recorder
from ouija_es.store.vault import SealingKey, Vault

EVENTS_A_QUESTION = 4
QUESTIONS_A_SESSION = 3
EVENTS_A_COMMIT = 8_000
MODEL = "llama-3.1-8b-instant"


class Author:
    """Makes the rows of questions, one after the other; `new_keys` gathers the wrapped keys of their sessions."""

    def __init__(self, vault: Vault, started_at: datetime) -> None:
        self.new_keys: list[tuple[UUID, bytes]] = []
        self._vault, self._at = vault, started_at
        self._chance = random.Random()
        self._instance = self._uuid7()
        self._session, self._key = self._instance, SealingKey(bytes(32))

    def question(self, number: int) -> list[StoredEvent]:
        """The `number`th question, a second after the last."""
        self._at += timedelta(seconds=1)
        opens = number % QUESTIONS_A_SESSION == 0
        if opens:
            self._session = self._uuid7()
            self._key, wrapped = self._vault.new_key(self._session)
            self.new_keys.append((self._session, wrapped))
        stream, now, took = self._uuid7(), {"at": self._at, "instance": self._instance}, self._chance.randrange(90, 900)
        tried = {"provider": Provider.GROQ, "attempt": 1, "model": MODEL}
        events = [
            Asked(
                **now,
                session_id=self._session,
                opens_session=opens,
                personality=self._chance.choice(list(Personality)),
                language=self._chance.choice(list(Language)),
                category=self._chance.choice(list(Category)),
                exchanges=number % QUESTIONS_A_SESSION,
                deadline_ms=8_000,
                trace_id=self._chance.randbytes(16).hex(),
                texts=AskedTexts(question="¿Encontraré el amor este año?", client_address="127.0.0.1"),
            ),
            AttemptStarted(**now, **tried, timeout_ms=3_000, time_left_ms=7_500),
            AttemptSucceeded(
                **now,
                **tried,
                reason=None,
                duration_ms=took,
                input_tokens=self._chance.randrange(90, 140),
                output_tokens=40,
            ),
            Answered(
                **now,
                source=Provider.GROQ,
                model=MODEL,
                duration_ms=took + 4,
                texts=AnsweredTexts(response="Las estrellas dicen que sí. " * 4, canned_answer_id=None, safety=False),
            ),
        ]
        return [to_row(stream, version, event, self._key) for version, event in enumerate(events, 1)]

    def _uuid7(self) -> UUID:
        random_bits = self._chance.getrandbits(74)
        version, variant = 0x7 << 76, 0b10 << 62
        milliseconds = int(self._at.timestamp() * 1000)
        high, low = random_bits >> 62, random_bits & (1 << 62) - 1
        return UUID(int=milliseconds << 80 | version | high << 64 | variant | low)


def make_log(database: Path, events: int, *, progress: bool = False) -> None:
    """Raises StartError if the folder cannot be used."""
    settings = Settings(database_url=f"file:{database}")
    ring = keyring(settings)
    check_vault_key(database, ring)
    recorder = open_recorder(database)
    questions = events // EVENTS_A_QUESTION
    author = Author(Vault(ring.vault_key), datetime.now(UTC) - timedelta(seconds=questions + 60))
    rows: list[StoredEvent] = []
    began_at = time.monotonic()
    for number in range(1, questions + 1):
        rows += author.question(number - 1)
        if len(rows) >= EVENTS_A_COMMIT or number == questions:
            recorder.insert_events(rows, session_keys=author.new_keys)
            rows, author.new_keys = [], []
        if progress and number % 25_000 == 0:
            print(f"{number * EVENTS_A_QUESTION:,} events after {time.monotonic() - began_at:.0f} s", flush=True)
    recorder.datastore.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.make_log", description="Makes a long log.")
    parser.add_argument("file", type=Path)
    parser.add_argument("events", type=int)
    given = parser.parse_args()
    make_log(given.file, given.events, progress=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
