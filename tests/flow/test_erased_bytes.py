"""After 204 no file of the data folder says anything of an erased session: searched byte by byte."""

import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bytes_in_files import bytes_found, forms, text_forms, texts_found
from tests.flow.erasing import erased, erasures, plain_key, wrapped_key
from tests.flow.events import stream
from tests.service import ROOT, RunningService, environment, providers
from tests.stubs import StubProviders

ADDRESS = "203.0.113.77"


def word() -> str:
    """Twelve small letters that stand nowhere else."""
    return "".join(secrets.choice("bdfghjklmpqrstvwxz") for _ in range(12))


class Visitor:
    """A session with a question to each tier and one by stream, all in words of their own."""

    def __init__(self, service: RunningService, stubs: StubProviders) -> None:
        self.words: list[str] = []
        self.session_id = None
        headers = {"X-Forwarded-For": ADDRESS, "Idempotency-Key": secrets.token_hex(16)}
        for source in ("groq", "ollama", "database", "groq"):
            question, answer = word(), word()
            for provider in ("groq", "ollama"):
                failing = {"behaviour": "status", "code": 500}
                stubs.behave(
                    provider, [{"behaviour": "ok", "text": f"Oigo {answer}."} if provider == source else failing]
                )
            content: dict[str, Any] = {"question": f"¿Qué dice {question} del amor?", "sessionId": self.session_id}
            body = service.client.post("/ouija/ask", json=content, headers=headers).raise_for_status().json()
            assert body["source"] == source
            self.session_id = body["sessionId"]
            self.words += [question] if source == "database" else [question, answer]
            headers["Idempotency-Key"] = secrets.token_hex(16)
        stubs.reset()
        question = word()
        stream(service, f"¿Y {question}?", {"X-Forwarded-For": ADDRESS}, sessionId=self.session_id)
        self.words.append(question)


def left_of(folder: Path, visitor: Visitor, *keys: bytes) -> list[str]:
    return texts_found(folder, [*visitor.words, ADDRESS]) + bytes_found(folder, *keys)


def test_the_search_finds_what_was_planted_in_any_form(tmp_path: Path) -> None:
    text, key = word(), secrets.token_bytes(32)
    written = [*text_forms(text), *((form, raw) for form, raw in forms(key))]
    for number, (_, raw) in enumerate(written):
        (tmp_path / str(number)).write_bytes(secrets.token_bytes(50) + raw + secrets.token_bytes(50))
    hits = texts_found(tmp_path, [text]) + bytes_found(tmp_path, key)
    assert {hit.split(" ")[2] for hit in hits} == {str(number) for number in range(len(written))}


def test_no_file_tells_anything_of_an_erased_session(tmp_path: Path, stubs: StubProviders) -> None:
    folder = tmp_path / "data"
    variables = providers(
        stubs.groq_url, stubs.ollama_url, PROXY_HOPS="1", GROQ_MAX_ATTEMPTS="1", OLLAMA_MAX_ATTEMPTS="1"
    )
    with RunningService(folder, **variables) as service:
        visitors = [Visitor(service, stubs) for _ in range(6)]
        gone, kept = visitors[::2], visitors[1::2]
        keys = {
            it: (wrapped_key(service.database, str(it.session_id)), plain_key(service.database, str(it.session_id)))
            for it in visitors
        }
        for it in visitors:
            assert any("as bytes" in hit for hit in bytes_found(folder, keys[it][0]))
        for it in gone:
            erased(service, f"/ouija/sessions/{it.session_id}")
        files = {path.name for path in folder.iterdir()}
        assert {"ouija.db", "ouija.db-wal", "ouija.db-shm", "ouija.db.views", "ouija.db.lock"} <= files
        assert [hit for it in gone for hit in left_of(folder, it, *keys[it])] == []
        again = Visitor(service, stubs)  # what is written afterwards brings nothing back
        service.kill()
        assert [hit for it in gone for hit in left_of(folder, it, *keys[it])] == []
    with RunningService(folder, **variables) as service:
        assert [hit for it in gone for hit in left_of(folder, it, *keys[it])] == []
        assert service.stop() == 0
    assert [hit for it in gone for hit in left_of(folder, it, *keys[it])] == []
    for it in [*kept, again]:
        assert erasures(folder / "ouija.db", str(it.session_id)) == []
        assert bytes_found(folder, wrapped_key(folder / "ouija.db", str(it.session_id)))


def counts(service: RunningService) -> dict[str, float]:
    """What is counted from events, apart from erasures and from how many events there are."""
    counted = r"^(ouija_(?:questions|answers?|attempts?|tokens|sessions)_\S+) (\S+)$"
    return {name: float(value) for name, value in re.findall(counted, metrics(service), re.MULTILINE)}


def metrics(service: RunningService) -> str:
    return service.client.get("/metrics").text


def test_the_counts_stay_as_they_were_also_in_views_that_are_rebuilt(tmp_path: Path, stubs: StubProviders) -> None:
    variables = providers(
        stubs.groq_url, stubs.ollama_url, PROXY_HOPS="1", GROQ_MAX_ATTEMPTS="1", OLLAMA_MAX_ATTEMPTS="1"
    )
    with RunningService(tmp_path, **variables) as service:
        visitors = [Visitor(service, stubs) for _ in range(4)]
        before = counts(service)
        assert before['ouija_answers_total{source="groq"}'] == 12
        for it in visitors[:3]:
            erased(service, f"/ouija/sessions/{it.session_id}")
        assert counts(service) == before
        assert "ouija_erasures_total 3.0" in metrics(service)
        dashboard = service.client.get("/dashboard").json()["totals"]
        assert service.stop() == 0
    command = [sys.executable, "-m", "ouija_es", "rebuild"]
    subprocess.run(command, cwd=ROOT, env=environment(tmp_path), check=True, capture_output=True)
    with RunningService(tmp_path, **variables) as service:
        assert counts(service) == before
        assert "ouija_erasures_total 3.0" in metrics(service)
        assert service.client.get("/dashboard").json()["totals"] == dashboard
