"""Makes a big log fast: `python -m loadtests.make_log DATABASE --events 1000000`.

Rows come from the real mapper, vault and recorder, sealed every 1,000 events; key files lie beside the database.
What is asked, and how providers fare, is random, and the same for the same `--seed`; ids and keys are not.
"""

import argparse
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from eventsourcing.persistence import StoredEvent

import seeds
from ouija_es import __version__
from ouija_es.config import Settings
from ouija_es.domain.events import (
    Abandoned,
    Answered,
    AnsweredTexts,
    Asked,
    AskedTexts,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    PolicyAdopted,
    TierPolicy,
    Withdrawn,
)
from ouija_es.domain.persona import PROMPTS_VERSION
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider, Reason
from ouija_es.ids import uuid7
from ouija_es.store.answers import seed_database
from ouija_es.store.keys import check_vault_key, keyring
from ouija_es.store.mapper import to_row
from ouija_es.store.seals import LedgerKey
from ouija_es.store.sqlite import open_recorder
from ouija_es.store.vault import Vault

START = datetime(2026, 1, 1, tzinfo=UTC)
SEAL_EVENTS = 1_000
MODELS = {Provider.GROQ: "llama-3.1-8b-instant", Provider.OLLAMA: "qwen2.5:0.5b", Provider.DATABASE: "sqlite-fallback"}
WORDS = "amor trabajo salud familia muerte futuro dinero alma viaje love job money tomorrow".split()  # noqa: SIM905


class Visitors:
    """Sessions that ask one to six questions each."""

    def __init__(self, vault: Vault, rng: random.Random) -> None:
        self._vault = vault
        self._rng = rng
        self.instance = uuid7()
        self.now = START
        self.keys: list[tuple[UUID, bytes]] = []

    def policy(self) -> StoredEvent:
        """The process's first event."""
        tiers = tuple(
            TierPolicy(
                provider=provider, configured=True, model=model, timeout_ms=3_000, max_attempts=1, concurrency=64
            )
            for provider, model in MODELS.items()
        )
        policy = PolicyAdopted(
            **self._moment(),
            service_version=__version__,
            deadline_ms=8_000,
            reserve_ms=1_000,
            tiers=tiers,
            prompts_version=PROMPTS_VERSION,
            answers_digest="0" * 16,
            categories_digest="0" * 16,
        )
        return to_row(self.instance, 1, policy)

    def sessions(self) -> Iterator[list[StoredEvent]]:
        """A question's rows, again and again; what is new in `keys` belongs to them."""
        while True:
            session_id = uuid7()
            key, wrapped = self._vault.new_key(session_id)
            self.keys.append((session_id, wrapped))
            for number in range(self._rng.randint(1, 6)):
                stream = uuid7()
                events = self._question(session_id, number)
                yield [to_row(stream, version, event, key) for version, event in enumerate(events, 1)]

    def _moment(self, milliseconds: int = 1) -> dict[str, object]:
        self.now += timedelta(milliseconds=milliseconds)
        return {"at": self.now, "instance": self.instance}

    def _question(self, session_id: UUID, number: int) -> list[Event]:
        rng = self._rng
        asked = Asked(
            **self._moment(rng.randrange(2_000)),
            session_id=session_id,
            opens_session=number == 0,
            personality=rng.choice(list(Personality)),
            language=rng.choice(list(Language)),
            category=rng.choice(list(Category)),
            exchanges=min(number, 3),
            deadline_ms=8_000,
            trace_id=f"{rng.getrandbits(128):032x}",
            texts=AskedTexts(question=f"¿{' '.join(rng.choices(WORDS, k=rng.randint(2, 12)))}?", client_address="::1"),
        )
        return [asked, *self._tiers(asked.at)]

    def _tiers(self, began: datetime) -> Iterator[Event]:
        rng = self._rng
        for provider in Provider:
            if provider is not Provider.DATABASE and rng.random() < 0.1:
                reason = rng.choice([Reason.BUCKET_EMPTY, Reason.BREAKER_OPEN, Reason.SATURATED])
                yield AttemptSkipped(**self._moment(), provider=provider, reason=reason, time_left_ms=6_000)
                continue
            yield AttemptStarted(
                **self._moment(),
                provider=provider,
                attempt=1,
                model=MODELS[provider],
                timeout_ms=3_000,
                time_left_ms=6_000,
            )
            if provider is not Provider.DATABASE and rng.random() < 0.01:
                yield from self._end(provider)
                return
            took = 0 if provider is Provider.DATABASE else rng.randrange(100, 3_000)
            if provider is not Provider.DATABASE and rng.random() < 0.15:
                yield AttemptFailed(
                    **self._moment(took),
                    provider=provider,
                    attempt=1,
                    reason=rng.choice([Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.CONNECTION]),
                    duration_ms=took,
                    time_left_ms=6_000 - took,
                )
                continue
            yield from self._answer(provider, took, began)
            return

    def _end(self, provider: Provider) -> Iterator[Event]:
        if self._rng.random() < 0.5:
            yield Abandoned(**self._moment(70_000))
            return
        cancelled = self._moment(500)
        yield AttemptFailed(
            **cancelled, provider=provider, attempt=1, reason=Reason.CANCELLED, duration_ms=500, time_left_ms=6_000
        )
        yield Withdrawn(**cancelled)

    def _answer(self, provider: Provider, took: int, began: datetime) -> Iterator[Event]:
        rng, by_model = self._rng, provider is not Provider.DATABASE
        yield AttemptSucceeded(
            **self._moment(took),
            provider=provider,
            attempt=1,
            reason=None,
            duration_ms=took,
            model=MODELS[provider],
            input_tokens=rng.randrange(100, 400) if by_model else None,
            output_tokens=rng.randrange(10, 80) if by_model else None,
        )
        moment = self._moment()
        yield Answered(
            **moment,
            source=provider,
            model=MODELS[provider],
            duration_ms=round((self.now - began).total_seconds() * 1000),
            texts=AnsweredTexts(
                response=" ".join(rng.choices(WORDS, k=rng.randint(8, 40))), canned_answer_id=None, safety=False
            ),
        )


def make_log(database: Path, events: int, seed: int = 1) -> int:
    """Appends at least so many events to a database, which is made if need be; how many."""
    database.parent.mkdir(parents=True, exist_ok=True)
    settings = Settings(database_url=f"file:{database}")
    seed_database(database, seeds.load_answers())
    ring = keyring(settings)
    check_vault_key(database, ring)
    key = LedgerKey(ring.ledger.raw)
    visitors = Visitors(Vault(ring.vault_key), random.Random(seed))
    recorder = open_recorder(database)
    questions, made = visitors.sessions(), 0
    while made < events:
        rows = [] if made else [visitors.policy()]
        while len(rows) < min(SEAL_EVENTS, events - made):
            rows += next(questions)
        positions = recorder.insert_events(rows, session_keys=visitors.keys) or []
        visitors.keys.clear()
        seal = key.seal(positions[-1], recorder.links[-1], visitors.now, visitors.instance)
        recorder.insert_events([to_row(uuid7(), 1, seal)])
        made += len(rows) + 1
    recorder.datastore.close()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started_at = time.monotonic()
    made = make_log(options.database, options.events, options.seed)
    seconds = time.monotonic() - started_at
    print(f"{made} events in {seconds:.1f} s, {made / seconds:.0f}/s, {options.database.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
