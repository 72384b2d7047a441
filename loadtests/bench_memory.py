"""How soon the service is there on one core, and the memory it takes: at rest, and with 64 in flight for a while.

`python -m loadtests.bench_memory [SECONDS]`. The trend is that of the second half: what grows without end shows there.
"""

import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

from loadtests.benched import CORES, FULL, Service, ask_on, ready, serving
from loadtests.process import cpu_seconds, memory_mb
from loadtests.results import Table
from tests.stubs import StubProviders

STARTS = 5


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600 if FULL else 20
    ready()
    starts()
    table = Table("memory", "Memory", ["when", "MB", "trend MB/min"])
    with StubProviders() as stubs, serving(stubs, "groq") as service:
        pid = service.process.pid
        time.sleep(1)
        table.add("at rest, never asked", memory_mb(pid), "-")
        samples: list[tuple[float, float]] = []
        asking = Thread(target=ask_on, args=[service, 64, seconds])
        asking.start()
        started_at = time.monotonic()
        while asking.is_alive():
            samples.append((time.monotonic() - started_at, memory_mb(pid)))
            time.sleep(0.25)
        table.add(f"64 in flight, most in {seconds:g} s", max(mb for _, mb in samples), trend(samples))
        time.sleep(1)
        table.add("at rest afterwards", memory_mb(pid), "-")
    table.keep()
    return 0


def starts() -> None:
    """From `exec` to the first 200 of /health/ready, everything on the first core; a new data folder, then again."""
    table = Table("start", f"Start, median of {STARTS}", ["data folder", "seconds to ready", "CPU seconds"])
    for kind in ("new", "used"):
        measured = []
        with tempfile.TemporaryDirectory() as used:
            for _ in range(STARTS + (kind == "used")):
                with tempfile.TemporaryDirectory() as new:
                    measured.append(start(Path(used if kind == "used" else new)))
        measured = sorted(measured[kind == "used" :])
        table.add(kind, *measured[len(measured) // 2])
    table.keep()


def start(folder: Path) -> tuple[float, float]:

    class OnOneCore(Service):
        program = ("taskset", "-c", str(CORES[0]), *Service.program)

    began_at = time.monotonic()
    with OnOneCore(folder) as service:
        seconds, cpu = time.monotonic() - began_at, cpu_seconds(service.process.pid)
    return seconds, cpu


def trend(samples: list[tuple[float, float]]) -> float:
    """MB a minute over the second half, by least squares."""
    half = samples[len(samples) // 2 :]
    mean_at = sum(at for at, _ in half) / len(half)
    mean_mb = sum(mb for _, mb in half) / len(half)
    spread = sum((at - mean_at) ** 2 for at, _ in half)
    return sum((at - mean_at) * (mb - mean_mb) for at, mb in half) / spread * 60 if spread else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
