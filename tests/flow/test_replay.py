"""`ouija-es audit replay` on logs that the real service has written while its providers failed and it was busy."""

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.flow.events import opened, stream
from tests.service import ROOT, RunningService, environment, providers
from tests.stubs import StubProviders

pytestmark = pytest.mark.timeout(240)  # whoever comes first waits for the eventful log
AT_ONCE = 12
AGAIN_SOON = {"retry-after": None, "retry-after-ms": "40", "x-ratelimit-remaining-tokens": "100000"}
FAULTS: list[dict[str, Any]] = [
    {"behaviour": "status", "code": 500},
    {"behaviour": "status", "code": 429, "headers": AGAIN_SOON},
    {"behaviour": "garbage"},
    {"behaviour": "reset"},
    {"behaviour": "break_mid_stream"},
]
PLENTY = {"behaviour": "ok", "headers": {"x-ratelimit-remaining-tokens": "100000"}}
LATER = {"behaviour": "status", "code": 429, "headers": {"retry-after": "30"}}
HANG = {"behaviour": "hang"}
LATE = {"GROQ_TIMEOUT_SECONDS": "1.1"}
"""Groq may take nearly all the time there is."""
NEVER_OPEN = {"BREAKER_FAILURES": "1000"}


def replay(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ouija_es", "audit", "replay", *arguments],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of services under one policy after the other, whose providers failed, and one of which died."""
    folder = tmp_path_factory.mktemp("data")
    with StubProviders() as stubs:

        def service(groq: Any, ollama: Any, **variables: str) -> RunningService:
            stubs.behave("groq", **groq)
            stubs.behave("ollama", **ollama)
            times = {"GROQ_TIMEOUT_SECONDS": "0.5", "OLLAMA_TIMEOUT_SECONDS": "0.5", "ANSWER_DEADLINE_SECONDS": "1.6"}
            return RunningService(folder, **providers(stubs.groq_url, stubs.ollama_url, **(times | variables)))

        slow = PLENTY | {"latency_ms": 200}
        with service(slow, slow, GROQ_CONCURRENCY="3", OLLAMA_CONCURRENCY="2") as saturated:
            ask_at_once(saturated, AT_ONCE)
            saturated.ask("quiero morirme").raise_for_status()
        with service({"behaviour": FAULTS * 4}, {"behaviour": FAULTS[::-1] * 4}, **NEVER_OPEN) as flapping:
            ask_at_once(flapping, 2 * AT_ONCE)
        with service(LATER, PLENTY, **NEVER_OPEN) as held_back:
            ask_at_once(held_back, AT_ONCE)
        with service(HANG, HANG, **LATE, **NEVER_OPEN) as late:
            leave_a_stream(late)
            ask_at_once(late, AT_ONCE)
        with service(HANG, PLENTY, **LATE, **NEVER_OPEN) as killed, ThreadPoolExecutor(AT_ONCE) as clients:
            cut_off = [clients.submit(killed.ask, "¿Hay tiempo?") for _ in range(AT_ONCE)]
            while not stubs.state()["groq"]["in_flight"]:
                time.sleep(0.01)
            killed.kill()
        assert any(it.exception() for it in cut_off)
        with service(PLENTY, PLENTY, GROQ_REQUESTS_PER_MINUTE="3", **NEVER_OPEN) as restarted:
            ask_at_once(restarted, AT_ONCE)
        with service(HANG, HANG, BREAKER_FAILURES="2") as left_alone:
            for _ in range(3):
                ask_at_once(left_alone, 2)
    return folder


def ask_at_once(service: RunningService, count: int) -> None:
    def ask(number: int) -> None:
        if number % 3 == 0:
            stream(service, f"¿Qué dice la carta {number}?")
        else:
            service.ask(f"¿Qué dice la carta {number}?").raise_for_status()

    with ThreadPoolExecutor(AT_ONCE) as clients:
        list(clients.map(ask, range(count)))


def leave_a_stream(service: RunningService) -> None:
    with contextlib.suppress(StopIteration), opened(service, "¿Hay alguien?") as response:
        next(response.iter_raw())


def told(database: Path) -> Counter[str]:
    """What the log says, by topic and reason."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT topic, json_extract(CAST(state AS TEXT), '$.reason') FROM stored_events")
        return Counter(f"{topic.split('.')[1]} {reason or ''}".strip() for topic, reason in found)


def test_every_question_of_an_eventful_log_is_decided_again_as_it_was(eventful: Path) -> None:
    done = replay(eventful, "--all")

    counted = told(eventful / "ouija.db")
    assert (done.returncode, done.stderr) == (0, "")
    decisions = sum(number for what, number in counted.items() if what.startswith(("AttemptSt", "AttemptSk", "Answ")))
    decisions += sum(number for what, number in counted.items() if what.startswith("AttemptFailed"))
    decisions -= counted["AttemptFailed cancelled"]
    first, *others = done.stdout.splitlines()
    assert first == f"identical: {counted['Asked']} questions, {decisions} decisions made again"
    assert others[0].startswith("  1 went straight to the table")
    assert f"  {counted['Abandoned']} abandoned: followed as far as recorded" in others
    assert not any("not decidable" in line or "under way" in line for line in others)
    skips = {"breaker_open", "bucket_empty", "rate_limited", "saturated", "deadline"}
    failures = {"timeout", "server_error", "rate_limited", "malformed_response", "connection", "cancelled"}
    seen = {f"AttemptSkipped {reason}" for reason in skips} | {f"AttemptFailed {reason}" for reason in failures}
    assert seen | {"Abandoned", "Withdrawn"} <= counted.keys(), counted


EDITS = {
    "a timeout": ("AttemptStarted", "timeoutMs", "json_extract(CAST(state AS TEXT), '$.timeoutMs') + 1"),
    "a reason to skip": ("AttemptSkipped", "reason", "'deadline'"),
    "a pause": ("AttemptFailed", "retryInMs", "3"),
    "a source": ("Answered", "source", "'groq'"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_decision_that_was_edited_is_named(eventful: Path, tmp_path: Path, edit: str) -> None:
    event, field, value = EDITS[edit]
    with closing(sqlite3.connect(eventful / "ouija.db")) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "ouija.db")])
    with closing(sqlite3.connect(tmp_path / "ouija.db")) as connection:
        other = f"json_extract(CAST(state AS TEXT), '$.{field}') IS NOT {value}"
        where = f"topic='ouija.{event}.v1' AND json_extract(CAST(state AS TEXT), '$.reason') IS NOT 'cancelled'"
        position, question = connection.execute(
            f"SELECT position, originator_id FROM stored_events WHERE {where} AND {other} ORDER BY random()"
        ).fetchone()
        new = f"CAST(json_set(CAST(state AS TEXT), '$.{field}', {value}) AS BLOB)"
        connection.execute(f"UPDATE stored_events SET state={new} WHERE position=?", [position])
        connection.commit()

    done = replay(tmp_path, "--all")

    assert done.returncode == 1
    first, recorded, decided, how_many, *_ = done.stdout.splitlines()
    assert first == f"differs at position {position}, question {question}"
    assert (recorded[:12], decided[:12]) == ("  recorded  ", "  decided   ")
    assert recorded[12:] != decided[12:]
    assert how_many.startswith("1 question of ")


def test_a_session_is_replayed_beside_the_running_service(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session = service.ask("¿Sí?").raise_for_status().json()["sessionId"]
        service.ask("¿Y cuándo?", sessionId=session).raise_for_status()
        service.ask("¿Otra?").raise_for_status()
        done = replay(tmp_path, session)
        service.client.delete(f"/ouija/sessions/{session}").raise_for_status()
        erased = replay(tmp_path, session)

    # Each: two tiers that are skipped, the table called, its answer.
    assert done.stdout == erased.stdout == "identical: 2 questions, 8 decisions made again\n"
    assert (done.returncode, erased.returncode) == (0, 0)


def test_nothing_is_called_or_written_and_no_key_is_needed(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.ask("hola").raise_for_status()
    for key in tmp_path.glob("*-key"):
        key.unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert replay(tmp_path, "--all").returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("arguments", [[], ["--all", str(uuid4())], ["not-a-uuid"]])
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    assert replay(tmp_path, *arguments).returncode == 2


def test_what_is_not_there_exits_with_1_and_a_line(tmp_path: Path) -> None:
    nothing = replay(tmp_path, "--all")
    with RunningService(tmp_path):
        unknown = replay(tmp_path, str(uuid4()))

    assert (nothing.returncode, len(nothing.stderr.splitlines())) == (1, 1)
    assert (unknown.returncode, unknown.stderr) == (1, "ouija-es: no question of this session is recorded\n")
