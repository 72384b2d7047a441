"""Who comes to the board: people who ask, and what watches the service meanwhile."""

import os
import random
import secrets
from collections import Counter, deque
from typing import Any, ClassVar

import msgspec
from locust import HttpUser, between, constant, tag, task

from loadtests.pace import Pace
from loadtests.scenarios import (
    ASK,
    ASK_AGAIN,
    DASHBOARD,
    EVENTS,
    HEALTH,
    METRICS,
    PROOF,
    QUESTION_HISTORY,
    REPEAT,
    SESSION_HISTORY,
    SESSIONS,
    STREAM,
)

FIRST = {
    "es": ["¿Encontraré el amor?", "¿Me darán el trabajo?", "¿Volverá mi suerte?", "¿Qué me espera este año?"],
    "en": ["Will I find love?", "Will I get the job?", "What does the year hold?", "Is anybody there?"],
}
THEN = {"es": ["¿y cuándo?", "¿y con quién?", "¿estás seguro?"], "en": ["and when?", "are you sure?", "who are you?"]}
PERSONALITIES = ["wise", "cryptic", "dark", "playful"]

SOURCES: Counter[str] = Counter()
"""Who gave the answers; one that is sent again counts once."""
ANSWERED: deque[tuple[str, str]] = deque(maxlen=200)
"""Session and question of the latest answers, for the auditor."""
PACE = Pace()


def bearer(variable: str) -> dict[str, str]:
    token = os.environ.get(variable)
    return {"Authorization": f"Bearer {token}"} if token else {}


class Visitor(HttpUser):
    """Somebody who asks."""

    abstract = True
    wait_time = between(0.5, 2)
    language: ClassVar[str]

    def on_start(self) -> None:
        self.client.headers.update(bearer("LOADTEST_TOKEN"))

    @tag("asks")
    @task(6)
    def seance(self) -> None:
        """One question opens a session, one to three more are asked in it."""
        session = self._ask(ASK, self._question(FIRST))
        for _ in range(random.randint(1, 3)):
            if session is None:
                return
            self.wait()
            session = self._ask(ASK_AGAIN, self._question(THEN) | {"sessionId": session})

    @tag("asks", "repeats")
    @task(1)
    def ask_twice(self) -> None:
        """The connection was lost, they think: the same request with the same key must bring the same answer."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        question = self._question(FIRST)
        if self._ask(ASK, question, key) is None:
            return
        with self.client.post("/ouija/ask", json=question, headers=key, name=REPEAT, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif response.headers.get("Idempotency-Replayed") != "true":
                response.failure("answered anew")

    @tag("asks", "streams")
    @task(2)
    def stream(self) -> None:
        """Watches the answer come."""
        PACE.wait()
        headers = {"Accept": "text/event-stream"}
        with self.client.post(
            "/ouija/ask", json=self._question(FIRST), headers=headers, name=STREAM, catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return
            last = response.content.rstrip().rpartition(b"\n\n")[2]
            if not last.startswith(b"event: answer"):
                response.failure("the last event is no answer")
                return
            _count(msgspec.json.decode(last.partition(b"data: ")[2]))

    def _ask(self, name: str, question: dict[str, str], headers: dict[str, str] | None = None) -> str | None:
        """The session's id; None if there was no answer."""
        PACE.wait()
        with self.client.post("/ouija/ask", json=question, headers=headers, name=name, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return None
            return _count(response.json())

    def _question(self, questions: dict[str, list[str]]) -> dict[str, str]:
        return {
            "question": random.choice(questions[self.language]),
            "personality": random.choice(PERSONALITIES),
            "language": self.language,
        }


def _count(answer: dict[str, Any]) -> str:
    SOURCES[answer["source"]] += 1
    ANSWERED.append((answer["sessionId"], answer["questionId"]))
    return str(answer["sessionId"])


class Spanish(Visitor):
    weight = 6
    language = "es"


class English(Visitor):
    weight = 3
    language = "en"


class Orchestrator(HttpUser):
    """Asks after the service's health as often as a platform does while it starts."""

    fixed_count = 1
    wait_time = constant(0.5)

    @tag("health")
    @task
    def health(self) -> None:
        self.client.get("/health", name=HEALTH)


class Prometheus(HttpUser):
    """Scrapes more often than anybody should; and somebody has the dashboard open."""

    fixed_count = 1
    wait_time = constant(2)

    def on_start(self) -> None:
        self.client.headers.update(bearer("METRICS_TOKEN") or bearer("AUDIT_TOKEN"))

    @tag("scrapes")
    @task
    def scrape(self) -> None:
        self.client.get("/metrics", name=METRICS)
        self.client.get("/dashboard", headers={"Accept": "application/json"}, name=DASHBOARD)


class Auditor(HttpUser):
    """Reads what was recorded of the latest answers, and the log as it grows. Comes only with an AUDIT_TOKEN."""

    fixed_count = 1 if os.environ.get("AUDIT_TOKEN") else 0
    weight = 0
    wait_time = constant(1)

    def on_start(self) -> None:
        self.client.headers.update(bearer("AUDIT_TOKEN"))
        self._position: int | None = None

    @tag("audits")
    @task
    def audit(self) -> None:
        self.client.get("/audit/sessions", params={"limit": 20}, name=SESSIONS)
        if ANSWERED:
            session, question = random.choice(ANSWERED)
            self.client.get(f"/audit/sessions/{session}", name=SESSION_HISTORY)
            self.client.get(f"/audit/questions/{question}", name=QUESTION_HISTORY)

    @tag("audits")
    @task
    def follow(self) -> None:
        """From where the log ended when the auditor came; SQLite's positions have no gaps, PostgreSQL's rise."""
        proof = self.client.get("/audit/proof", name=PROOF)
        if self._position is None:
            if proof.ok:
                self._position = proof.json()["position"]
            return
        page = {"after": self._position, "limit": 500}
        with self.client.get("/audit/events", params=page, name=EVENTS, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return
            positions = [int(msgspec.json.decode(line)["position"]) for line in response.content.splitlines()]
            if positions != sorted({*positions}) or (positions and positions[0] <= self._position):
                response.failure("the log is out of order")
                return
            self._position = positions[-1] if positions else self._position
