"""What a process forgets when a session is erased, and what it knows of an erasure that came late."""

import asyncio
import gc
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from ouija_es.domain.events import AnsweredTexts
from ouija_es.domain.persona import Exchange
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.errors import StoreUnavailable, UnknownSession
from ouija_es.ids import uuid7
from ouija_es.store.sessions import Session
from ouija_es.store.vault import SealingKey, Vault
from tests.house import NOW, House
from tests.store.rows import locked


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Vault(secrets.token_bytes(32)))
    yield house
    await house.close()


def remembered(session_id: UUID, question: str) -> list[str]:
    """What of a session can be reached in this process."""
    gc.collect()
    return [
        type(it).__name__
        for it in gc.get_objects()
        if (isinstance(it, Session) and it.id == session_id) or (isinstance(it, Exchange) and it.question == question)
    ]


async def test_the_process_forgets_the_session_its_key_and_its_exchanges(house: House) -> None:
    session_id, question = await house.session(NOW), "¿Volverá Leocadia?"
    session = await house.sessions.find(session_id)
    assert session is not None
    session.remember(question, AnsweredTexts(response="Tal vez.", canned_answer_id=None, safety=False))
    keys = sum(isinstance(it, SealingKey) for it in gc.get_objects())
    del session
    assert "Session" in remembered(session_id, question)

    assert await house.erasure.erase(session_id, ErasedBy.HOLDER)

    assert remembered(session_id, question) == []
    assert sum(isinstance(it, SealingKey) for it in gc.get_objects()) < keys


async def test_an_ask_that_ends_after_the_erasure_brings_nothing_back(house: House) -> None:
    session_id = await house.session(NOW)
    session = await house.sessions.find(session_id)
    assert session is not None
    with house.sessions.using(session_id):
        await house.erasure.erase(session_id, ErasedBy.HOLDER)
        session.remember("¿Y ahora?", AnsweredTexts(response="Nada.", canned_answer_id=None, safety=False))
        house.sessions.keep(session)
    del session

    assert await house.sessions.find(session_id) is None
    assert remembered(session_id, "¿Y ahora?") == []


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


async def test_an_erasure_that_was_given_up_as_late_is_flushed_out_once_it_is_there(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await house.session(NOW)
    monkeypatch.setattr("ouija_es.erasure.APPEND_SECONDS", 0.05)
    with locked(tmp_path / "ouija.db"):
        with pytest.raises(StoreUnavailable):
            await house.erasure.erase(session_id, ErasedBy.HOLDER)
        assert house.log.has_key(session_id)
    monkeypatch.undo()
    flushing = asyncio.create_task(house.erasure.run())
    await asyncio.to_thread(until, lambda: not house.log.has_key(session_id))
    await asyncio.to_thread(until, lambda: not (tmp_path / "ouija.db-wal").stat().st_size)

    assert await house.erasure.erase(session_id, ErasedBy.HOLDER)

    assert len(house.log.stream(session_id)) == 1
    flushing.cancel()


async def test_a_session_that_never_was_is_not_erased(house: House) -> None:
    with pytest.raises(UnknownSession):
        await house.erasure.erase(uuid7(), ErasedBy.HOLDER)
