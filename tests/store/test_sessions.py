"""What is known of a session: the same whether it comes from memory or from the log."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from ouija_es.domain.events import AnsweredTexts, Event
from ouija_es.domain.persona import HISTORY_EXCHANGES, Exchange
from ouija_es.ids import uuid7
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Session, Sessions
from ouija_es.store.vault import Vault
from tests.store.rows import abandoned, answered, asked, skipped

VAULT = Vault(bytes(range(32)))
PATIENCE_SECONDS = 60.0


class Parlour:
    """A recorder, its log and the sessions over it; `sessions` may be put anew, as after a restart."""

    def __init__(self, path: Path) -> None:
        self.recorder = GroupCommit(path)
        self.recorder.start()
        self.log = EventLog(path, VAULT)
        self.sessions = Sessions(self.log, VAULT)

    async def record(self, session: Session, question: str, *events: Event) -> UUID:
        stream = uuid7()
        history = [asked(session.id, question), *events]
        wrapped, session.wrapped_key = session.wrapped_key, None
        await self.recorder.append(
            [to_row(stream, version, event, session.key) for version, event in enumerate(history, 1)],
            seconds=PATIENCE_SECONDS,
            session_key=None if wrapped is None else (session.id, wrapped),
        )
        return stream

    async def found_after_a_restart(self, session: Session) -> Session:
        found = await Sessions(self.log, VAULT).find(session.id)
        assert found is not None
        return found

    async def close(self) -> None:
        await self.recorder.close()
        self.log.close()


@pytest.fixture
async def parlour(tmp_path: Path) -> AsyncIterator[Parlour]:
    parlour = Parlour(tmp_path / "ouija.db")
    yield parlour
    await parlour.close()


async def test_an_opened_session_is_not_known_before_its_first_event(parlour: Parlour) -> None:
    session = parlour.sessions.open()
    assert await parlour.sessions.find(session.id) is None
    assert await parlour.sessions.find(uuid7()) is None


async def test_memory_and_log_tell_the_same(parlour: Parlour) -> None:
    session = parlour.sessions.open()
    for number in range(HISTORY_EXCHANGES + 2):
        answer = answered(f"Respuesta {number}.", canned_answer_id=f"es-wise-love-{number:02}")
        await parlour.record(session, f"¿{number}?", skipped(), answer)
        assert isinstance(answer.texts, AnsweredTexts)
        session.remember(f"¿{number}?", answer.texts)
    found = await parlour.found_after_a_restart(session)
    assert list(found.exchanges) == list(session.exchanges)
    assert len(found.exchanges) == HISTORY_EXCHANGES
    assert found.exchanges[-1] == Exchange(f"¿{HISTORY_EXCHANGES + 1}?", f"Respuesta {HISTORY_EXCHANGES + 1}.")
    assert found.previous_canned_id == session.previous_canned_id == f"es-wise-love-{HISTORY_EXCHANGES + 1:02}"
    assert found.wrapped_key is None
    # What one seals, the other opens.
    assert session.key.open(found.key.seal(b"texto", b"sitio"), b"sitio") == b"texto"


async def test_what_was_answered_out_of_character_is_not_told_again(parlour: Parlour) -> None:
    session = parlour.sessions.open()
    await parlour.record(session, "¿Uno?", answered("Sí."))
    await parlour.record(session, "no quiero vivir", answered("Llama al 024.", safety=True))
    found = await parlour.found_after_a_restart(session)
    assert list(found.exchanges) == [Exchange("¿Uno?", "Sí.")]


async def test_a_question_without_an_answer_is_no_exchange(parlour: Parlour) -> None:
    session = parlour.sessions.open()
    await parlour.record(session, "¿Uno?", answered("Sí."))
    await parlour.record(session, "¿Dos?", skipped(), abandoned())
    await parlour.record(session, "¿Tres?", skipped())
    found = await parlour.found_after_a_restart(session)
    assert list(found.exchanges) == [Exchange("¿Uno?", "Sí.")]


async def test_a_session_without_a_key_is_unknown(parlour: Parlour) -> None:
    session = parlour.sessions.open()
    session.wrapped_key = None
    await parlour.record(session, "¿Uno?", answered("Sí."))
    assert await Sessions(parlour.log, VAULT).find(session.id) is None


async def test_two_asks_at_once_go_on_with_one_session(parlour: Parlour) -> None:
    session = parlour.sessions.open()
    await parlour.record(session, "¿Uno?", answered("Sí."))
    found = await asyncio.gather(*(parlour.sessions.find(session.id) for _ in range(8)))
    assert len({id(it) for it in found}) == 1


async def test_memory_is_bounded_and_what_falls_out_is_found_again(parlour: Parlour) -> None:
    sessions = Sessions(parlour.log, VAULT, limit=3)
    opened = []
    for number in range(5):
        session = sessions.open()
        await parlour.record(session, f"¿{number}?", answered("Sí."))
        sessions.keep(session)
        opened.append(session)
        assert len(sessions._known) <= 3
        await sessions.find(opened[0].id)  # used again and again: it stays
    assert await sessions.find(opened[0].id) is opened[0]
    again = await sessions.find(opened[1].id)
    assert again is not opened[1]
    assert again is not None
    assert list(again.exchanges) == [Exchange("¿1?", "Sí.")]
