"""Visitors who ask and ask on in their session, and a probe of /health: `make load`, against a running service.

The service limits clients: run it with CLIENT_REQUESTS_PER_MINUTE=0, or with a LOADTEST_TOKEN that Locust has, too.
Locust is a closed loop: the gates are about answer times under this load, `make bench` is about capacity.
"""

import os
import random
from typing import Any

from locust import HttpUser, between, constant, events, task

ASK, HEALTH = "POST /ouija/ask", "GET /health"
GATES = {ASK: (0.95, 10_000), HEALTH: (0.99, 1_000)}
"""Request to percentile and milliseconds it must stay under. Locust rounds what is over 10 s: so at 10,000 it fails."""
ERROR_SHARE = 0.001
FIRST = {
    "es": ["¿Encontraré el amor?", "¿Me darán el trabajo?", "¿Volverá mi suerte?", "¿Qué me espera este año?"],
    "en": ["Will I find love?", "Will I get the job?", "What does the year hold?", "Is anybody there?"],
}
THEN = {"es": ["¿y cuándo?", "¿y con quién?"], "en": ["and when?", "are you sure?"]}


class Visitor(HttpUser):
    """Opens a session with one question and asks one to three more in it."""

    weight = 9
    wait_time = between(0.5, 2)

    def on_start(self) -> None:
        if token := os.environ.get("LOADTEST_TOKEN"):
            self.client.headers["Authorization"] = f"Bearer {token}"

    @task
    def seance(self) -> None:
        language = random.choice(["es", "en"])
        personality = random.choice(["wise", "cryptic", "dark", "playful"])
        body: dict[str, Any] = {"question": random.choice(FIRST[language]), "language": language}
        body["personality"] = personality
        for _ in range(random.randint(2, 4)):
            with self.client.post("/ouija/ask", json=body, name=ASK, catch_response=True) as response:
                if response.status_code != 200:
                    response.failure(f"status {response.status_code}")
                    return
                body = body | {"question": random.choice(THEN[language]), "sessionId": response.json()["sessionId"]}


class Probe(HttpUser):
    """What an orchestrator does."""

    weight = 1
    wait_time = constant(1)

    @task
    def health(self) -> None:
        self.client.get("/health", name=HEALTH)


@events.quitting.add_listener
def gates(environment: Any, **_: Any) -> None:
    """Exit code 1 if a gate is missed, or was never put to the test."""
    missed = []
    for name, (share, limit_ms) in GATES.items():
        entry = environment.stats.get(name, name.split()[0])
        if not entry.num_requests:
            missed.append(f"{name}: no samples")
            continue
        reached = entry.get_response_time_percentile(share)
        if reached >= limit_ms:
            missed.append(f"{name}: p{share * 100:.0f} {reached:.0f} ms, must be under {limit_ms}")
        if entry.num_failures / entry.num_requests >= ERROR_SHARE:
            missed.append(f"{name}: {entry.num_failures} of {entry.num_requests} failed")
    for line in missed:
        print(f"gate missed: {line}")
    environment.process_exit_code = 1 if missed else 0
