"""Asks a second, and what one costs: the real service, everything on, durable, before instant stub providers.

`python -m loadtests.bench_asks [SECONDS]`. One process of the service on one core; this program and the stub providers
share the others. Each source plain and streamed, 1 to 256 in flight; on a fresh log each source.
"""

import sys

from loadtests.benched import FULL, SOURCES, ask_on, ready, serving, told
from loadtests.process import cpu_seconds
from loadtests.results import Table
from tests.service import RunningService
from tests.stubs import StubProviders

IN_FLIGHT = (1, 16, 64, 256)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10 if FULL else 2
    ready()
    header = ["source", "reply", "in flight", "asks/s", "CPU µs/ask", "p50 ms", "p99 ms", "longest ms", "not so"]
    table = Table("asks", f"Asks, {seconds:g} s a row", header)
    with StubProviders() as stubs:
        for source in SOURCES:
            with serving(stubs, source) as service:
                ask_on(service, 16, 1)  # connections, caches, files
                for stream in (False, True):
                    for in_flight in IN_FLIGHT:
                        row(table, service, source, in_flight, seconds, stream=stream)
    table.keep()
    return 0


def row(table: Table, service: RunningService, source: str, in_flight: int, seconds: float, *, stream: bool) -> None:
    before = cpu_seconds(service.process.pid)
    measured = ask_on(service, in_flight, seconds, stream=stream)
    cpu = (cpu_seconds(service.process.pid) - before) / max(1, len(measured.latencies)) * 1e6
    times = [measured.latencies.ms(percent) for percent in (50, 99, 100)]
    reply = "streamed" if stream else "plain"
    table.add(source, reply, in_flight, round(measured.per_second), round(cpu), *times, told(measured, source))


if __name__ == "__main__":
    raise SystemExit(main())
