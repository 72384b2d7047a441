"""Ollama's model is kept loaded by a background probe, which also tells its health."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from ouija_es.clock import Clock
from ouija_es.domain.events import TierPolicy
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.fallback import warming
from ouija_es.fallback.tier import Tier
from ouija_es.fallback.warming import Warming
from ouija_es.providers.ollama import KEEP_ALIVE, Ollama
from tests.service import RunningService
from tests.stubs import StubProviders

POLICY = TierPolicy(
    provider=Provider.OLLAMA, configured=True, model="m", timeout_ms=1000, max_attempts=1, concurrency=1
)


def test_the_model_is_loaded_at_start_and_health_knows_it_before_anybody_asked(tmp_path: Path) -> None:
    with StubProviders() as stubs, RunningService(tmp_path, OLLAMA_URL=stubs.ollama_url) as service:
        give_up_at = time.monotonic() + 5
        while stubs.state()["ollama"]["probes"] == 0 and time.monotonic() < give_up_at:
            time.sleep(0.05)
        probe = stubs.requests("ollama")[0]

        assert probe["path"] == "/api/generate"
        assert probe["body"] == {"model": "qwen2.5:0.5b", "keep_alive": KEEP_ALIVE}
        assert stubs.calls("ollama") == 0
        time.sleep(0.1)
        assert service.client.get("/health").json()["checks"]["ollama"] == {
            "status": "ok",
            "available": True,
            "error": None,
        }


def test_a_dead_ollama_is_known_before_anybody_asked(tmp_path: Path) -> None:
    with RunningService(tmp_path, OLLAMA_URL="http://127.0.0.1:1") as service:
        give_up_at = time.monotonic() + 5
        while (check := service.client.get("/health").json()["checks"]["ollama"])["available"] is None:
            assert time.monotonic() < give_up_at
            time.sleep(0.05)

        assert check == {"status": "degraded", "available": False, "error": "connection"}
        assert service.client.get("/health").json()["status"] == "ok"


async def test_failed_probes_back_off_one_at_a_time_and_jittered(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    asleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waits.append(seconds)
        await asleep(0)

    monkeypatch.setattr(warming.asyncio, "sleep", note)
    tier, ollama = Tier(POLICY, None, Clock()), Ollama("http://127.0.0.1:1", "m")
    task = asyncio.ensure_future(Warming(tier, ollama, lambda: 0.5).run())
    while len(waits) < 7:
        await asleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await ollama.close()

    assert waits[:7] == [15, 30, 60, 120, 240, 300, 300]
    assert tier.evidence is not None
    assert tier.evidence.reason is Reason.CONNECTION


async def test_a_slow_load_is_waited_for_and_not_started_twice() -> None:
    with StubProviders() as stubs:
        stubs.behave("ollama", "ok", latency_ms=600)
        tier, ollama = Tier(POLICY, None, Clock()), Ollama(stubs.ollama_url, "m")
        task = asyncio.ensure_future(Warming(tier, ollama, lambda: 0.0).run())
        await asyncio.sleep(0.3)
        assert tier.evidence is None
        await asyncio.sleep(0.6)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await ollama.close()

        assert tier.evidence is not None
        assert tier.evidence.available
        assert stubs.state()["ollama"]["probes"] == 1
