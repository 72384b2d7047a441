"""The service beside other gateways: same stubs, same run, one core each. `make bench-peers`.

`python -m loadtests.peers [SECONDS [ROUNDS]]`. The service records every ask durably and seals it, the gateways record
nothing. All are up at once and asked in turn; figures are medians over the rounds. On fallback the first upstream
answers 500 to every call; what would leave it alone (the service's breaker, LiteLLM's cooldown) is off. In the same run
what the service stands on is asked step by step: so much would be left if the service itself cost nothing.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from loadtests.benched import CORES, FULL, UNLIMITED, Service, asks, ready
from loadtests.closed_loop import Measured, drive
from loadtests.connection import Target
from loadtests.gateways import GATEWAYS, MODEL, STEPS, Gateway, messages, running
from loadtests.process import family_cpu_seconds, family_memory_mb, pin
from loadtests.results import Table
from loadtests.scenarios import PLENTY
from tests.service import providers
from tests.stubs import StubProviders

OURS = "ouija_es"
BARE = "the stub itself"


@dataclass
class Contender:
    """Who is asked, and what came of it, round by round."""

    name: str
    pid: int | None
    url: str
    requests: list[bytes]
    start_seconds: float = float("nan")
    idle_mb: float = float("nan")
    healthy: list[float] = field(default_factory=list)
    fallback: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    single_ms: list[float] = field(default_factory=list)
    failed: int = 0

    def ask(self, in_flight: int, seconds: float) -> Measured:
        measured = uvloop.run(drive(self.url, self.requests, in_flight, seconds))
        self.failed += measured.failed.total()
        return measured

    def cpu_seconds(self) -> float:
        return family_cpu_seconds(self.pid) if self.pid else 0.0


@contextmanager
def contenders(first: StubProviders, second: StubProviders) -> Iterator[tuple[list[Contender], list[Contender]]]:
    """The gateways with the service, and the steps, all started; who is not installed is said to be missing."""
    with ExitStack() as started:
        bare = Target(first.url).post(
            "/openai/v1/chat/completions",
            {"model": MODEL, "messages": messages("?")},
            {"authorization": "Bearer gsk_x"},
        )
        ours = started.enter_context(service(first, second))
        entries = [Contender(BARE, None, first.url, [bare]), ours, *started_of(GATEWAYS, started, first, second)]
        steps = started_of(STEPS, started, first, second)
        time.sleep(2)
        for it in entries:
            it.idle_mb = family_memory_mb(it.pid) if it.pid else float("nan")
        yield entries, steps


def started_of(
    gateways: Sequence[Gateway], started: ExitStack, first: StubProviders, second: StubProviders
) -> list[Contender]:
    found = []
    for gateway in gateways:
        if not gateway.program.exists():
            print(f"{gateway.name} is not installed: bash scripts/install-gateways.sh", flush=True)
            continue
        print(f"starting {gateway.name} ...", flush=True)
        try:
            up = started.enter_context(running(gateway, first.groq_url, second.groq_url))
        except (RuntimeError, OSError) as error:
            print(error, flush=True)
            continue
        found.append(Contender(gateway.name, up.process.pid, up.url, up.requests, up.start_seconds))
    return found


@contextmanager
def service(first: StubProviders, second: StubProviders) -> Iterator[Contender]:
    settings = providers(first.groq_url, second.ollama_url) | UNLIMITED
    settings |= {"GROQ_MAX_ATTEMPTS": "1", "BREAKER_FAILURES": "1000000"}
    with tempfile.TemporaryDirectory() as folder:
        began_at = time.monotonic()
        with Service(Path(folder), **settings) as up:
            took = time.monotonic() - began_at
            pin(up.process.pid, CORES[:1])
            yield Contender(OURS, up.process.pid, up.url, asks(up.url), took)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8 if FULL else 3
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5 if FULL else 3
    ready()
    with StubProviders() as first, StubProviders() as second, contenders(first, second) as (entries, steps):
        first.behave("groq", **PLENTY)
        for it in entries + steps:
            it.ask(16, 2)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            first.behave("groq", **PLENTY)
            for it in entries + steps:
                before = it.cpu_seconds()
                measured = it.ask(64, seconds)
                it.healthy.append(measured.per_second)
                it.cpu_ms.append((it.cpu_seconds() - before) * 1000 / max(1, len(measured.latencies)))
                it.single_ms.append(it.ask(1, seconds / 2).latencies.ms(50))
            first.behave("groq", "status", code=500)
            for it in entries[1:]:
                it.fallback.append(it.ask(64, seconds).per_second)
        table_of(entries)
        ladder_of(steps, entries)
    return 0


def table_of(all_of_them: list[Contender]) -> None:
    bare, ours = all_of_them[:2]
    header = ["", "asks/s at 64", "on fallback", "CPU ms/ask", "added p50 ms at 1", "idle MB", "start s", "failed"]
    table = Table("peers", "Beside other gateways", header)
    for it in all_of_them:
        figures = [statistics.median(it.healthy), statistics.median(it.fallback or [float("nan")])]
        cpu = statistics.median(it.cpu_ms) if it.pid else float("nan")
        figures += [cpu, added_ms(it, bare), it.idle_mb, it.start_seconds]
        table.add(it.name, *map(dashed, figures), it.failed)
    table.keep()
    ratios = Table("peer_ratios", f"{OURS} against each", ["", "healthy", "on fallback", "by processor time"])
    for it in all_of_them[2:]:
        by_cpu = statistics.median(it.cpu_ms) / statistics.median(ours.cpu_ms)
        ratios.add(it.name, times(ours.healthy, it.healthy), times(ours.fallback, it.fallback), f"{by_cpu:.2f} ×")
    ratios.note("by processor time: how many asks a second of it answers, which a busy machine blurs least")
    ratios.keep()


def ladder_of(steps: list[Contender], entries: list[Contender]) -> None:
    """What the service stands on, then the service, each against the gateways."""
    bare, ours, *gateways = entries
    header = ["", "asks/s at 64", "CPU ms/ask", "added p50 ms at 1", *(f"of {it.name}" for it in gateways)]
    table = Table("ladder", "What an ask stands on, and the ask", header)
    for it in [*steps, ours]:
        name = "everything: ouija_es" if it is ours else it.name
        figures = [statistics.median(it.healthy), statistics.median(it.cpu_ms), added_ms(it, bare)]
        table.add(name, *figures, *(times(it.healthy, gateway.healthy) for gateway in gateways))
    table.keep()


def added_ms(it: Contender, bare: Contender) -> float:
    """Over asking the stub itself, one at a time."""
    return statistics.median(it.single_ms) - statistics.median(bare.single_ms)


def times(own: list[float], others: list[float]) -> str:
    """How many times another's rate, round by round."""
    ratio = statistics.median(one / other for one, other in zip(own, others, strict=True) if other)
    return f"{ratio:.2f} ×"


def dashed(value: float) -> float | str:
    return value if value == value else "–"  # noqa: PLR0124 - NaN


if __name__ == "__main__":
    raise SystemExit(main())
