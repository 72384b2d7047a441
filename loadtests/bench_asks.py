"""Asks a second of the real service with `wrk`, before an instant stub provider: everything on, durable.

`python -m loadtests.bench_asks [SECONDS]`. One process of the service, on one core if there are two; wrk and the stub
share the other. Prints, for each source and 1 and 64 in flight: asks/s, events/s, the service's CPU µs an ask, latency.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.service import RunningService, providers
from tests.stubs import StubProviders

LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"question": "¿Encontraré el amor este año?", "personality": "wise", "language": "es"}'
local failed = 0
response = function(status) if status ~= 200 then failed = failed + 1 end end
"""
EVENTS_PER_ASK = {"groq": 4, "ollama": 6, "database": 6}


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk)")
        return 0
    spare = sorted(os.sched_getaffinity(0))
    print(f"{len(spare)} cores, load {os.getloadavg()[0]:.1f}, {seconds} s a row")
    print("source    in flight   asks/s  events/s  CPU µs/ask   p50 ms   p99 ms   not 200")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, StubProviders() as stubs:
        script.write(LUA)
        script.flush()
        for source in ("groq", "ollama", "database"):
            stubs.reset()
            if source == "ollama":
                stubs.behave("groq", "status", code=400)
            variables = {} if source == "database" else providers(stubs.groq_url, stubs.ollama_url)
            variables |= {"LOG_FORMAT": "json", "GROQ_CONCURRENCY": "1000", "OLLAMA_CONCURRENCY": "1000"}
            for in_flight in (1, 64):
                with tempfile.TemporaryDirectory() as folder, RunningService(Path(folder), **variables) as service:
                    os.sched_setaffinity(service.process.pid, spare[:1])
                    row(service, source, in_flight, seconds, script.name, spare[1:] or spare)
    return 0


def row(service: RunningService, source: str, in_flight: int, seconds: int, script: str, cores: list[int]) -> None:
    command = ["taskset", "-c", ",".join(map(str, cores)), "wrk", "-t1", f"-c{in_flight}", "--latency", "-s", script]
    warm_up = [*command, "-d1s", f"{service.url}/ouija/ask"]
    subprocess.run(warm_up, check=True, capture_output=True)  # noqa: S603 - the tool that was looked up
    before, started_at = cpu_seconds(service.process.pid), time.monotonic()
    measured = [*command, f"-d{seconds}s", f"{service.url}/ouija/ask"]
    out = subprocess.run(measured, check=True, capture_output=True, text=True).stdout  # noqa: S603
    cpu, wall = cpu_seconds(service.process.pid) - before, time.monotonic() - started_at
    asks = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    p50, p99 = (re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", out) for percentile in (50, 99))
    print(
        f"{source:9} {in_flight:9} {asks / wall:8.0f} {asks / wall * EVENTS_PER_ASK[source]:9.0f} "
        f"{cpu / asks * 1e6:11.0f} {milliseconds(p50):8.2f} {milliseconds(p99):8.2f} {failed[1] if failed else 0:>9}",
        flush=True,
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(match: re.Match[str] | None) -> float:
    if match is None:
        return float("nan")
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]]


if __name__ == "__main__":
    raise SystemExit(main())
