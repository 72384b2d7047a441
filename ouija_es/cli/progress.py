"""How far a long command has come, for whoever watches it at a terminal."""

import sys
import time
from collections.abc import Callable


def progress(total: int, unit: str) -> Callable[[int], None]:
    """Rewrites one line of stderr with each call; at `total` it is cleared. Without a terminal nothing is written."""
    started_at = time.monotonic()

    def show(done: int) -> None:
        if sys.stderr.isatty():
            a_second = done / max(0.001, time.monotonic() - started_at)
            line = f"\r{done:,} of {total:,} {unit} ({100 * done // max(1, total)} %), {a_second:,.0f} a second"
            sys.stderr.write(line if done < total else "\r\x1b[K")
            sys.stderr.flush()

    return show
