"""What the benchmarks have in common: a service on a core of its own before stub providers, and who answers it.

FULL=1 in the environment measures longer and with the big logs.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from loadtests.closed_loop import Measured, drive
from loadtests.connection import Target
from loadtests.process import pin
from loadtests.scenarios import PLENTY
from tests.service import ROOT, RunningService, providers
from tests.stubs import StubProviders

FULL = os.environ.get("FULL") == "1"
QUESTIONS = [
    {"question": "¿Encontraré el amor este año?", "personality": "wise", "language": "es"},
    {"question": "Will I get the job I applied for?", "personality": "cryptic", "language": "en"},
    {"question": "¿Debo mudarme a otra ciudad?", "personality": "dark", "language": "es"},
    {"question": "Is somebody thinking of me tonight?", "personality": "playful", "language": "en"},
]
UNLIMITED = {"LOG_FORMAT": "json", "GROQ_CONCURRENCY": "1000", "OLLAMA_CONCURRENCY": "1000"}
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
"""The first is for what is measured, the others for what drives it; the same one if there is only one."""
RUNTIME = ROOT / ".venv/bin/python"
"""What `make serve` runs. Where development tools are installed, the service imports some and takes more memory."""
SOURCES = ("groq", "ollama", "database")


class Service(RunningService):
    """In the runtime's environment, if it was made."""

    python = str(RUNTIME) if RUNTIME.exists() else sys.executable
    program = (python, "-m", "ouija_es", "serve")


def ready() -> None:
    """This process, and whatever it starts, leaves the first core alone. Ends the program where /proc is missing."""
    if not Path("/proc/self/task").exists():
        print("the benchmarks read /proc: Linux only")
        raise SystemExit(0)
    os.sched_setaffinity(0, CORES[1:] or CORES)
    if not RUNTIME.exists():
        print("no .venv: the service runs with the development tools beside it (make runtime)")
    # As after a user's first start, also where this shell forbids Python to write it.
    subprocess.run([Service.python, "-m", "compileall", "-qq", "ouija_es", "seeds"], cwd=ROOT, check=False)  # noqa: S603
    print(f"{len(CORES)} cores, load {os.getloadavg()[0]:.1f}", flush=True)


@contextmanager
def serving(
    stubs: StubProviders,
    source: str,
    *,
    folder: Path | None = None,
    kind: type[RunningService] = Service,
    **variables: str,
) -> Iterator[RunningService]:
    """A service that this source answers: a Groq that is not there is skipped, a database tier asks nobody."""
    stubs.reset()
    stubs.behave("groq", **PLENTY)
    settings = {} if source == "database" else providers(stubs.groq_url, stubs.ollama_url)
    if source == "ollama":
        del settings["GROQ_API_KEY"]
    settings |= UNLIMITED | variables
    with tempfile.TemporaryDirectory() as new, kind(folder or Path(new), **settings) as service:
        pin(service.process.pid, [CORES[0]])
        yield service


def asks(url: str, *, stream: bool = False) -> list[bytes]:
    headers = {"accept": "text/event-stream"} if stream else {}
    return [Target(url).post("/ouija/ask", question, headers) for question in QUESTIONS]


def ask_on(service: RunningService, in_flight: int, seconds: float, *, stream: bool = False) -> Measured:
    """So many asks always in flight."""
    return uvloop.run(drive(service.url, asks(service.url, stream=stream), in_flight, seconds))


def get_on(service: RunningService, path: str, in_flight: int, seconds: float, **headers: str) -> Measured:
    """So many GETs always in flight."""
    return uvloop.run(drive(service.url, [Target(service.url).get(path, headers)], in_flight, seconds))


def told(measured: Measured, source: str) -> str:
    """What else there is to say of a row: asks that failed, or were answered by another source."""
    failed = measured.failed.total()
    other = measured.sources.total() - measured.sources[source]
    return " ".join([f"{failed} failed"] * bool(failed) + [f"{other} by others"] * bool(other)) or "-"
