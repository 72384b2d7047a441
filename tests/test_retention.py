"""The texts of sessions in which nobody has asked for RETENTION_DAYS are erased, and no others."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.errors import StoreUnavailable
from ouija_es.retention import BATCH
from ouija_es.store.vault import Vault
from tests.house import DAYS, NOW, House, days_ago
from tests.service import RunningService
from tests.store.history import vault_of


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Vault(secrets.token_bytes(32)))
    yield house
    await house.close()


async def test_the_last_question_counts_not_the_first(house: House) -> None:
    old = await house.session(days_ago(90), days_ago(31))
    just_old = await house.session(days_ago(30.05))
    just_young = await house.session(days_ago(29.95))
    revived = await house.session(days_ago(90), days_ago(29))
    fresh = await house.session(NOW)

    assert await house.retention.erase_due() == 2

    assert [house.erased(it) for it in (old, just_old, just_young, revived, fresh)] == [True, True, False, False, False]
    assert await house.retention.erase_due() == 0


async def test_more_than_a_batch_is_erased_and_what_is_still_asked_in_stands_in_nobodys_way(house: House) -> None:
    kept = [await house.session(days_ago(80 - number / 100), days_ago(1)) for number in range(BATCH + 3)]
    due = [await house.session(days_ago(50)) for _ in range(2 * BATCH + 5)]

    assert await house.retention.erase_due() == len(due)

    assert all(house.erased(it) for it in due)
    assert not any(house.erased(it) for it in kept)


@pytest.mark.parametrize("days", [36_500, 10**12])
async def test_a_limit_before_every_session_or_every_clock_erases_nothing(tmp_path: Path, days: int) -> None:
    house = House(tmp_path, Vault(secrets.token_bytes(32)), days=days)
    session_id = await house.session(days_ago(3000))

    assert await house.retention.erase_due() == 0

    assert not house.erased(session_id)
    await house.close()


async def test_a_session_with_a_question_on_its_way_is_not_idle(house: House) -> None:
    session_id = await house.session(days_ago(90))
    with house.sessions.using(session_id):
        assert await house.retention.erase_due() == 0
    assert not house.erased(session_id)
    assert await house.retention.erase_due() == 1


async def test_a_session_that_is_asked_in_between_the_look_and_the_deed_is_not_erased(house: House) -> None:
    session_id, other = await house.session(days_ago(90)), await house.session(days_ago(90))
    house.sessions.watch([session_id, other])

    with house.sessions.using(session_id):  # a question comes, and is answered
        pass

    assert await house.erasure.erase_idle([session_id, other], ErasedBy.RETENTION) == 1
    assert not house.erased(session_id)
    assert house.erased(other)
    assert await house.sessions.find(session_id) is not None


async def test_a_session_takes_no_question_from_the_moment_its_erasing_begins(house: House) -> None:
    session_id = await house.session(days_ago(90))
    assert await house.sessions.find(session_id) is not None
    house.sessions.watch([session_id])

    erasing = asyncio.create_task(house.erasure.erase_idle([session_id], ErasedBy.RETENTION))
    await asyncio.sleep(0)

    assert await house.sessions.find(session_id) is None
    assert await erasing == 1


async def test_what_its_holder_erased_is_not_erased_again(house: House) -> None:
    session_id = await house.session(days_ago(90))
    await house.erasure.erase(session_id, ErasedBy.HOLDER)

    assert await house.retention.erase_due() == 0

    assert len(house.log.stream(session_id)) == 1


async def test_a_key_that_came_back_is_destroyed_again(house: House) -> None:
    session_id = await house.session(days_ago(90))
    _, wrapped = house.vault.new_key(session_id)
    await house.retention.erase_due()
    await house.recorder.append([], seconds=10, session_key=(session_id, wrapped))
    assert house.log.has_key(session_id)

    await house.retention.erase_due()

    assert house.erased(session_id)
    await house.recorder.append([], seconds=10, session_key=(session_id, wrapped))
    await house.erasure.erase(session_id, ErasedBy.HOLDER)
    assert house.erased(session_id)


async def test_what_the_store_did_not_take_is_erased_in_a_later_round(house: House, tmp_path: Path) -> None:
    sessions = [await house.session(days_ago(90)) for _ in range(3)]
    path = tmp_path / "ouija.db"
    assert house.log.has_key(sessions[0])  # the log is open from here on
    path.rename(tmp_path / "elsewhere.db")

    with pytest.raises(StoreUnavailable):
        await house.retention.erase_due()

    (tmp_path / "elsewhere.db").rename(path)
    assert await house.retention.erase_due() in {0, 3}  # a commit that was late may have done it
    assert all(house.erased(it) for it in sessions)


def test_a_service_erases_what_is_due_at_its_start_and_says_how_many(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        fresh = service.ask("¿Encontraré el amor?").json()["sessionId"]
        assert service.stop() == 0
    old, kept = asyncio.run(written(tmp_path))

    with RunningService(tmp_path, RETENTION_DAYS=str(DAYS)) as service:
        while "ouija_erasures_total 5.0" not in service.client.get("/metrics").text:
            time.sleep(0.05)
        assert service.ask("¿Sigues ahí?", sessionId=fresh).status_code == 200
        assert service.ask("¿Sigues ahí?", sessionId=str(kept)).status_code == 200
        assert [service.ask("¿Sigues ahí?", sessionId=str(it)).status_code for it in old] == [404] * 5
        assert service.stop() == 0
        lines = [line for line in service.log.splitlines() if "erased after RETENTION_DAYS" in line]
        assert len(lines) == 1
        assert "5" in lines[0]
        assert not any(str(it) in service.log for it in old)

    with RunningService(tmp_path) as service:
        assert "ouija_erasures_total 5.0" in service.client.get("/metrics").text


async def written(folder: Path) -> tuple[list[UUID], UUID]:
    """Five old sessions and one that was asked in since, written while the service is away."""
    house = House(folder, vault_of(folder / "ouija.db"))
    old = [await house.session(days_ago(40 + number)) for number in range(5)]
    kept = await house.session(days_ago(50), days_ago(3))
    await house.close()
    return old, kept
