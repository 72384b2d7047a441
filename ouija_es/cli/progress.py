"""How far a long command has come, for whoever watches it at a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for as long as the block runs; nothing without a terminal. To be called with the events done.

    `total` is None if nobody knows it.
    """
    from tqdm import tqdm  # type: ignore[import-untyped] # it brings no types

    with tqdm(total=total, unit=" events", unit_scale=True, leave=False, disable=None) as bar:
        yield lambda done: bar.update(done - bar.n)
