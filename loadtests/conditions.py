"""What a run is under: the scenario, how often it may ask, and what the service counts meanwhile."""

import time
from typing import Any

import gevent
import requests

from loadtests import server_numbers, users
from loadtests.scenarios import SCENARIOS, Scenario
from loadtests.server_numbers import ServerNumbers

PACED_ASKS_PER_MINUTE = 24.0
"""Groq's free tier takes 30 a minute, and other clients want some of them."""
PACED_VISITORS = 5
PACED_SHARE = 0.6
"""Of that pace must be reached: an ask that is on its way, or takes its time, holds its visitor back."""


class Conditions:
    """What the run is under: the scenario, and what the service said before it."""

    def __init__(self, given: Any, host: str) -> None:
        self.scenario: Scenario = SCENARIOS[given.scenario]
        if given.seconds:
            self.scenario = self.scenario.lasting(given.seconds)
        self.stubs: str | None = given.stubs
        self.least_asks_per_second = self.scenario.least_asks_per_second
        self.shares = dict(self.scenario.shares) if self.stubs else {}
        for share in given.share:
            source, _, least = share.partition("=")
            self.shares[source] = (float(least), 1.0)
        self.moods_missed: list[str] = []
        self.paced = False
        self._metrics_url = f"{host}/metrics"
        if not given.allow_groq_quota and not self.stubs and has_groq(host):
            users.PACE.limit(PACED_ASKS_PER_MINUTE)
            self.paced = True
            self.least_asks_per_second = PACED_ASKS_PER_MINUTE / 60 * PACED_SHARE
            print(f"this service has a Groq key: {PACED_ASKS_PER_MINUTE:.0f} asks a minute (--allow-groq-quota: more)")
        self._before = self._counted()
        self.started_at = time.monotonic()

    def counted_meanwhile(self) -> ServerNumbers | None:
        after = self._counted()
        return None if self._before is None or after is None else after.since(self._before)

    def follow_moods(self) -> None:
        """Lets the stub providers do what the scenario says, when it says so."""
        for mood in self.scenario.moods if self.stubs else ():
            gevent.sleep(max(0, self.started_at + mood.second - time.monotonic()))
            told = requests.put(f"{self.stubs}/control/{mood.provider}", json=dict(mood.behaviour), timeout=5)
            if told.status_code != 204:
                self.moods_missed.append(f"stubs: {mood.provider} refused {dict(mood.behaviour)}: {told.text}")

    def _counted(self) -> ServerNumbers | None:
        headers = users.bearer("METRICS_TOKEN") or users.bearer("AUDIT_TOKEN")
        try:
            answer = requests.get(self._metrics_url, headers=headers, timeout=10)
        except requests.RequestException:
            return None
        return server_numbers.read(answer.text) if answer.ok else None


def has_groq(host: str) -> bool:
    """Whether asks may reach Groq. Who does not say is treated as if they did."""
    try:
        groq = requests.get(f"{host}/health", timeout=10).json()["checks"]["groq"]
    except (requests.RequestException, KeyError, TypeError):
        return True
    return bool(groq["error"] != "not_configured")
