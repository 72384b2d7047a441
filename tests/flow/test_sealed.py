"""No file of the data folder says what was asked, what was answered, or who asked."""

import base64
import secrets
from itertools import product
from pathlib import Path
from uuid import UUID

import pytest

from ouija_es.domain.events import Answered, AnsweredTexts, Asked, AskedTexts
from tests.bytes_in_files import texts_found
from tests.service import RunningService, providers
from tests.store.history import open_log
from tests.stubs import StubProviders

ASKS = 30
ADDRESSES = ["203.0.113.77", "2001:db8:5a5a::c0de"]


def word() -> str:
    """Twelve small letters that stand nowhere else."""
    return "".join(secrets.choice("bdfghjklmpqrstvwxz") for _ in range(12))


@pytest.mark.parametrize("needle", [word(), *ADDRESSES])
def test_the_search_finds_a_text_in_every_form(tmp_path: Path, needle: str) -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        raw, capital = needle.encode(encoding), needle.upper().encode(encoding)
        written = {"": raw, "-capital": capital, "-hex": raw.hex().encode(), "-hex-capital": raw.hex().upper().encode()}
        for before, behind in product(range(3), range(3)):
            around = secrets.token_bytes(30 + before) + raw + secrets.token_bytes(behind)
            written[f"-base64-{before}-{behind}"] = base64.b64encode(around)
        for name, content in written.items():
            (tmp_path / f"{encoding}{name}").write_bytes(secrets.token_bytes(50) + content + secrets.token_bytes(50))
    files = {path.name for path in tmp_path.iterdir()}
    assert len(files) == 3 * (4 + 9)
    assert {hit.split(" ")[2] for hit in texts_found(tmp_path, [needle])} == files


class Asked30:
    """Thirty questions with words of their own, put to a service; models answer with words of their own."""

    def __init__(self, service: RunningService, stubs: StubProviders) -> None:
        self.texts = list(ADDRESSES)
        self.bodies = []
        session_id = None
        for number in range(ASKS):
            question, answer = word(), word()
            source = ("groq", "ollama", "database")[number % 3]
            for provider in ("groq", "ollama"):
                if provider == source:
                    stubs.behave(provider, "ok", text=f"Oigo {answer} a lo lejos.")
                else:
                    stubs.behave(provider, "status", code=500)
            reply = service.client.post(
                "/ouija/ask",
                json={"question": f"¿Qué dice {question} del amor?", "sessionId": session_id},
                headers={"X-Forwarded-For": ADDRESSES[number % 2]},
            )
            body = reply.raise_for_status().json()
            assert body["source"] == source
            # One session for half of them, so that earlier exchanges are sent along, too.
            session_id = body["sessionId"] if number % 2 else None
            assert question in body["question"]
            assert (answer in body["response"]) == (source != "database")
            self.texts += [question] if source == "database" else [question, answer]
            self.bodies.append(body)

    def assert_recorded(self, database: Path) -> None:
        """The texts are there for whoever has the key: otherwise it would be no wonder that they are not found."""
        log = open_log(database)
        for number, body in enumerate(self.bodies):
            events = [it.event for it in log.question(UUID(body["questionId"]))]
            first, last = events[0], events[-1]
            assert isinstance(first, Asked)
            assert isinstance(last, Answered)
            assert first.texts == AskedTexts(question=body["question"], client_address=ADDRESSES[number % 2])
            assert isinstance(last.texts, AnsweredTexts)
            assert last.texts.response == body["response"]
        log.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def started(folder: Path, stubs: StubProviders) -> RunningService:
    variables = providers(
        stubs.groq_url, stubs.ollama_url, PROXY_HOPS="1", GROQ_MAX_ATTEMPTS="1", OLLAMA_MAX_ATTEMPTS="1",
        BREAKER_FAILURES="1000", LOG_LEVEL="debug",
    )  # fmt: skip
    return RunningService(folder, **variables)


def test_a_stopped_service_leaves_no_text_in_the_clear(folder: Path, stubs: StubProviders) -> None:
    with started(folder, stubs) as running:
        asked = Asked30(running, stubs)
        assert running.stop() == 0
        names = {path.name for path in folder.iterdir()}
        assert names == {"ouija.db", "ouija.db.lock", "ouija.db.vault-key", "ouija.db.ledger-key", "ouija.db.views"}
        assert texts_found(folder, asked.texts) == []
        asked.assert_recorded(running.database)


def test_no_text_is_in_the_clear_while_it_runs_and_after_it_was_killed(folder: Path, stubs: StubProviders) -> None:
    with started(folder, stubs) as running:
        asked = Asked30(running, stubs)
        assert (folder / "ouija.db-wal").stat().st_size > 0
        assert texts_found(folder, asked.texts) == []
        running.kill()
        names = {path.name for path in folder.iterdir()}
        assert {"ouija.db", "ouija.db-wal", "ouija.db-shm"} <= names
        assert texts_found(folder, asked.texts) == []
    with started(folder, stubs) as running:
        again = Asked30(running, stubs)
        assert texts_found(folder, asked.texts + again.texts) == []
        running.stop()
        asked.assert_recorded(running.database)


def test_the_log_lines_tell_neither_texts_nor_sessions(folder: Path, stubs: StubProviders) -> None:
    with started(folder, stubs) as running:
        asked = Asked30(running, stubs)
        running.ask(f"¿{word()}?", personality=word())
        running.stop()
        said = running.log.lower()
    assert asked.bodies[0]["questionId"] in said
    secret = asked.texts + [body["sessionId"] for body in asked.bodies] + [body["response"] for body in asked.bodies]
    assert [text for text in secret if text.lower() in said] == []


def test_only_the_owner_may_read_what_is_written(folder: Path, stubs: StubProviders) -> None:
    with started(folder, stubs) as running:
        running.ask("¿Quién lee esto?")
        assert {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()} == dict.fromkeys(
            (path.name for path in folder.iterdir()), 0
        )
