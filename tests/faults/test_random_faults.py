"""Providers fail at random, the service is stopped and killed at random: an answer always comes, and is recorded."""

import asyncio
import random
import secrets
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from loadtests.bench_faults import ANSWERS, FAULTS, HEADER, MODELS, Tally, ask_all, flapping
from tests.faults.asked import check_stream
from tests.flow.events import Event, events, opened
from tests.service import RunningService, providers
from tests.store.history import assert_recorded, assert_whole, open_log, started, streams_of
from tests.stubs import StubProviders

DEADLINE_SECONDS = 2.0
GRACE_SECONDS = 0.25
SLACK_SECONDS = 1.5
"""For a client that shares two busy cores with the service and the stubs; the service's own time has none."""
VARIABLES = {
    "GROQ_TIMEOUT_SECONDS": "0.5",
    "OLLAMA_TIMEOUT_SECONDS": "0.5",
    "ANSWER_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
    "BREAKER_FAILURES": "3",
    "BREAKER_OPEN_SECONDS": "1",
}
STREAM_FAULTS = [
    {"behaviour": name}
    for name in ("stall_after_delta", "break_mid_stream", "no_done", "no_finish", "error_mid_stream")
]
MOODS = [*ANSWERS, *FAULTS, *STREAM_FAULTS, {"behaviour": "status", "code": 401}]
EXAMPLES, STEPS = 4, 12


@dataclass(frozen=True)
class Ask:
    """A question, and how the providers are while it is asked."""

    groq: dict[str, Any]
    ollama: dict[str, Any]
    streamed: bool
    with_key: bool
    in_session: bool
    number: int


MOOD = st.sampled_from(MOODS)
ASK = st.builds(Ask, MOOD, MOOD, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 99))


LEFT = {"question": "¿Se oye algo?"}


class Board(RuleBasedStateMachine):
    """The real service between its clients, its providers and whoever stops it."""

    total: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.stubs = StubProviders()
        self.variables = providers(
            self.stubs.groq_url, self.stubs.ollama_url, **VARIABLES, GROQ_REQUESTS_PER_MINUTE="30"
        )
        self.bodies: list[dict[str, Any]] = []
        self.keyed: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.service = self.start()

    def start(self) -> RunningService:
        return RunningService(Path(self.folder.name), **self.variables)

    @rule(asks=st.lists(ASK, min_size=2, max_size=8))
    def questions_are_asked(self, asks: list[Ask]) -> None:
        for ask in asks:
            self.ask(ask)

    def ask(self, ask: Ask) -> None:
        self.stubs.behave("groq", **ask.groq)
        self.stubs.behave("ollama", **ask.ollama)
        fields: dict[str, Any] = {"question": f"¿Qué dice la carta {ask.number}?"}
        if ask.in_session and self.bodies:
            fields["sessionId"] = self.bodies[ask.number % len(self.bodies)]["sessionId"]
        key = secrets.token_hex(16) if ask.with_key else None
        body = self.answer(fields, key, streamed=ask.streamed, replayed=False)
        if key is not None:
            self.keyed[key] = fields, body

    @precondition(lambda self: self.keyed)
    @rule(streamed=st.booleans(), number=st.integers(0, 99))
    def ask_again_with_the_same_key(self, streamed: bool, number: int) -> None:
        key = list(self.keyed)[number % len(self.keyed)]
        fields, body = self.keyed[key]
        assert self.answer(fields, key, streamed=streamed, replayed=True) == body

    @rule(ask=ASK)
    def go_away_from_a_stream(self, ask: Ask) -> None:
        self.leave({})
        self.ask(ask)
        self.total["streams left"] += 1

    @rule()
    def go_away_from_a_stream_with_a_key_and_come_back(self) -> None:
        key = secrets.token_hex(16)
        headers = {"idempotency-key": key}
        self.leave(headers)
        while self.service.client.post("/ouija/ask", json=LEFT, headers=headers).status_code == 409:
            time.sleep(0.05)
        self.keyed[key] = LEFT, self.answer(LEFT, key, streamed=False, replayed=True)
        self.total["streams left and finished"] += 1

    def leave(self, headers: dict[str, str]) -> None:
        with opened(self.service, LEFT["question"], headers) as response:
            assert response.status_code == 200
            next(response.iter_raw())

    @rule(ask=ASK)
    def service_stops_and_starts(self, ask: Ask) -> None:
        assert self.service.stop() == 0
        self.check_log(still_open=False)
        self.again("stops", ask)

    @rule(seconds=st.floats(0, 0.6), ask=ASK)
    def service_is_killed_with_questions_in_flight(self, seconds: float, ask: Ask) -> None:
        with ThreadPoolExecutor(4) as clients:
            asking = [clients.submit(self.service.ask, f"¿Hay tiempo para {number}?") for number in range(4)]
            time.sleep(seconds)
            self.service.kill()
            for client in asking:
                if isinstance(client.exception(), httpx.TransportError):
                    self.total["cut off"] += 1
                else:
                    self.bodies.append(client.result().raise_for_status().json())
        self.check_log(still_open=True)
        self.again("kills", ask)

    def again(self, how: str, ask: Ask) -> None:
        self.total[how] += 1
        with self.service:
            pass
        self.service = self.start()
        self.ask(ask)

    def answer(self, fields: dict[str, Any], key: str | None, *, streamed: bool, replayed: bool) -> dict[str, Any]:
        """The 200 body, in time and as it is recorded."""
        headers = {} if key is None else {"idempotency-key": key}
        began = time.monotonic()
        if streamed:
            headers["accept"] = "text/event-stream"
            with self.service.client.stream("POST", "/ouija/ask", json=fields, headers=headers) as response:
                response.raise_for_status()
                *before, (name, body) = list(events(response))
            assert name == "answer", "a stream ends with the answer"
            assert not (replayed and before)
            if not replayed:
                check_pieces(before, body)
        else:
            response = self.service.client.post("/ouija/ask", json=fields, headers=headers)
            body = response.raise_for_status().json()
        seconds = time.monotonic() - began
        assert (response.headers.get("idempotency-replayed") == "true") == replayed
        assert seconds <= DEADLINE_SECONDS + GRACE_SECONDS + SLACK_SECONDS
        assert body["responseTime"] <= (DEADLINE_SECONDS + GRACE_SECONDS) * 1000
        log = open_log(self.service.database)
        assert_recorded(body, log)
        log.close()
        self.bodies.append(body)
        self.total[f"answers of {body['source']}"] += 1
        self.total.update(f"{it['provider']} {it['reason'] or it['outcome']}" for it in body["attempts"])
        return body

    def check_log(self, *, still_open: bool) -> None:
        log = open_log(self.service.database)
        for body in self.bodies:
            assert_recorded(body, log)
        streams = streams_of(log)
        assert_whole(streams, still_open=still_open)
        for model in MODELS:
            assert self.stubs.calls(model) <= started(streams, model), "no call without its announcement"
        log.close()

    def teardown(self) -> None:
        try:
            if self.service.process.poll() is None:
                assert self.service.stop() == 0
            assert "bug" not in self.service.log
            self.check_log(still_open=False)
        finally:
            with self.service:
                pass
            self.stubs.stop()
            self.folder.cleanup()


def check_pieces(before: list[Event], body: dict[str, Any]) -> None:
    """As `check_stream`; of an answer that was cut at the token limit, more was shown than its last full sentence."""
    if body["attempts"][-1]["reason"] == "truncated":
        shown = ""
        for name, data in before:
            shown = "" if name == "discard" else shown + data.get("text", "")
        assert shown.startswith(body["response"])
        body = body | {"response": shown.strip()}
    check_stream(before, body)


@pytest.mark.deep
@pytest.mark.timeout(300)
def test_whatever_happens_in_whatever_order_every_answer_is_in_time_and_recorded() -> None:
    Board.total.clear()
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Board,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # the providers' and the processes' timing cannot be replayed, nor shrunk
            suppress_health_check=list(HealthCheck),
        ),
    )
    print("\n" + ", ".join(f"{name}: {count}" for name, count in sorted(Board.total.items())))  # noqa: T201
    assert sum(count for name, count in Board.total.items() if name.startswith("answers")) > EXAMPLES


@pytest.mark.deep
@pytest.mark.timeout(480)
async def test_an_hour_of_flapping_providers_compressed(tmp_path: Path) -> None:
    seed, tally, began = random.SystemRandom().randrange(2**32), Tally(), time.monotonic()
    with StubProviders() as stubs:
        variables = providers(stubs.groq_url, stubs.ollama_url, **VARIABLES)
        service = await asyncio.to_thread(lambda: RunningService(tmp_path, **variables))
        with service:
            async with flapping(stubs, random.Random(seed)) as moods:
                await ask_all(service.url, 5_000, tally, pause_seconds=0.4, again=True)
            assert service.stop() == 0
            assert "bug" not in service.log
        calls = {model: stubs.calls(model) for model in MODELS}
    print(  # noqa: T201 - what the test is for
        f"\nseed {seed}: {time.monotonic() - began:.0f} s, {moods.total()} changes of mood, calls {calls}, "
        f"refused {dict(tally.refused)}\n{HEADER}\n{tally.row()}"
    )
    assert len(tally.bodies) == 5_000
    assert all(kind.endswith(":overloaded") for _, kind in tally.refused), tally.refused
    assert max(body["responseTime"] for body in tally.bodies) <= (DEADLINE_SECONDS + GRACE_SECONDS) * 1000
    assert tally.milliseconds(100) <= (DEADLINE_SECONDS + GRACE_SECONDS + SLACK_SECONDS) * 1000
    assert all(tally.share(source) > 0 for source in (*MODELS, "database"))
    log = open_log(service.database)
    for body in tally.bodies:
        assert_recorded(body, log)
    streams = streams_of(log)
    log.close()
    assert_whole(streams)
    for model in MODELS:
        assert 0 < calls[model] <= started(streams, model)
