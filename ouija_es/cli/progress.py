"""How far a long command has come, for whoever watches it at a terminal."""

import sys
from collections.abc import Callable


def progress(total: int, unit: str) -> Callable[[int], None]:
    """Rewrites one line of stderr with each call; at `total` it is cleared. Without a terminal nothing is written."""

    def show(done: int) -> None:
        if sys.stderr.isatty():
            line = f"\r{done:,} of {total:,} {unit}, {100 * done // max(1, total)} %"
            sys.stderr.write(line if done < total else "\r\x1b[K")
            sys.stderr.flush()

    return show
