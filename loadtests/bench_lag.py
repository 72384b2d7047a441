"""How long the event loop is kept from everybody else, at rest and with 64 asks in flight.

`python -m loadtests.bench_lag [SECONDS]`. See loadtests/probed_service.py. On a busy machine other programs keep the
loop as well: the row at rest shows how much of it is theirs.
"""

import sys
import tempfile
import time
from pathlib import Path

from loadtests.benched import FULL, Service, ask_on, ready, serving
from loadtests.latencies import Latencies
from loadtests.results import Table
from tests.stubs import StubProviders


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30 if FULL else 5
    ready()
    header = ["source", "in flight", "probes", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "over 20 ms"]
    table = Table("lag", f"Lateness of the event loop, {seconds:g} s a row", header)
    with StubProviders() as stubs, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lateness"

        class Probed(Service):
            program = (Service.python, "-m", "loadtests.probed_service", str(file))

        for source, stream in (("groq", False), ("groq", True), ("database", False)):
            with serving(stubs, source, kind=Probed) as service:
                ask_on(service, 16, 1, stream=stream)
                for in_flight in (0, 64) if source == "groq" and not stream else (64,):
                    time.sleep(1.1)
                    seen = len(file.read_text().splitlines())
                    if in_flight:
                        ask_on(service, in_flight, seconds, stream=stream)
                    else:
                        time.sleep(seconds)
                    late = Latencies()
                    for ms in file.read_text().splitlines()[seen:]:
                        late.add(float(ms) / 1000)
                    name = f"{source}, streamed" if stream else source
                    times = [late.ms(percent) for percent in (50, 99, 99.9, 100)]
                    table.add(name, in_flight, len(late), *times, f"{late.share_over(20):.2%}")
            file.unlink()
    table.keep()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
