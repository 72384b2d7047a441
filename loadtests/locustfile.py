"""Locust's entry: users, the scenario's shape, gates at the end. `make load` starts it (loadtests/load.py).

Locust is a closed loop: it tells how the service feels to so many visitors. What it can bear is for `make bench`, and
what visitors would feel who do not wait for each other is for `loadtests.open_loop`.
"""

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
import requests
from locust import LoadTestShape, events

from loadtests import server_numbers, users
from loadtests.gates import Run, Seen, missed
from loadtests.scenarios import (
    ASK,
    ASK_AGAIN,
    ASKS,
    DASHBOARD,
    EVENTS,
    HEALTH,
    METRICS,
    PROOF,
    QUESTION_HISTORY,
    REPEAT,
    SCENARIOS,
    SESSION_HISTORY,
    SESSIONS,
    STREAM,
    Scenario,
)
from loadtests.server_numbers import ServerNumbers
from loadtests.users import Auditor, English, Orchestrator, Prometheus, Spanish

__all__ = ["Auditor", "English", "Orchestrator", "Prometheus", "Shape", "Spanish"]

MADE_BY = {
    "seance": (ASK, ASK_AGAIN),
    "ask_twice": (ASK, REPEAT),
    "stream": (STREAM,),
    "health": (HEALTH,),
    "scrape": (METRICS, DASHBOARD),
    "audit": (SESSIONS, SESSION_HISTORY, QUESTION_HISTORY),
    "follow": (PROOF, EVENTS),
}
"""Which requests a task makes: each of them must have samples."""
PACED_ASKS_PER_MINUTE = 24.0
"""Groq's free tier takes 30 a minute, and other clients want some of them."""
PACED_VISITORS = 5
PACED_SHARE = 0.6
"""Of that pace must be reached: an ask that is on its way, or takes its time, holds its visitor back."""


@events.init_command_line_parser.add_listener
def options(parser: ArgumentParser, **_: Any) -> None:
    own = parser.add_argument_group("ouija_es")
    own.add_argument("--scenario", choices=[*SCENARIOS], default="smoke")
    own.add_argument("--seconds", type=float, help="how long the scenario takes instead")
    own.add_argument("--stubs", help="where the stub providers listen, if the service asks them and nobody else does")
    own.add_argument("--results", default="loadtests/results", help="folder of summary.json")
    own.add_argument(
        "--allow-groq-quota", action="store_true", help="ask a service with a Groq key as often as the scenario says"
    )
    own.add_argument(
        "--share", action="append", default=[], metavar="SOURCE=LEAST", help="least share of the answers, e.g. groq=0.9"
    )


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


CONDITIONS: dict[str, Conditions] = {}


def has_groq(host: str) -> bool:
    """Whether asks may reach Groq. Who does not say is treated as if they did."""
    try:
        groq = requests.get(f"{host}/health", timeout=10).json()["checks"]["groq"]
    except (requests.RequestException, KeyError, TypeError):
        return True
    return bool(groq["error"] != "not_configured")


class Shape(LoadTestShape):
    """The scenario's stages, one after the other."""

    def tick(self) -> tuple[int, float] | None:
        left = self.get_run_time()
        conditions = CONDITIONS["now"]
        for stage in conditions.scenario.stages:
            if left < stage.seconds:
                visitors = min(stage.visitors, PACED_VISITORS) if conditions.paced else stage.visitors
                return visitors + watchers(self.runner.environment), stage.spawned_per_second
            left -= stage.seconds
        return None


def watchers(environment: Any) -> int:
    return sum(user.fixed_count for user in environment.user_classes)


@events.init.add_listener
def prepare(environment: Any, **_: Any) -> None:
    given = environment.parsed_options
    wanted, unwanted = set(given.tags or ()), set(given.exclude_tags or ())
    environment.user_classes = [
        user
        for user in environment.user_classes
        if (user.weight or user.fixed_count) and any(_is_wanted(job, wanted, unwanted) for job in user.tasks)
    ]
    CONDITIONS["now"] = conditions = Conditions(given, environment.host.rstrip("/"))
    gevent.spawn(conditions.follow_moods)


def _is_wanted(job: Any, wanted: set[str], unwanted: set[str]) -> bool:
    tags = getattr(job, "locust_tag_set", set())
    return (not wanted or bool(tags & wanted)) and not tags & unwanted


@events.quitting.add_listener
def put_to_the_gates(environment: Any, **_: Any) -> None:
    """Exit code 1 if a gate is missed, or was never put to the test."""
    conditions = CONDITIONS["now"]
    named = {
        entry.name: Seen(
            entry.num_requests,
            entry.num_failures,
            *(float(entry.get_response_time_percentile(share) or 0) for share in (0.5, 0.95, 0.99)),
        )
        for entry in environment.stats.entries.values()
    }
    jobs = {job.__name__ for user in environment.user_classes for job in user.tasks}
    expected = dict.fromkeys(name for job in MADE_BY if job in jobs for name in MADE_BY[job])
    if conditions.paced:  # too few asks for some of each kind
        expected = {name: None for name in expected if name not in ASKS or name == next(iter(expected))}
    run = Run(
        seconds=environment.stats.last_request_timestamp - environment.stats.start_time
        if environment.stats.last_request_timestamp
        else 0,
        named=named,
        expected=tuple(expected),
        sources=dict(users.SOURCES),
        shares=conditions.shares,
        least_asks_per_second=conditions.least_asks_per_second,
        server=conditions.counted_meanwhile(),
        alone=conditions.stubs is not None,
        visitors=max(stage.visitors for stage in conditions.scenario.stages),
        moods_missed=conditions.moods_missed,
    )
    lines = missed(run)
    for line in lines:
        print(f"gate missed: {line}")
    if not lines:
        answers = ", ".join(f"{count} {source}" for source, count in run.sources.items())
        print(f"every gate held: {run.asks_per_second:.1f} asks/s, answers: {answers or 'none'}")
    summary = {"scenario": environment.parsed_options.scenario, "host": environment.host, "missed": lines}
    summary |= asdict(run) | {"asks_per_second": run.asks_per_second, "asks": list(ASKS)}
    folder = Path(environment.parsed_options.results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
    environment.process_exit_code = 1 if lines else 0
