"""Where the time of one ask goes: py-spy looks at the real service with 64 asks in flight before an instant Groq stub.

`python -m loadtests.bench_profile [SECONDS]`. A sample counts for the innermost frame that belongs to a part below;
only threads that hold the interpreter's lock are looked at. What runs beside the lock (SQLite's and the disk's work,
the HTTP client's runtime in Rust) shows as processor time of its thread. py-spy needs root where ptrace is restricted.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from threading import Thread

from loadtests.benched import FULL, ask_on, ready, serving
from loadtests.closed_loop import Measured
from loadtests.process import thread_seconds
from loadtests.results import Table
from tests.stubs import StubProviders

SAMPLES_A_SECOND = 250
PARTS = {
    "timeouts": r"\basyncio/timeouts\.py",
    "log line": r"\bstructlog/|ouija_es/telemetry/(account|logs)\.py",
    "HTTP metrics": r"\bprometheus_client/|resources/http_metrics\.py",
    "fold into the views": r"ouija_es/projections/|ouija_es/app/instrumentation\.py",
    "hash chain": r"ouija_es/store/ledger\.py",
    "rows into SQLite": r"ouija_es/store/(sqlite|writer)\.py|\beventsourcing/",
    "seal and encode": r"ouija_es/store/(vault|mapper)\.py|ouija_es/(entropy|ids)\.py",
    "group commit": r"ouija_es/store/(recorder|journal)\.py",
    "session": r"ouija_es/store/sessions\.py",
    "provider call": r"ouija_es/providers/",
    "which tier, for how long": r"ouija_es/fallback/",
    "category and safety": r"ouija_es/domain/(categories|lexicon|safety)\.py",
    "prompt": r"ouija_es/domain/persona\.py",
    "validation": r"\bpydantic",
    "ask, in and out": r"ouija_es/resources/(ask|bodies|sse|languages|client|client_limit)\.py",
    "the question's life": r"ouija_es/(seance|idempotency|recovery|shedding)\.py",
    "headers, traces, connection": r"ouija_es/resources/(envelope|connection|problem|tokens)\.py",
    "Falcon": r"\bfalcon/",
    "uvicorn": r"\buvicorn/",
    "event loop": r"\basyncio/|\buvloop/",
}


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30 if FULL else 12
    ready()
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        print("py-spy is not installed")
        return 1
    with StubProviders() as stubs, tempfile.TemporaryDirectory() as name:
        with serving(stubs, "groq") as service:
            pid = service.process.pid
            ask_on(service, 64, 2)
            before, asked = thread_seconds(pid), ask_on(service, 64, seconds / 2)
            threads(before, thread_seconds(pid), asked)
            asking = Thread(target=ask_on, args=[service, 64, seconds + 2])
            asking.start()
            stacks = Path(name) / "stacks"
            command = [spy, "record", "--pid", str(pid), "--duration", str(round(seconds)), "--format", "raw", "--gil"]
            command += ["--rate", str(SAMPLES_A_SECOND), "--output", str(stacks)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - py-spy
            asking.join()
        if done.returncode != 0:
            print(f"py-spy could not look at the service:\n{done.stderr}")
            return 1
        parts(stacks.read_text())
    return 0


def threads(before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]], asked: Measured) -> None:
    table = Table("threads", "Processor time of one ask, by thread", ["thread", "CPU µs/ask", "share"])
    spent: Counter[str] = Counter()
    for number, (name, seconds) in after.items():
        role = "event loop" if number == min(after) else "event writer" if name == "python" else name
        spent[role] += seconds - before.get(number, ("", 0.0))[1]
    for role, seconds in spent.most_common():
        if seconds:
            micros = seconds / max(1, len(asked.latencies)) * 1e6
            table.add(role, round(micros), f"{seconds / spent.total():.0%}")
    table.keep()


def parts(stacks: str) -> None:
    table = Table("profile", "Where the interpreter's time goes", ["part", "share", "most of it"])
    found: Counter[str] = Counter()
    places: dict[str, Counter[str]] = {}
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        part, place = part_of(stack.split(";"))
        found[part] += int(count)
        places.setdefault(part, Counter())[place] += int(count)
    for part, count in found.most_common():
        most = ", ".join(f"`{place}`" for place, own in places[part].most_common(3) if own * 4 >= count)
        table.add(part, f"{count / found.total():.1%}", most or "many")
    table.note(f"{found.total()} samples")
    table.keep()


def part_of(frames: list[str]) -> tuple[str, str]:
    """The part whose frame is the innermost, and that frame's function."""
    for frame in reversed(frames):
        for part, pattern in PARTS.items():
            if re.search(pattern, frame):
                return part, frame.partition(" ")[0]
    return "other", frames[-1].partition(" ")[0]


if __name__ == "__main__":
    raise SystemExit(main())
