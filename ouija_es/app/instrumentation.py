"""Connects what happens to what is shown of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ouija_es.fallback.tier import Tier
from ouija_es.projections.projector import Projector, Watch
from ouija_es.resources.exposition import FoldedMetrics
from ouija_es.sealing import Sealer
from ouija_es.shedding import Shedding
from ouija_es.store.ledger import LogRow
from ouija_es.store.recorder import GroupCommit
from ouija_es.telemetry.instruments import Instruments
from ouija_es.telemetry.tracing import Tracer


class Commits:
    """Told of every commit: the projector is fed with it, the instruments time it, the sealer looks at it."""

    def __init__(self, projector: Projector, instruments: Instruments, sealer: Sealer) -> None:
        self._projector = projector
        self._instruments = instruments
        self._sealer = sealer

    def committed(self, rows: Sequence[LogRow], seconds: float) -> None:
        """These rows are in the log."""
        if rows:
            self._instruments.commit_seconds.observe(seconds)
            self._projector.feed(rows)
            self._sealer.look(rows[-1].position)

    def failed(self, reason: str) -> None:
        """Somebody's rows were not recorded."""
        self._instruments.store_failed(reason)


def watch_of(instruments: Instruments, tracer: Tracer | None) -> Watch:
    """What looks on while the projector folds."""

    @contextmanager
    def watch(events: int, position: int) -> Iterator[None]:
        with instruments.projection_seconds.time(), tracer.projecting(events, position) if tracer else nullcontext():
            yield

    return watch


def instrument(
    instruments: Instruments,
    projector: Projector,
    recorder: GroupCommit,
    shedding: Shedding,
    tiers: Sequence[Tier],
) -> None:
    """Registers what is read at a scrape."""
    instruments.registry.register(FoldedMetrics(projector, tiers, shedding))
    instruments.gauge("ouija_store_queue_depth", "Events that wait for a commit.", lambda: recorder.queue_depth)
    instruments.gauge("ouija_event_loop_lag_seconds", "How late the loop is.", lambda: max(0.0, shedding.lag_seconds))
