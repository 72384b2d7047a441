"""What a fold keeps is pinned: views of a file are taken up again by whatever release has the same `VERSION`."""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ouija_es.domain.events import (
    TOPICS,
    Abandoned,
    Answered,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Erased,
    Event,
    PolicyAdopted,
    Withdrawn,
)
from ouija_es.domain.vocabulary import Category, ErasedBy, Language, Personality, Provider, Reason
from ouija_es.projections.folding import Folding
from ouija_es.projections.sessions import row_of
from ouija_es.projections.state import VERSION, State, encode
from ouija_es.projections.witness import Witness
from ouija_es.store.ledger import GENESIS, LogRow, link
from ouija_es.store.mapper import to_row
from ouija_es.store.seals import LedgerKey, Links
from tests.log_rows import to_log_row

STATE = (2, "ef63beccc5fb769218fd96ff09461f713a7add09f393fd04dd5f67fbde6df1c7")
"""Of the log below: the version and the SHA-256 of the state after every row. Another state needs another version."""
SESSIONS = "42218690e550feea864c803d119f17ed8695b7e2fb81140b35d67d1b4549c50a"

QUESTIONS = 200


class Scribe:
    """Writes a log of every kind of event, the same each time."""

    def __init__(self) -> None:
        self.rows: list[LogRow] = []
        self._chance = random.Random(7)
        self._at = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self._instance = self._uuid()
        self._sessions = [self._uuid() for _ in range(40)]
        self._key = LedgerKey(bytes(32))

    def write(self) -> None:
        self._add(
            self._uuid(),
            PolicyAdopted(
                **self._moment(),
                service_version="1",
                deadline_ms=8_000,
                reserve_ms=500,
                tiers=(),
                prompts_version=1,
                answers_digest="a",
                categories_digest="c",
            ),
        )
        self._add(self._uuid(), Answered(**self._moment(), source=Provider.OLLAMA, model="m", duration_ms=1, texts=b""))
        for number in range(QUESTIONS):
            stream = self._uuid()
            for event in self._question(number):
                self._add(stream, event)
            if number % 10 == 9:
                for event in self._aside():
                    self._add(self._uuid(), event)

    def _add(self, stream: UUID, event: Event) -> None:
        before, ordinal = self.rows[-1].link if self.rows else GENESIS, len(self.rows) + 1
        row = to_row(stream, 1, event)
        self.rows.append(to_log_row(ordinal, row, link(before, ordinal, stream.hex, 1, row.topic, row.state)))

    def _question(self, number: int) -> list[Event]:
        chance = self._chance
        provider = chance.choice([Provider.GROQ, Provider.OLLAMA])
        asked = Asked(
            **self._moment(),
            session_id=chance.choice(self._sessions),
            opens_session=chance.random() < 0.3,
            personality=chance.choice(list(Personality)),
            language=chance.choice(list(Language)),
            category=chance.choice(list(Category)),
            exchanges=0,
            deadline_ms=8_000,
            trace_id=f"{number:032x}",
            texts=b"sealed",
        )
        if number % 50 == 49:
            return [asked]  # stays open
        tried = {"provider": provider, "attempt": 1}
        skipped = AttemptSkipped(
            **self._moment(), provider=provider, reason=Reason.SATURATED, time_left_ms=chance.randrange(9_000)
        )
        failed = AttemptFailed(
            **self._moment(),
            **tried,
            reason=chance.choice([Reason.TIMEOUT, Reason.CANCELLED, Reason.SERVER_ERROR]),
            duration_ms=chance.randrange(9_000),
            time_left_ms=1_000,
        )
        started = AttemptStarted(**self._moment(), **tried, model="m", timeout_ms=3_000, time_left_ms=7_500)
        succeeded = AttemptSucceeded(
            **self._moment(),
            **tried,
            reason=chance.choice([None, None, Reason.TRUNCATED]),
            duration_ms=chance.randrange(12_000),
            model="m",
            input_tokens=chance.choice([None, 0, 120]),
            output_tokens=chance.choice([None, 40]),
        )
        source = chance.choice([provider, Provider.DATABASE])
        answered = Answered(
            **self._moment(), source=source, model="m", duration_ms=chance.randrange(12_000), texts=b"sealed"
        )
        withdrawn, abandoned = Withdrawn(**self._moment()), Abandoned(**self._moment())
        ends: list[list[Event]] = [
            [started, succeeded, answered],
            [started, failed, skipped, answered],
            [skipped, withdrawn],
            [started, failed, abandoned],
        ]
        return [asked, *chance.choice(ends)]

    def _aside(self) -> list[Event]:
        last = len(self.rows)
        return [
            BreakerOpened(**self._moment(), provider=Provider.GROQ, reason=Reason.TIMEOUT, failures=5, open_ms=9),
            BreakerHalfOpened(**self._moment(), provider=Provider.GROQ),
            BreakerClosed(**self._moment(), provider=Provider.GROQ),
            Erased(**self._moment(), session_id=self._chance.choice(self._sessions), by=ErasedBy.HOLDER),
            Erased(**self._moment(), session_id=self._uuid(), by=ErasedBy.RETENTION),
            self._key.seal(last, self.rows[last - 1].link, self._at, self._instance),
        ]

    def _moment(self) -> dict[str, object]:
        self._at += timedelta(seconds=self._chance.choice([-2, 0, 1, 7, 40]))  # clocks go back now and then
        return {"at": self._at, "instance": self._instance}

    def _uuid(self) -> UUID:
        return UUID(int=self._chance.getrandbits(128), version=4)


def test_the_state_of_a_known_log_is_the_one_of_this_version() -> None:
    scribe = Scribe()
    scribe.write()
    assert {row.topic for row in scribe.rows} == set(TOPICS)
    folding, states = Folding(State(), Witness(None, Links())), hashlib.sha256()
    for row in scribe.rows:
        folding.fold([row])
        states.update(encode(folding.state))
    assert folding.state.mismatch is None
    assert (VERSION, states.hexdigest()) == STATE
    assert hashlib.sha256(repr([row_of(change) for change in folding.take()[2]]).encode()).hexdigest() == SESSIONS
