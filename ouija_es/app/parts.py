"""The parts of the service, and what they live through: start, work, stop."""

import asyncio
import contextlib
import hashlib
import json
import random
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog

import seeds
from ouija_es import __version__
from ouija_es.app.instrumentation import Commits, instrument, watch_of
from ouija_es.app.tiers import build_tiers
from ouija_es.app.tracing import build_tracer
from ouija_es.clock import Clock
from ouija_es.config import Settings
from ouija_es.domain.categories import Classifier
from ouija_es.domain.events import (
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Event,
    PolicyAdopted,
)
from ouija_es.domain.persona import PROMPTS_VERSION
from ouija_es.domain.safety import SafetyScreen
from ouija_es.domain.vocabulary import Language, Provider, Reason
from ouija_es.erasure import Erasure
from ouija_es.errors import RequestError
from ouija_es.fallback.breaker import Change
from ouija_es.fallback.chain import Chain
from ouija_es.fallback.deadline import reserve_seconds
from ouija_es.fallback.warming import Warming
from ouija_es.idempotency import Idempotency
from ouija_es.ids import uuid7
from ouija_es.projections.projector import Projector
from ouija_es.providers.canned import Canned
from ouija_es.providers.groq import Groq
from ouija_es.providers.ollama import Ollama
from ouija_es.readiness import Readiness
from ouija_es.recovery import Recovery
from ouija_es.resources.sse import Streams
from ouija_es.restoring import restore
from ouija_es.retention import Retention
from ouija_es.sealing import Sealer
from ouija_es.seance import Seance
from ouija_es.shedding import Shedding
from ouija_es.store.answers import digest_of, seed_database
from ouija_es.store.chaining import chain_once
from ouija_es.store.instance_stream import InstanceStream
from ouija_es.store.keys import check_vault_key, keyring
from ouija_es.store.log import EventLog
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.seals import LedgerKey
from ouija_es.store.sessions import Sessions
from ouija_es.store.sqlite import DataFolderLock
from ouija_es.store.vault import Vault
from ouija_es.telemetry.instruments import Instruments

START_AGAIN_SECONDS = 10.0
DRAIN_SECONDS = 2.0
PREPARE_PAUSE_SECONDS = 0.1

log = structlog.get_logger()


class Parts:
    """Built once; started after the server listens, stopped when it has drained. Raises StartError."""

    def __init__(self, settings: Settings, readiness: Readiness) -> None:
        path = settings.database_path
        self._lock = DataFolderLock(path)
        self._lock.acquire()
        self.clock = Clock()
        self.readiness = readiness
        if chained := chain_once(path):
            log.info("the log was chained", events=chained)
        written, answers = seed_database(path, seeds.load_answers())
        if written:
            log.info("Seeded %d responses", len(answers))
        category_words = seeds.load_category_words()
        self._classifier = Classifier(category_words)
        self._screen = screen = SafetyScreen(seeds.load_safety_words())
        self.canned = Canned(answers, {language: screen.answer(language) for language in Language})
        instance = uuid7()
        self.tracer = build_tracer(settings, instance)
        ring = keyring(settings)
        check_vault_key(path, ring)
        vault = Vault(ring.vault_key)
        self.event_log = EventLog(path, vault)
        self.recorder = GroupCommit(path)
        self.shedding = Shedding(self.recorder, self.clock)
        ledger_key = LedgerKey(ring.ledger.raw)
        self.ledger_public_key = ledger_key.public
        self.instruments = Instruments()
        self.projector = Projector(path, {ledger_key.public}, watch_of(self.instruments, self.tracer))
        self.sealer = Sealer(self.projector, self.recorder, ledger_key, self.clock, instance)
        self.recorder.listen(Commits(self.projector, self.instruments, self.sealer))
        self.recovery = Recovery(self.event_log, self.recorder, self.clock, instance)
        self._instance_stream = InstanceStream(instance, self.event_log, self.recorder)
        self.streams = Streams()
        self.tiers = build_tiers(settings, self.canned, vault, self.clock, self._breaker_changed)
        instrument(self.instruments, self.projector, self.recorder, self.shedding, self.tiers)
        self._instance = instance
        self._policy = PolicyAdopted(
            at=self.clock.now(),
            instance=instance,
            service_version=__version__,
            deadline_ms=round(settings.answer_deadline_seconds * 1000),
            reserve_ms=round(reserve_seconds(settings.answer_deadline_seconds) * 1000),
            tiers=tuple(tier.policy for tier in self.tiers),
            breaker_failures=settings.breaker_failures,
            breaker_open_ms=round(settings.breaker_open_seconds * 1000),
            prompts_version=PROMPTS_VERSION,
            answers_digest=digest_of(answers),
            categories_digest=hashlib.sha256(json.dumps(category_words).encode()).hexdigest()[:16],
        )
        sessions = Sessions(self.event_log, vault)
        self.erasure = Erasure(self.event_log, self.recorder, sessions, self.clock, instance)
        days = settings.retention_days
        self._retention = Retention(self.event_log, sessions, self.erasure, self.clock, days=days) if days else None
        self.seance = Seance(
            recorder=self.recorder,
            sessions=sessions,
            chain=Chain(self.tiers, clock=self.clock, instance=instance, random=random.random),
            classifier=self._classifier,
            screen=screen,
            idempotency=Idempotency(self.event_log, vault, self.recovery, self.clock),
            recovery=self.recovery,
            clock=self.clock,
            instance=instance,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """ASGI lifespan: the server goes on to listen at once."""
        del scope, event
        self.recorder.start()
        lives = (self.recovery.run(), self.shedding.run(), self.erasure.run(), self.sealer.run())
        for life in (self._start(), *lives):
            self._live(life)

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """ASGI lifespan: requests are finished; what is left is written and closed."""
        del scope, event
        await self.streams.drain()
        await self.recovery.drain()
        await self._instance_stream.drain(DRAIN_SECONDS)
        await self.sealer.finish(DRAIN_SECONDS)
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.recorder.close()
        await self.projector.close()
        await asyncio.to_thread(self.event_log.close)
        for tier in self.tiers:
            if isinstance(tier.provider, Groq | Ollama):
                await tier.provider.close()
        self._lock.release()
        if self.tracer is not None:
            await self.tracer.close()
        log.info("stopped")

    def _live(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(life)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def _start(self) -> None:
        # Not before the server listens: on a tenth of a processor it takes half a second.
        await asyncio.to_thread(self._classifier.prepare)
        while True:
            try:
                await asyncio.to_thread(restore, self.tiers, self.event_log, self.clock)
                abandoned = await self.recovery.start(self._policy)
                await self.projector.start()
            except RequestError as error:
                log.error("the event store cannot be used", kind=error.type)  # noqa: TRY400 - it is tried again
                await asyncio.sleep(START_AGAIN_SECONDS)
                continue
            self.readiness.set_ready()
            log.info("ready", canned_answers=self.canned.total, abandoned=abandoned)
            self._live(self._prepare_screen())
            self._live(self.projector.run())
            self._live(self._instance_stream.run(recorded=1))
            if self._retention is not None:
                self._live(self._retention.run())
            for tier in self.tiers:
                if isinstance(tier.provider, Ollama):
                    self._live(Warming(tier, tier.provider, random.random).run())
            return

    async def _prepare_screen(self) -> None:
        # Bit by bit: a thread that computes for a tenth of a second would keep the first questions waiting as long.
        for prepare_one in self._screen.preparations():
            await asyncio.sleep(PREPARE_PAUSE_SECONDS)
            await asyncio.to_thread(prepare_one)

    def _breaker_changed(self, provider: Provider, change: Change) -> None:
        at, instance = self.clock.now(), self._instance
        if change.kind == "opened":
            event: Event = BreakerOpened(
                at=at,
                instance=instance,
                provider=provider,
                reason=change.reason or Reason.CONNECTION,
                failures=change.failures,
                open_ms=round(change.open_seconds * 1000),
            )
        elif change.kind == "half_opened":
            event = BreakerHalfOpened(at=at, instance=instance, provider=provider)
        else:
            event = BreakerClosed(at=at, instance=instance, provider=provider)
        log.info("breaker", provider=provider.value, change=change.kind, reason=change.reason)
        self._instance_stream.note(event)


def _report(task: asyncio.Task[None]) -> None:
    """A task that ends by a bug says so at once, not when it is awaited."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("bug", exc_info=error)
