"""How long an answer takes while the providers fail, and who gives it: the real service with its default times.

`python -m loadtests.bench_faults [ASKS]`. Each row is a fresh service and ASKS (200) questions by 32 clients at once,
who pause for 8 s between two questions while the providers flap; two minutes in all. `not 200` counts the refusals.
A failing provider is slow until its breaker opens: the first 32 of a row pay for that, and are its p95 and p100.
"""

import asyncio
import contextlib
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pyreqwest.client import ClientBuilder

from loadtests.results import Table
from tests.service import RunningService, providers
from tests.stubs import StubProviders

AT_ONCE = 32
MODELS = ("groq", "ollama")
PLENTY = {"behaviour": "ok", "headers": {"x-ratelimit-remaining-tokens": "1000000"}}
"""Without this the stub says what Groq's free tier says, and the service sends no more than that."""
ANSWERS: list[dict[str, Any]] = [
    PLENTY,
    {"behaviour": "ok"},
    {"behaviour": "ok", "latency_ms": 400},
    {"behaviour": "length"},
]
FAULTS: list[dict[str, Any]] = [
    {"behaviour": "hang"},
    {"behaviour": "hang_after_headers"},
    {"behaviour": "drip"},
    {"behaviour": "reset"},
    {"behaviour": "close"},
    {"behaviour": "garbage"},
    {"behaviour": "bad_chunk"},
    {"behaviour": "html"},
    {"behaviour": "empty"},
    {"behaviour": "null_content"},
    {"behaviour": "invalid_utf8"},
    {"behaviour": "wrong_types"},
    {"behaviour": "loading"},
    {"behaviour": "redirect"},
    {"behaviour": "status", "code": 400},
    {"behaviour": "status", "code": 500},
    {"behaviour": "status", "code": 502},
    {"behaviour": "status", "code": 429, "headers": {"retry-after": "1"}},
    {"behaviour": "status", "code": 429, "headers": {"retry-after": None, "retry-after-ms": "30"}},
]
ROWS: dict[str, dict[str, Any]] = {
    "all well": {"groq": PLENTY},
    "Groq hangs": {"groq": {"behaviour": "hang"}},
    "Groq 429": {"groq": {"behaviour": "status", "code": 429}},
    "both hang": {"groq": {"behaviour": "hang"}, "ollama": {"behaviour": "hang"}},
    "both flap": {},
}


class Tally:
    """What clients got: seconds and body of every answer, and how often they were refused, by status and type."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.bodies: list[dict[str, Any]] = []
        self.refused: Counter[tuple[int, str]] = Counter()

    def milliseconds(self, percent: float) -> float:
        """The time within which so many percent of the answers came."""
        ordered = sorted(self.seconds)
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] * 1000

    def share(self, source: str) -> float:
        """In percent of the answers."""
        return sum(body["source"] == source for body in self.bodies) * 100 / len(self.bodies)

    def row(self) -> list[float]:
        """Times in ms, shares in percent."""
        times = [self.milliseconds(percent) for percent in (50, 95, 100)]
        return [*times, *(self.share(source) for source in (*MODELS, "database")), self.refused.total()]


HEADER = ["providers", "p50 ms", "p95 ms", "p100 ms", "groq %", "ollama %", "table %", "not 200"]


async def ask_all(url: str, asks: int, tally: Tally, *, pause_seconds: float = 0, again: bool = False) -> None:
    """So many asks, 32 at once; `again`: who is told 503 asks again later, as often as need be."""
    numbers = iter(range(asks))
    async with ClientBuilder().base_url(f"{url}/").no_proxy().timeout(timedelta(seconds=60)).build() as client:

        async def ask_on() -> None:
            for number in numbers:
                content = {"question": f"¿Qué me espera en el año {number}?"}
                while True:
                    started_at = time.monotonic()
                    response = await client.post("ouija/ask").body_json(content).build().send()
                    body = await response.json()
                    if response.status == 200:
                        tally.seconds.append(time.monotonic() - started_at)
                        tally.bodies.append(body)
                        break
                    tally.refused[response.status, body["type"]] += 1
                    if response.status != 503 or not again:
                        break
                    await asyncio.sleep(0.5)
                await asyncio.sleep(pause_seconds)

        await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))


@asynccontextmanager
async def flapping(stubs: StubProviders, chance: random.Random) -> AsyncIterator[Counter[str]]:
    """Both providers change between well and one fault or another, every 0.1 to 1 s; counts what they did."""
    moods: Counter[str] = Counter()

    async def flap() -> None:
        while True:
            provider = chance.choice(MODELS)
            mood = chance.choice(ANSWERS if chance.random() < 0.5 else FAULTS)
            moods[f"{provider} {mood['behaviour']}"] += 1
            await asyncio.sleep(chance.uniform(0.1, 1))
            await asyncio.to_thread(stubs.behave, provider, **mood)

    task = asyncio.create_task(flap())
    try:
        yield moods
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def main() -> int:
    asks = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    table = Table("faults", f"While the providers fail: {asks} asks, {AT_ONCE} at once", HEADER)
    with StubProviders(latency_ms=20) as stubs:
        for name, behaviours in ROWS.items():
            stubs.reset()
            for provider, behaviour in behaviours.items():
                stubs.behave(provider, **behaviour)
            tally = Tally()
            with tempfile.TemporaryDirectory() as folder:
                variables = providers(stubs.groq_url, stubs.ollama_url)
                with RunningService(Path(folder), **variables) as service:
                    if name == "both flap":
                        async with flapping(stubs, random.Random(1)):
                            await ask_all(service.url, asks, tally, pause_seconds=8)
                    else:
                        await ask_all(service.url, asks, tally)
            table.add(name, *tally.row())
    table.keep()
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
