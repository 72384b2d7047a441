"""The service with a probe on its event loop: `python -m loadtests.probed_service FILE`.

The probe sleeps for 5 ms, again and again, and notes how much later it woke: so long something kept the loop. At the
end, and every second until then, the latenesses go to FILE, in ms, one a line.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

from ouija_es.cli import main as command_line

EVERY_SECONDS = 0.005

FILE = Path(sys.argv[1])
_startup = uvicorn.Server.startup


async def startup(self: uvicorn.Server, sockets: Any = None) -> None:
    await _startup(self, sockets)
    self.probe = asyncio.create_task(probe(FILE))  # type: ignore[attr-defined]


async def probe(file: Path) -> None:
    late: list[float] = []
    written_at = time.monotonic()
    while True:
        asleep_at = time.perf_counter()
        await asyncio.sleep(EVERY_SECONDS)
        late.append((time.perf_counter() - asleep_at - EVERY_SECONDS) * 1000)
        if time.monotonic() - written_at > 1:
            with file.open("a") as out:
                out.writelines(f"{ms:.3f}\n" for ms in late)
            late, written_at = [], time.monotonic()


def main() -> int:
    uvicorn.Server.startup = startup  # type: ignore[method-assign]
    sys.argv = ["ouija-es", "serve"]
    return command_line()


if __name__ == "__main__":
    raise SystemExit(main())
