"""Latency at half the rate that saturates the service, asked whether or not earlier asks are answered.

`python -m loadtests.bench_rate [SECONDS]`. Stalls of the disk are told apart: how many commits took longer than 50 ms.
"""

import sys

import uvloop
from prometheus_client.parser import text_string_to_metric_families

from loadtests.benched import FULL, ask_on, ready, serving
from loadtests.open_loop import ask_at
from loadtests.results import Table
from tests.service import RunningService
from tests.stubs import StubProviders


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60 if FULL else 8
    ready()
    table = Table(
        "rate",
        f"At a fixed rate for {seconds:g} s, Groq's stub answers at once",
        ["of saturation", "asks/s", "p50 ms", "p95 ms", "p99 ms", "p99.9 ms", "longest ms", "slow commits", "sender"],
    )
    with StubProviders() as stubs, serving(stubs, "groq") as service:
        ask_on(service, 16, 1)
        saturation = ask_on(service, 64, 3).per_second
        for share in (0.25, 0.5, 0.75):
            before = slow_commits(service)
            opened = uvloop.run(ask_at(service.url, saturation * share, seconds))
            slow, commits = (now - then for now, then in zip(slow_commits(service), before, strict=True))
            times = [opened.latencies.ms(percent) for percent in (50, 95, 99, 99.9, 100)]
            sender = "was late itself" if opened.saturated else "kept up"
            table.add(f"{share:.0%}", round(saturation * share), *times, f"{slow} of {commits}", sender)
            if opened.missed or opened.failed:
                table.note(f"{opened.missed} asks missed, {opened.failed.total()} failed at {share:.0%}")
    table.note(f"saturation, 64 in flight: {saturation:.0f} asks/s")
    table.keep()
    return 0


def slow_commits(service: RunningService) -> tuple[int, int]:
    """Commits that took longer than 50 ms, and all."""
    counted: dict[str, float] = {}
    for family in text_string_to_metric_families(service.client.get("/metrics").text):
        if family.name == "ouija_store_commit_seconds":
            counted |= {sample.labels["le"]: sample.value for sample in family.samples if "le" in sample.labels}
    return int(counted["+Inf"] - counted["0.05"]), int(counted["+Inf"])


if __name__ == "__main__":
    raise SystemExit(main())
