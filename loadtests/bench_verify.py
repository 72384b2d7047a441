"""How fast a log is checked, and in how much memory: `python -m loadtests.bench_verify [--database FILE]`."""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadtests.make_log import make_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--database", type=Path, help="an earlier one, instead of a new one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.database or Path(folder) / "ouija.db"
        if options.database is None:
            make_log(database, options.events)
        command = [sys.executable, "-m", "ouija_es", "audit", "verify", str(database)]
        started_at = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this program
        wall = time.monotonic() - started_at
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    events = int(done.stdout.split()[1])
    print(f"{events} events: {wall:.1f} s ({events / wall:.0f}/s), {processor:.1f} s of a processor")
    print(f"({events / processor:.0f}/s), peak memory {used.ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
