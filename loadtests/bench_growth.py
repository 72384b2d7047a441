"""What a long log costs: `python -m loadtests.bench_growth [EVENTS ...]`, by default an empty one and 100,000 events.

FULL=1 adds a million. The first start on a log without views folds it once; from then on a start reads the views.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from loadtests.benched import FULL, ask_on, get_on, ready, serving
from loadtests.make_log import make_log
from loadtests.process import memory_mb
from loadtests.results import Table
from tests.service import RunningService
from tests.stubs import StubProviders


def main() -> int:
    sizes = [int(size) for size in sys.argv[1:]] or [0, 100_000, *([1_000_000] if FULL else [])]
    seconds = 10 if FULL else 4
    ready()
    header = ["events", "first start s", "start s", "asks/s at 64", "p50 ms at 1", "/metrics p99", "/dashboard p99"]
    table = Table("growth", "A growing log", [*header, "MB", "file MB"])
    with StubProviders() as stubs:
        for size in sizes:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                if size:
                    print(f"writing {size:,} events ...", flush=True)
                    make_log(folder / "ouija.db", size)
                first = start_seconds(stubs, folder)
                start = start_seconds(stubs, folder)
                with serving(stubs, "groq", folder=folder) as service:
                    row(table, service, size, first, start, seconds)
    table.note("/metrics and /dashboard one after the other, times in ms, while 4 asks are in flight")
    table.keep()
    return 0


def start_seconds(stubs: StubProviders, folder: Path) -> float:
    """Until it is ready: everything in the log is in the views."""
    began_at = time.monotonic()
    with serving(stubs, "groq", folder=folder) as service:
        while service.client.get("/dashboard").json()["eventStore"]["lag"]:
            time.sleep(0.05)
        return time.monotonic() - began_at


def row(table: Table, service: RunningService, size: int, first: float, start: float, seconds: float) -> None:
    ask_on(service, 16, 1)
    many = ask_on(service, 64, seconds).per_second
    single = ask_on(service, 1, seconds / 2).latencies.ms(50)
    with asking(service, seconds * 2):
        pages = [get_on(service, path, 1, seconds / 2).latencies.ms(99) for path in ("/metrics", "/dashboard")]
    memory = memory_mb(service.process.pid)
    table.add(size, first, start, round(many), single, *pages, memory, service.database.stat().st_size / 1e6)


@contextmanager
def asking(service: RunningService, seconds: float) -> Iterator[None]:
    """Four asks are in flight meanwhile."""
    thread = Thread(target=ask_on, args=[service, 4, seconds])
    thread.start()
    yield
    thread.join()


if __name__ == "__main__":
    raise SystemExit(main())
