"""How a service ends: by kill -9 at any instant, by SIGTERM with questions in flight; and what others may do beside it.

kill -9 leaves what the operating system holds. That a commit also survives the loss of power is up to SQLite's
`synchronous=FULL`, which the recorder's tests look at.
"""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import JSONDecodeError, PyreqwestError

from ouija_es.domain.events import Abandoned, Answered, AttemptStarted, PolicyAdopted, Sealed
from tests.service import ROOT, RunningService, environment, providers
from tests.store.history import assert_recorded, assert_whole, open_log, streams_of
from tests.stubs import StubProviders

ROUNDS = 50
CLIENTS = 32
MODELS = ("groq", "ollama")
SHORT = {
    "GROQ_TIMEOUT_SECONDS": "0.3",
    "OLLAMA_TIMEOUT_SECONDS": "0.3",
    "ANSWER_DEADLINE_SECONDS": "1.5",
    "BREAKER_FAILURES": "1000000",
}


def moods(chance: random.Random) -> list[dict[str, Any]]:
    """What a provider does in one call after the other: mostly it answers, soon or late."""
    kinds: list[dict[str, Any]] = [
        {"behaviour": "status", "code": 500},
        {"behaviour": "status", "code": 429, "headers": {"retry-after-ms": "20"}},
        {"behaviour": "hang"},
        {"behaviour": "reset"},
        {"behaviour": "garbage"},
        {"behaviour": "empty_content"},
        {"behaviour": "length"},
    ]
    return [
        {"behaviour": "ok", "text": f"Oigo {number} voces.", "latency_ms": chance.uniform(0, 120)}
        if chance.random() < 0.6
        else chance.choice(kinds)
        for number in range(400)
    ]


class Crowd:
    """Clients that ask one question after the other until the service is gone."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.asked = 0
        self.bodies: list[dict[str, Any]] = []
        self.others: Counter[int] = Counter()
        self.sessions: list[str] = []
        self.sent = asyncio.Event()

    async def ask_until_it_is_gone(self, url: str) -> None:
        builder = ClientBuilder().base_url(f"{url}/").no_proxy().timeout(timedelta(seconds=20))
        async with builder.build() as client:
            await asyncio.gather(*(self._ask_on(client) for _ in range(CLIENTS)))

    async def _ask_on(self, client: Client) -> None:
        while True:
            self.asked += 1
            content = {"question": f"¿Qué será de mí en el año {self.asked}?"}
            if self.sessions and self.chance.random() < 0.3:
                content["sessionId"] = self.chance.choice(self.sessions)
            self.sent.set()
            try:
                response = await client.post("ouija/ask").body_json(content).build().send()
                body = await response.json()
            except (PyreqwestError, JSONDecodeError):
                return
            if response.status == 200:
                self.bodies.append(body)
                self.sessions.append(body["sessionId"])
            else:
                self.others[response.status] += 1


class Calls:
    """What the stubs say they were asked, over all rounds."""

    def __init__(self, stubs: StubProviders, chance: random.Random) -> None:
        self._stubs = stubs
        self._chance = chance
        self.count: Counter[str] = Counter()
        self.seen: Counter[tuple[str, str]] = Counter()
        self.begin()

    def begin(self) -> None:
        self._stubs.reset()
        for model in MODELS:
            self._stubs.behave(model, moods(self._chance))

    def note(self) -> None:
        """The number of calls; and of the last ones, who was asked what."""
        state = self._stubs.state()
        for model in MODELS:
            self.count[model] += state[model]["calls"]
            for request in state[model]["requests"]:
                if "messages" not in request["body"]:
                    continue  # the model is only loaded
                text = request["body"]["messages"][-1]["content"]
                self.seen[model, text[text.index("¿") : text.index("?") + 1]] += 1
        self.begin()


async def killed_at_random(service: RunningService, crowd: Crowd, chance: random.Random) -> None:
    """SIGKILL 0.05 to 1 s after the first question was sent."""
    crowd.sent.clear()
    asking = asyncio.ensure_future(crowd.ask_until_it_is_gone(service.url))
    await crowd.sent.wait()
    await asyncio.sleep(chance.uniform(0.05, 1))
    service.kill()
    await asking


@pytest.mark.deep
@pytest.mark.timeout(480)
async def test_kill_9_loses_no_answer_and_hides_no_call(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance, began = random.Random(seed), time.monotonic()
    crowd = Crowd(chance)
    with StubProviders() as stubs:
        calls = Calls(stubs, chance)
        variables = providers(stubs.groq_url, stubs.ollama_url, **SHORT)
        for _ in range(ROUNDS):
            service = await asyncio.to_thread(lambda: RunningService(tmp_path, **variables))
            with service:
                await killed_at_random(service, crowd, chance)
            calls.note()
    with RunningService(tmp_path) as last:
        assert last.stop() == 0

    log = open_log(last.database)
    streams = streams_of(log)
    assert_whole(streams)
    for body in crowd.bodies:
        assert_recorded(body, log)
    ends = Counter(type(history[-1].event) for history in streams.values())
    announced: Counter[tuple[str, str]] = Counter()
    for stream, history in streams.items():
        if any(isinstance(it.event, AttemptStarted) for it in history):
            question = _question(log.question(stream)[0].event)
            announced.update(
                (it.event.provider.value, question) for it in history if isinstance(it.event, AttemptStarted)
            )
    log.close()
    print(  # noqa: T201 - what the rounds amounted to
        f"\nseed {seed}: {ROUNDS} rounds in {time.monotonic() - began:.0f} s, {crowd.asked} asks, "
        f"{len(crowd.bodies)} answers received, {dict(crowd.others)} other statuses, {ends[Answered]} answered, "
        f"{ends[Abandoned]} abandoned, calls {dict(calls.count)}, announced "
        f"{ {model: sum(n for (it, _), n in announced.items() if it == model) for model in MODELS} }"
    )
    assert crowd.others.keys() <= {503}, "a session that was given out is known, also after a kill"
    for model in MODELS:
        assert 0 < calls.count[model] <= sum(n for (it, _), n in announced.items() if it == model)
    assert calls.seen <= announced, calls.seen - announced
    # It was no idle run: clients got answers, questions were cut off, and every round had a process of its own.
    assert ends[PolicyAdopted] == ROUNDS + 1
    assert len(crowd.bodies) > 10 * ROUNDS
    assert len({body["source"] for body in crowd.bodies}) == 3
    assert ends[Abandoned] > 0


@pytest.mark.deep
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("folders", "rounds"), [(1, 15), (8, 8)])
def test_kill_9_while_it_starts_leaves_a_folder_that_it_starts_on(tmp_path: Path, folders: int, rounds: int) -> None:
    chance = random.Random()
    for number in range(rounds):
        folder = tmp_path / f"data-{number % folders}"
        starting = subprocess.Popen(
            [sys.executable, "-m", "ouija_es", "serve"],
            cwd=ROOT,
            env=environment(folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # From when there is a file until after it has begun to listen.
        while not folder.exists():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.6))
        starting.kill()
        starting.wait()
        if number >= rounds - folders:
            with RunningService(folder) as service:
                assert service.ask("¿Quién anda ahí?").status_code == 200
                assert service.client.get("/health").json()["checks"]["database"]["count"] > 0
                assert service.stop() == 0
            log = open_log(folder / "ouija.db")
            assert_whole(streams_of(log))
            log.close()


def _question(event: Any) -> str:
    return str(event.texts.question)


def ouija_es(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on a data folder."""
    command = [sys.executable, "-m", "ouija_es", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def load(service: RunningService, clients: int) -> Iterator[list[dict[str, Any]]]:
    """Clients that ask on and on; what they got is filled into the list."""
    bodies: list[dict[str, Any]] = []
    over = False

    def ask_on() -> None:
        while not over:
            bodies.append(service.ask("¿Sigue alguien ahí?").raise_for_status().json())

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask_on) for _ in range(clients)]
        try:
            yield bodies
        finally:
            over = True
        for client in asking:
            client.result()


def test_sigterm_lets_every_question_in_flight_be_answered(tmp_path: Path, stubs: StubProviders) -> None:
    asks = 20
    stubs.behave("groq", "ok", latency_ms=1000)
    with (
        RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service,
        ThreadPoolExecutor(asks) as clients,
    ):
        replies = [clients.submit(service.ask, f"¿Alcanza el tiempo para {number}?") for number in range(asks)]
        while stubs.state()["groq"]["in_flight"] < asks:
            time.sleep(0.01)
        assert not any(reply.done() for reply in replies)
        service.process.send_signal(signal.SIGTERM)
        bodies = [reply.result().raise_for_status().json() for reply in replies]
        assert service.stop() == 0
        assert {body["source"] for body in bodies} == {"groq"}
        assert not (tmp_path / "ouija.db-wal").exists()  # the file alone is whole
        log = open_log(service.database)
        for body in bodies:
            assert_recorded(body, log)
        streams = streams_of(log)
        assert_whole(streams)
        ledger = [events for events in streams.values() if isinstance(events[0].event, Sealed)]
        assert len(streams) - len(ledger) == 1 + asks
        log.close()


@pytest.mark.parametrize("arguments", [("serve",), ("seed",)])
def test_who_would_write_beside_a_running_service_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with RunningService(tmp_path) as service:
        done = ouija_es(tmp_path, *arguments)
        assert done.returncode == 1
        lines = (done.stdout + done.stderr).splitlines()
        assert len(lines) == 1
        assert "another process is writing to this data folder" in lines[0]
        assert service.ask("¿Sigues ahí?").status_code == 200


def test_after_a_kill_the_folder_is_free_at_once_and_sessions_go_on(tmp_path: Path) -> None:
    with RunningService(tmp_path) as first:
        session = first.ask("¿Quién anda ahí?").raise_for_status().json()["sessionId"]
        first.kill()
    with RunningService(tmp_path) as second:
        assert second.ask("¿Y ahora?", sessionId=session).raise_for_status().json()["sessionId"] == session


def test_a_backup_taken_under_load_is_the_beginning_of_the_log(tmp_path: Path) -> None:
    folder, copies = tmp_path / "data", [tmp_path / f"copy-{number}.db" for number in range(3)]
    with RunningService(folder) as service:
        with load(service, 8) as bodies:
            for copy in copies:
                done = ouija_es(folder, "backup", str(copy))
                assert done.returncode == 0, done.stderr
            before = len(bodies)
            while len(bodies) == before:
                time.sleep(0.01)
        assert service.stop() == 0
    live = _rows(service.database)
    sizes = [len(_rows(copy)) for copy in copies]
    assert 0 < sizes[0] < sizes[1] < sizes[2] < len(live)
    for copy, size in zip(copies, sizes, strict=True):
        assert _rows(copy) == live[:size]
        assert copy.stat().st_mode & 0o077 == 0
        copy.with_name(copy.name + ".vault-key").write_bytes((folder / "ouija.db.vault-key").read_bytes())
        log = open_log(copy)
        assert_whole(streams_of(log))  # here a question has one commit: none is copied half
        log.close()


def _rows(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.execute("SELECT * FROM stored_events ORDER BY position"))
