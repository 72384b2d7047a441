"""Connects what happens to what is shown of it."""

import time
from collections.abc import Sequence

from ouija_es.fallback.tier import Tier
from ouija_es.projections.projector import Projector
from ouija_es.resources.exposition import FoldedMetrics
from ouija_es.sealing import Sealer
from ouija_es.shedding import Shedding
from ouija_es.store.ledger import LogRow
from ouija_es.store.recorder import GroupCommit
from ouija_es.telemetry.instruments import Instruments
from ouija_es.telemetry.tracing import Tracer


class Commits:
    """Told of every commit: the projector folds it, the instruments time it, the sealer counts it."""

    def __init__(self, projector: Projector, instruments: Instruments, sealer: Sealer, tracer: Tracer | None) -> None:
        self._projector = projector
        self._instruments = instruments
        self._sealer = sealer
        self._tracer = tracer

    def committed(self, rows: Sequence[LogRow], seconds: float) -> None:
        """These rows are in the log."""
        if rows:
            self._instruments.commit_seconds.observe(seconds)
            started_at = time.perf_counter()
            if self._tracer is None:
                self._projector.feed(rows)
            else:
                with self._tracer.projecting(len(rows), rows[-1].position):
                    self._projector.feed(rows)
            self._instruments.projection_seconds.observe(time.perf_counter() - started_at)
            self._sealer.look()

    def failed(self, reason: str) -> None:
        """Somebody's rows were not recorded."""
        self._instruments.store_failed(reason)


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
