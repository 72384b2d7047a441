"""Asked again with the same key, the same question is not asked again: also across a restart, a kill and an erasure."""

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from ouija_es.clock import Clock
from ouija_es.domain.events import Abandoned, Answered, Asked, AttemptStarted, Event, Withdrawn
from ouija_es.domain.vocabulary import Provider
from ouija_es.errors import ErasedQuestion, KeyInFlight, KeyReused
from ouija_es.idempotency import KEPT_FOR, Idempotency
from ouija_es.ids import uuid7
from ouija_es.recovery import Recovery
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.vault import Vault
from tests.flow.conftest import history
from tests.flow.events import events, opened, stream
from tests.service import RunningService, providers
from tests.store.history import assert_recorded, open_log, streams_of
from tests.store.rows import AT, INSTANCE, answered, asked, locked, skipped
from tests.stubs import StubProviders

QUESTION = "¿Volverá la luz?"


def new_key() -> str:
    return secrets.token_hex(16)


def keyed(service: RunningService, key: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    """QUESTION, unless `fields` say otherwise, asked with the key."""
    sent = {"idempotency-key": key} | (headers or {})
    return service.client.post("/ouija/ask", json={"question": QUESTION} | fields, headers=sent)


def is_replayed(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return answer.headers.get("idempotency-replayed") == "true"


def asked_count(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        count: int = connection.execute("SELECT COUNT(*) FROM stored_events WHERE topic='ouija.Asked.v1'").fetchone()[0]
        return count


def in_flight(stubs: StubProviders, provider: str) -> None:
    """Waits until the provider has a question before it."""
    while not stubs.state()[provider]["in_flight"]:
        time.sleep(0.01)


def test_the_second_time_the_stored_answer_comes(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "status", code=400)
    key = new_key()

    first, again = keyed(service, key), keyed(service, key)

    assert not is_replayed(first)
    assert is_replayed(again)
    assert again.json() == first.json()
    assert len(first.json()["attempts"]) == 2
    assert (stubs.calls("groq"), stubs.calls("ollama")) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"question": f" \n{QUESTION}\t"}, {}),
        ({"question": "¿Volvera\u0301 la luz?"}, {}),
        ({"personality": "wise"}, {}),
        ({"personality": None, "language": None, "sessionId": None}, {}),
        ({"language": "es"}, {}),
        ({}, {"accept-language": "es-MX"}),
        ({"language": "es"}, {"accept-language": "en"}),
        ({}, {"accept-language": "fr"}),
        ({}, {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}),
    ],
)
def test_requests_are_compared_after_parsing_and_defaults(
    service: RunningService, stubs: StubProviders, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    key = new_key()
    first = keyed(service, key)

    again = keyed(service, key, headers, **fields)

    assert is_replayed(again)
    assert again.json() == first.json()
    assert stubs.calls("groq") == 1


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"question": "¿Volverá la luz"}, {}),
        ({"question": QUESTION.upper()}, {}),
        ({"personality": "dark"}, {}),
        ({"language": "en"}, {}),
        ({}, {"accept-language": "en"}),
        ({"sessionId": "the session"}, {}),
    ],
)
def test_another_request_with_the_key_is_refused(
    service: RunningService, stubs: StubProviders, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    key = new_key()
    first = keyed(service, key).raise_for_status().json()
    if "sessionId" in fields:
        fields = {"sessionId": first["sessionId"]}

    other = keyed(service, key, headers, **fields)

    assert other.status_code == 422
    assert other.json()["type"].endswith(":idempotency-key-reused")
    assert stubs.calls("groq") == 1
    assert keyed(service, key).json() == first


@pytest.mark.parametrize(
    ("fields", "status"), [({"question": ""}, 422), ({"sessionId": "01890000-0000-7000-8000-000000000000"}, 404)]
)
def test_a_request_that_was_refused_leaves_the_key_free(
    service: RunningService, fields: dict[str, Any], status: int
) -> None:
    key = new_key()

    assert keyed(service, key, **fields).status_code == status
    assert not is_replayed(keyed(service, key))


@pytest.mark.parametrize(
    "key", ["k" * 15, "k" * 256, b"\xc3\xa9" * 16, "clave-ñandú-clave-ñandú".encode("latin-1"), ""]
)
def test_a_key_that_is_none_is_a_malformed_request(
    service: RunningService, stubs: StubProviders, key: str | bytes
) -> None:
    headers: Any = {"idempotency-key": key}

    answer = service.client.post("/ouija/ask", json={"question": QUESTION}, headers=headers)

    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert stubs.calls("groq") == 0


@pytest.mark.parametrize("length", [16, 255])
def test_the_shortest_and_the_longest_key_will_do(service: RunningService, length: int) -> None:
    key = secrets.token_hex(128)[:length]

    assert not is_replayed(keyed(service, key))
    assert is_replayed(keyed(service, key))


def test_a_stream_replays_the_answer_at_once(service: RunningService, stubs: StubProviders) -> None:
    key = new_key()
    first = keyed(service, key).json()

    with opened(service, QUESTION, {"idempotency-key": key}) as response:
        replay = list(events(response))

    assert is_replayed(response)
    assert replay == [("answer", first)]
    assert stubs.calls("groq") == 1


def test_what_was_streamed_is_replayed_plainly(service: RunningService, stubs: StubProviders) -> None:
    key = new_key()
    streamed = stream(service, QUESTION, {"idempotency-key": key})

    again = keyed(service, key)

    assert streamed[-1] == ("answer", again.json())
    assert is_replayed(again)
    assert stubs.calls("groq") == 1


def test_a_stream_with_a_key_is_finished_without_its_client(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "ok", latency_ms=300, text="La luz vuelve.")
    key = new_key()
    with opened(service, QUESTION, {"idempotency-key": key}) as response:
        response.read() if response.status_code != 200 else in_flight(stubs, "groq")

    answer = keyed(service, key)
    while answer.status_code == 409:
        time.sleep(0.05)
        answer = keyed(service, key)

    assert is_replayed(answer)
    assert answer.json()["response"] == "La luz vuelve."
    assert stubs.calls("groq") == 1


@pytest.fixture
def own(stubs: StubProviders) -> dict[str, str]:
    """The variables of a service for one test, with the default times."""
    return providers(stubs.groq_url, stubs.ollama_url, BREAKER_FAILURES="1000000")


def test_of_twenty_at_once_one_is_asked(tmp_path: Path, stubs: StubProviders, own: dict[str, str]) -> None:
    stubs.behave("groq", "ok", latency_ms=2_500)
    key = new_key()
    with RunningService(tmp_path, **own) as service, ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: keyed(service, key), range(20)))
        streamed = list(clients.map(lambda _: stream(service, QUESTION, {"idempotency-key": key}), range(5)))

        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
        (first,) = (answer for answer in answers if answer.status_code == 200)
        assert not is_replayed(first)
        for refused in answers:
            if refused is not first:
                assert refused.json()["type"].endswith(":idempotency-key-in-flight")
                assert int(refused.headers["retry-after"]) >= 1
        assert streamed == [[("answer", first.json())]] * 5
        assert keyed(service, key).json() == first.json()
        assert stubs.calls("groq") == 1
        assert asked_count(service.database) == 1


def test_a_stream_in_flight_refuses_before_its_first_event(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "ok", latency_ms=500)
    key = new_key()
    with opened(service, QUESTION, {"idempotency-key": key}) as first:
        in_flight(stubs, "groq")
        with opened(service, QUESTION, {"idempotency-key": key}) as second:
            assert second.status_code == 409
            assert second.headers["content-type"] == "application/problem+json"
        assert [name for name, _ in events(first)][-1] == "answer"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_answer_is_replayed_after_a_restart(
    tmp_path: Path, stubs: StubProviders, own: dict[str, str], end: str
) -> None:
    key = new_key()
    with RunningService(tmp_path, **own) as service:
        first = keyed(service, key).raise_for_status().json()
        getattr(service, end)()
    with RunningService(tmp_path, **own) as service:
        again = keyed(service, key)
        assert is_replayed(again)
        assert again.json() == first
        assert keyed(service, key, personality="dark").status_code == 422
    assert stubs.calls("groq") == 1


def test_a_kill_while_it_was_in_flight_frees_the_key(tmp_path: Path, stubs: StubProviders, own: dict[str, str]) -> None:
    stubs.behave("groq", "ok", latency_ms=2_500)
    key = new_key()
    with RunningService(tmp_path, **own) as service, ThreadPoolExecutor(1) as client:
        asking = client.submit(keyed, service, key)
        in_flight(stubs, "groq")
        service.kill()
        assert isinstance(asking.exception(), httpx.TransportError)
    stubs.behave("groq", "ok")
    with RunningService(tmp_path, **own) as service:
        answer, again = keyed(service, key), keyed(service, key)
        assert not is_replayed(answer)
        assert is_replayed(again)
        service.stop()
    assert stubs.calls("groq") == 2
    ends = [type(it[-1].event) for it in questions(tmp_path / "ouija.db")]
    assert ends == [Abandoned, Answered]


def questions(database: Path) -> list[list[Any]]:
    log = open_log(database)
    streams = streams_of(log)
    log.close()
    return [history for history in streams.values() if isinstance(history[0].event, Asked)]


def test_a_503_frees_the_key(tmp_path: Path, stubs: StubProviders, own: dict[str, str]) -> None:
    key = new_key()
    with RunningService(tmp_path, **own, ANSWER_DEADLINE_SECONDS="1.5") as service:
        service.ask("¿Hay alguien?").raise_for_status()
        with locked(service.database):
            refused = keyed(service, key)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
        answer = answered_at_last(service, key)
        assert not is_replayed(answer)
        assert is_replayed(keyed(service, key))
        log = open_log(service.database)
        assert_recorded(answer.json(), log)
        log.close()
        assert stubs.calls("groq") == 2


def answered_at_last(service: RunningService, key: str) -> httpx.Response:
    give_up_at = time.monotonic() + 20
    while (answer := keyed(service, key)).status_code in (503, 409) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    return answer


def test_what_was_erased_is_gone_with_its_key(tmp_path: Path, stubs: StubProviders, own: dict[str, str]) -> None:
    key = new_key()
    with RunningService(tmp_path, **own) as service:
        keyed(service, key).raise_for_status()
        service.stop()
    with closing(sqlite3.connect(tmp_path / "ouija.db")) as connection:
        assert connection.execute("DELETE FROM session_keys").rowcount == 1
        connection.commit()
    with RunningService(tmp_path, **own) as service:
        for fields in ({}, {"question": "¿Otra cosa?"}):
            erased = keyed(service, key, **fields)
            assert erased.status_code == 410
            assert erased.json()["type"].endswith(":erased")
    assert stubs.calls("groq") == 1


def test_neither_key_nor_question_lies_in_the_data_folder(tmp_path: Path, stubs: StubProviders) -> None:
    key, question = new_key(), f"¿Qué dice {secrets.token_hex(8)}?"
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service:
        body = keyed(service, key, question=question).raise_for_status().json()
        data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        (_, first), *_ = history(service, body["questionId"])
        assert first["idempotencyKeyHash"].encode() in data
        assert first["requestHash"].encode() in data
        assert key.encode() not in data
        assert question.encode() not in data
        assert bytes.fromhex(key) not in data
        assert key not in service.log


class StillClock(Clock):
    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at


class Desk:
    """Idempotency on a real log, with a clock that stands still."""

    def __init__(self, database: Path) -> None:
        self.clock = StillClock()
        self.vault = Vault(secrets.token_bytes(32))
        self.recorder = GroupCommit(database)
        self.recorder.start()
        self.log = EventLog(database, self.vault)
        recovery = Recovery(self.log, self.recorder, self.clock, INSTANCE)
        self.idempotency = Idempotency(self.log, self.vault, recovery, self.clock)

    async def record(self, key: str, *rest: Event) -> UUID:
        """A question that was asked with the key, and what became of it."""
        session_id, question_id = uuid7(), uuid7()
        session_key, wrapped = self.vault.new_key(session_id)
        with self.idempotency.holding(key) as held:
            first = asked(session_id, QUESTION, opens_session=True)
            hashes = {"idempotency_key_hash": held.hash}
            hashes["request_hash"] = self.idempotency.request_hash(session_key, [QUESTION])
            first = Asked(**{name: getattr(first, name) for name in first.__struct_fields__} | hashes)
            rows = [to_row(question_id, number, it, session_key) for number, it in enumerate([first, *rest], 1)]
        await self.recorder.append(rows, seconds=30, session_key=(session_id, wrapped))
        return question_id

    async def earlier(self, key: str, question: str = QUESTION) -> UUID | None:
        with self.idempotency.holding(key) as held:
            history = await self.idempotency.earlier(held, [question])
        return history[0].stream if history else None


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "ouija.db")
    yield desk
    await desk.recorder.close()
    desk.log.close()


async def test_a_key_is_kept_for_a_day(desk: Desk) -> None:
    question_id = await desk.record("k" * 16, skipped(), answered("Sí."))

    desk.clock.at = AT + timedelta(hours=24)
    assert await desk.earlier("k" * 16) == question_id
    with pytest.raises(KeyReused):
        await desk.earlier("k" * 16, "¿Otra cosa?")
    desk.clock.at = AT + KEPT_FOR + timedelta(microseconds=1)
    assert await desk.earlier("k" * 16) is None
    assert await desk.earlier("k" * 16, "¿Otra cosa?") is None


async def test_the_newest_question_with_a_key_counts(desk: Desk) -> None:
    await desk.record("k" * 16, skipped(), answered("Sí."))
    newer = await desk.record("k" * 16, skipped(), answered("No."))

    assert await desk.earlier("k" * 16) == newer
    assert await desk.earlier("K" * 16) is None


@pytest.mark.parametrize("end", [Withdrawn, Abandoned])
async def test_a_question_that_ended_without_an_answer_frees_its_key(desk: Desk, end: type[Event]) -> None:
    await desk.record("k" * 16, skipped(), end(at=AT, instance=INSTANCE))

    assert await desk.earlier("k" * 16) is None


async def test_a_question_without_an_end_gets_one_before_its_key_is_free(desk: Desk) -> None:
    started = AttemptStarted(
        at=AT, instance=INSTANCE, provider=Provider.GROQ, attempt=1, model="m", timeout_ms=1, time_left_ms=1
    )
    question_id = await desk.record("k" * 16, started)

    assert await desk.earlier("k" * 16) is None
    assert isinstance(desk.log.stream(question_id)[-1].event, Abandoned)


async def test_an_erased_question_is_told_apart_from_none(desk: Desk, tmp_path: Path) -> None:
    await desk.record("k" * 16, skipped(), answered("Sí."))
    with closing(sqlite3.connect(tmp_path / "ouija.db")) as connection:
        connection.execute("DELETE FROM session_keys")
        connection.commit()

    with pytest.raises(ErasedQuestion):
        await desk.earlier("k" * 16)


def test_a_key_is_one_request_s_until_it_is_let_go(tmp_path: Path) -> None:
    vault = Vault(secrets.token_bytes(32))
    idempotency = Idempotency(None, vault, None, Clock())  # type: ignore[arg-type]  # neither is reached
    with idempotency.holding("k" * 16), idempotency.holding("K" * 16), pytest.raises(KeyInFlight) as refused:
        idempotency.holding("k" * 16).__enter__()
    assert refused.value.retry_after_seconds == 1
    with idempotency.holding("k" * 16):
        pass
