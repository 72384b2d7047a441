"""What is planted in requests, settings and providers' replies comes out nowhere but where it was asked for."""

import base64
import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from ouija_es.ids import uuid7
from tests.bytes_in_files import text_forms
from tests.collector import Collector
from tests.flow.erasing import ERASURE_TOKEN
from tests.flow.events import opened, stream
from tests.service import AUDIT_TOKEN, RunningService, providers
from tests.stubs import StubProviders

ADDRESSES = ("203.0.113.77", "2001:db8:5a5a::c0de")
TOKENS = {
    "AUDIT_TOKEN": AUDIT_TOKEN,
    "ERASURE_TOKEN": ERASURE_TOKEN,
    "METRICS_TOKEN": "metrics-token-of-the-tests",
    "LOADTEST_TOKEN": "loadtest-token-of-the-tests",
    "GROQ_API_KEY": "gsk_planted-key-of-the-tests",
    "VAULT_KEY": base64.urlsafe_b64encode(bytes(range(32))).decode(),
    "LEDGER_KEY": base64.urlsafe_b64encode(bytes(range(32, 64))).decode(),
}
UNKNOWN = str(uuid7())
A_BUG = """
try:
    from ouija_es.domain.categories import Classifier
except ImportError:
    pass
else:
    classify = Classifier.classify
    def stumble(self, question, *more):
        if "tropieza" in question:
            try:
                raise KeyError(question)
            except KeyError as error:
                raise ValueError(f"cannot classify {question!r}") from error
        return classify(self, question, *more)
    Classifier.classify = stumble
"""


class Plants:
    """Words that stand nowhere else, and where each was planted."""

    def __init__(self) -> None:
        self.texts = {value.lower(): name for name, value in TOKENS.items()}
        self.texts |= dict.fromkeys(ADDRESSES, "client address")

    def word(self, where: str) -> str:
        """Sixteen small letters; long enough for a key or a token."""
        word = "".join(secrets.choice("bdfghjklmpqrstvwxz") for _ in range(16))
        self.texts[word] = where
        return word

    def in_(self, content: bytes) -> set[str]:
        """What of it is in there, in any form."""
        small = content.lower()
        return {
            f"{where} as {form}"
            for text, where in self.texts.items()
            for form, raw in text_forms(text)
            if raw in (content if "base64" in form else small)
        }


class Visit:
    """Everything that can be sent to a service, right and wrong; keeps what was answered with an error."""

    def __init__(
        self, service: RunningService, stubs: StubProviders, plants: Plants, problems: Sequence[httpx.Response] = ()
    ) -> None:
        self.service, self.stubs, self.plants = service, stubs, plants
        self.problems = list(problems)
        self._addresses = itertools.cycle(ADDRESSES)

    def headers(self, **more: str) -> dict[str, str]:
        return {"x-forwarded-for": next(self._addresses), **{name.replace("_", "-"): it for name, it in more.items()}}

    def ask(self, status: int, question: str = "", headers: dict[str, str] | None = None, **fields: Any) -> Any:
        """An ask with this outcome; gives the body."""
        content = {"question": question or f"¿Qué hay de {self.plants.word('question')}?"} | fields
        reply = self.service.client.post("/ouija/ask", json=content, headers=headers or self.headers())
        return self.told(reply, status)

    def told(self, reply: httpx.Response, status: int) -> Any:
        assert reply.status_code == status, reply.text
        if status >= 400:
            self.problems.append(reply)
        return reply.json() if reply.content else None

    def answers(self) -> str:
        """Asks that each tier answers, by streams and again by idempotency key; a session's id."""
        for provider in ("groq", "ollama"):
            self.stubs.behave(provider, [{"behaviour": "ok", "text": f"Oigo {self.plants.word('answer')}."}] * 4)
        session_id = str(self.ask(200)["sessionId"])
        self.plants.texts[session_id] = "session"
        keyed = self.headers(idempotency_key=self.plants.word("idempotency key"))
        question = f"¿Y {self.plants.word('question')}?"
        for _ in range(2):
            self.ask(200, question, keyed, sessionId=session_id)
        self.ask(422, "¿Otra cosa?", keyed, sessionId=session_id)
        stream(self.service, f"¿Y {self.plants.word('question')}?", self.headers(), sessionId=session_id)
        authorized = self.headers(authorization=f"Bearer {TOKENS['LOADTEST_TOKEN']}")
        self.ask(200, headers=authorized, sessionId=session_id)
        return session_id

    def providers_that_tell(self) -> None:
        """Errors that repeat the key and the question, in status, body, headers and streams."""
        key = TOKENS["GROQ_API_KEY"]
        told = f"Incorrect API key provided: {key}; {self.plants.word('reply')}"
        faults: list[dict[str, Any]] = [
            *({"behaviour": "status", "code": code, "body": {"error": {"message": told}}} for code in (400, 404, 500)),
            {"behaviour": "status", "code": 429, "body": told, "headers": {"retry-after": key, "x-request-id": told}},
            {"behaviour": "status", "code": 200, "body": told},
            {"behaviour": "status", "code": 200, "body": {"choices": told, "model": key}},
            {"behaviour": "status", "code": 401, "body": {"error": {"message": told}}},
        ]
        for fault in faults:
            for provider in ("groq", "ollama"):
                self.stubs.behave(provider, [fault] * 4)
            assert self.ask(200)["source"] == "database"
        stream(self.service, f"¿Y {self.plants.word('question')}?", self.headers())
        self.stubs.reset()

    def mistakes(self, session_id: str) -> None:
        """What is refused."""
        plant = self.plants.word
        self.ask(422, personality=plant("personality"))
        self.ask(422, language=plant("language"))
        self.ask(422, f"\x00{plant('question')}")
        self.ask(422, plant("question") * 100)
        self.ask(422, nonsense=plant("value"))
        self.ask(422, sessionId=plant("session"))
        self.ask(422, sessionId=session_id[:-1] + "x")
        self.ask(400, headers=self.headers(idempotency_key=plant("idempotency key")[:12]))
        self.ask(406, headers=self.headers(accept=f"text/{plant('accept')}"))
        self.ask(500, f"¿Por qué tropieza {plant('question')}?")
        self.plants.texts[UNKNOWN] = "unknown session"
        self.ask(404, sessionId=UNKNOWN)
        client, post = self.service.client, {"content-type": "application/json"} | self.headers()
        self.told(client.post("/ouija/ask", content=f'{{"question": {plant("json")}', headers=post), 400)
        self.told(client.post("/ouija/ask", content=b'{"question": "\xff' + plant("json").encode(), headers=post), 400)
        self.told(client.post("/ouija/ask", content=plant("body").encode() * 2000, headers=post), 413)
        self.told(client.post("/ouija/ask", data={"question": plant("form")}, headers=self.headers()), 415)
        self.told(client.get(f"/ouija/{plant('path')}?q={plant('query')}", headers=self.headers()), 404)
        self.told(client.put(f"/ouija/ask?q={plant('query')}", headers=self.headers()), 405)
        self.told(client.delete(f"/ouija/sessions/{UNKNOWN}"), 404)

    def tokens(self, session_id: str) -> None:
        """Right ones and wrong ones."""
        client, wrong = self.service.client, self.plants.word("wrong token")
        audit = {"authorization": f"Bearer {AUDIT_TOKEN}"}
        client.get(f"/audit/sessions/{session_id}", headers=audit).raise_for_status()
        for given in (f"Bearer {wrong}", f"Basic {wrong}", wrong):
            headers = self.headers(authorization=given)
            for path in (f"/audit/sessions/{session_id}", "/metrics", "/dashboard?as_of=1", "/dashboard"):
                self.told(client.get(path, headers=headers), 401)
            self.told(client.delete(f"/audit/sessions/{session_id}", headers=headers), 401)
            self.ask(200, headers=headers)

    def gone_away(self) -> None:
        """A stream that nobody waits for."""
        self.stubs.behave("groq", "stall_after_delta")
        with opened(self.service, f"¿Y {self.plants.word('question')}?", self.headers()) as response:
            next(line for line in response.iter_lines() if line.startswith("event: delta"))
        while "withdrawn" not in self.service.log:
            time.sleep(0.05)
        self.stubs.reset()

    def limited(self) -> None:
        """More questions than an address may ask."""
        for _ in range(200):
            content, headers = {"question": f"¿Y {self.plants.word('question')}?"}, {"x-forwarded-for": "198.51.100.9"}
            reply = self.service.client.post("/ouija/ask", json=content, headers=headers)
            if reply.status_code == 429:
                return self.problems.append(reply)
        raise AssertionError("never limited")

    def stored_nowhere(self) -> None:
        """Asks, and an erasure, while the database is away."""
        elsewhere = self.service.database.with_name("elsewhere.db")
        self.service.database.rename(elsewhere)
        self.ask(503)
        elsewhere.rename(self.service.database)
        while self.service.client.get("/health").status_code != 200:
            time.sleep(0.1)

    def cut_off(self) -> None:
        """SIGTERM under a question and a stream."""
        self.stubs.behave("groq", "ok", latency_ms=500)
        asking = [
            threading.Thread(target=self._last, args=[kind]) for kind in ("application/json", "text/event-stream")
        ]
        for thread in asking:
            thread.start()
        while self.stubs.state()["groq"]["in_flight"] < len(asking):
            time.sleep(0.01)
        assert self.service.stop() == 0
        for thread in asking:
            thread.join()

    def _last(self, accept: str) -> None:
        content = {"question": f"¿Y {self.plants.word('question')}?"}
        with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=self.service.url, trust_env=False) as client:
            client.post("/ouija/ask", json=content, headers=self.headers(accept=accept), timeout=30)

    def shown(self) -> Iterator[tuple[str, bytes]]:
        """What everybody, or operators, may look at."""
        client = self.service.client
        metrics = {"authorization": f"Bearer {TOKENS['METRICS_TOKEN']}"}
        for path in ("/metrics", "/dashboard", "/dashboard?as_of=20"):
            yield path, client.get(path, headers=metrics).raise_for_status().content
        openmetrics = metrics | {"accept": "application/openmetrics-text; version=1.0.0"}
        yield "OpenMetrics", client.get("/metrics", headers=openmetrics).raise_for_status().content
        for path in ("/", "/audit/proof", "/health", "/health/live", "/health/ready", "/api/openapi.json"):
            yield path, client.get(path).raise_for_status().content


@pytest.mark.parametrize("form", ["json", pytest.param("console", marks=pytest.mark.deep)])
def test_nothing_that_was_planted_is_printed_counted_traced_or_told(
    tmp_path: Path, stubs: StubProviders, form: str
) -> None:
    plants = Plants()
    (tmp_path / "sitecustomize.py").write_text(A_BUG)
    with Collector() as collector:
        variables = providers(stubs.groq_url, stubs.ollama_url, **TOKENS, LOG_LEVEL="debug", LOG_FORMAT=form) | {
            "PYTHONPATH": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "PROXY_HOPS": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "100", "GROQ_MAX_ATTEMPTS": "1", "OLLAMA_MAX_ATTEMPTS": "1",
            "BREAKER_FAILURES": "1000", "GROQ_TIMEOUT_SECONDS": "10", "CLIENT_REQUESTS_PER_MINUTE": "100",
        }  # fmt: skip
        with RunningService(tmp_path / "data", **variables) as service:
            visit = Visit(service, stubs, plants)
            session_id = visit.answers()
            visit.gone_away()
            visit.cut_off()
            log = service.log
        stubs.reset()
        with RunningService(tmp_path / "data", **variables) as service:
            visit = Visit(service, stubs, plants, visit.problems)
            visit.mistakes(session_id)
            visit.tokens(session_id)
            visit.providers_that_tell()
            visit.limited()
            visit.stored_nowhere()
            shown = dict(visit.shown())
            while service.client.delete(f"/ouija/sessions/{session_id}").status_code != 204:
                time.sleep(0.05)
            assert service.stop() == 0
            shown["the log"] = (log + service.log).encode()
        shown["the traces"] = b"".join(collector.raw)

    for reply in visit.problems:
        shown[f"{reply.status_code} {reply.text}"] = reply.content + str(reply.headers).encode()
    assert len(plants.texts) > 60
    assert len(visit.problems) > 30
    assert {name: found for name, content in shown.items() if (found := plants.in_(content))} == {}
    # It was a run of all that: the bug has its traceback, and the traces have the asks.
    assert b"ValueError" in shown["the log"]
    assert b"stumble" in shown["the log"]
    assert b"POST /ouija/ask" in shown["the traces"]
    assert b"chat llama" in shown["the traces"]


def test_the_search_finds_what_is_planted() -> None:
    plants = Plants()
    word = plants.word("question")
    assert plants.in_(f"… {word.upper()} …".encode())
    assert plants.in_(b"x" + base64.b64encode(b"y" + word.encode()))
    assert plants.in_(TOKENS["VAULT_KEY"].encode())
    assert plants.in_(b"nothing of it") == set()
