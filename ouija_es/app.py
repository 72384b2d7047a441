"""The composition root: builds every object once and connects them. Only here errors become HTTP."""

import asyncio
import contextlib
import hashlib
import json
import random
import sqlite3
from collections.abc import Mapping
from typing import Any

import falcon
import falcon.asgi
import structlog
from eventsourcing.persistence import PersistenceError
from falcon.asgi import Request, Response

import seeds
from ouija_es import __version__
from ouija_es.clock import Clock
from ouija_es.config import Settings
from ouija_es.domain.categories import Classifier
from ouija_es.domain.events import PolicyAdopted, TierPolicy
from ouija_es.domain.persona import PROMPTS_VERSION
from ouija_es.domain.safety import SafetyScreen
from ouija_es.domain.vocabulary import Language, Provider
from ouija_es.errors import RequestError, StartError, StoreUnavailable
from ouija_es.fallback.chain import Chain
from ouija_es.fallback.deadline import reserve_seconds
from ouija_es.fallback.tier import Tier
from ouija_es.ids import uuid7
from ouija_es.providers.canned import MODEL as CANNED_MODEL
from ouija_es.providers.canned import Canned
from ouija_es.providers.groq import Groq
from ouija_es.providers.ollama import Ollama
from ouija_es.readiness import Readiness
from ouija_es.recovery import Recovery
from ouija_es.resources.ask import AskResource
from ouija_es.resources.audit import QuestionHistoryResource, SessionHistoryResource
from ouija_es.resources.docs import DocsFileResource, DocsResource, OpenApiResource
from ouija_es.resources.envelope import Envelope
from ouija_es.resources.health import HealthResource, LiveResource, ReadyResource
from ouija_es.resources.index import IndexResource
from ouija_es.resources.problem import write_problem, write_request_error
from ouija_es.resources.tokens import BearerToken
from ouija_es.seance import Seance
from ouija_es.store.answers import digest_of, read_answers, seed
from ouija_es.store.keys import keyring
from ouija_es.store.log import EventLog
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Sessions
from ouija_es.store.sqlite import DataFolderLock, open_recorder
from ouija_es.store.vault import Vault

EXPOSED_HEADERS = ["Server-Timing", "X-Trace-Id", "Idempotency-Replayed", "Retry-After"]
START_AGAIN_SECONDS = 10.0

log = structlog.get_logger()


class Service:
    """The parts with a life of their own: started after the server listens, stopped when it has drained."""

    def __init__(self, settings: Settings, readiness: Readiness) -> None:
        path = settings.database_path
        self._lock = DataFolderLock(path)
        self._lock.acquire()
        self.clock = Clock()
        self.readiness = readiness
        answers = self._seeded(settings)
        category_words = seeds.load_category_words()
        screen = SafetyScreen(seeds.load_safety_words())
        self.canned = Canned(answers, {language: screen.answer(language) for language in Language})
        instance = uuid7()
        vault = Vault(keyring(settings).vault_key)
        self.event_log = EventLog(path, vault)
        self.recorder = GroupCommit(path)
        self.recovery = Recovery(self.event_log, self.recorder, self.clock, instance)
        self.tiers = _tiers(settings, self.canned, self.clock)
        self._policy = PolicyAdopted(
            at=self.clock.now(),
            instance=instance,
            service_version=__version__,
            deadline_ms=round(settings.answer_deadline_seconds * 1000),
            reserve_ms=round(reserve_seconds(settings.answer_deadline_seconds) * 1000),
            tiers=tuple(tier.policy for tier in self.tiers),
            prompts_version=PROMPTS_VERSION,
            answers_digest=digest_of(answers),
            categories_digest=hashlib.sha256(json.dumps(category_words).encode()).hexdigest()[:16],
        )
        self.seance = Seance(
            recorder=self.recorder,
            sessions=Sessions(self.event_log, vault),
            chain=Chain(self.tiers, clock=self.clock, instance=instance, random=random.random),
            classifier=Classifier.from_lists(category_words),
            screen=screen,
            clock=self.clock,
            instance=instance,
            on_unrecorded=self.recovery.watch,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """ASGI lifespan: the server goes on to listen at once."""
        del scope, event
        self.recorder.start()
        self._tasks = [asyncio.create_task(self._start()), asyncio.create_task(self.recovery.run())]

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """ASGI lifespan: requests are finished; what is left is written and closed."""
        del scope, event
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.recorder.close()
        self.event_log.close()
        for tier in self.tiers:
            if isinstance(tier.provider, Groq | Ollama):
                await tier.provider.close()
        self._lock.release()
        log.info("stopped")

    async def _start(self) -> None:
        while True:
            try:
                abandoned = await self.recovery.start(self._policy)
            except StoreUnavailable as error:
                log.error("the event store does not take events", reason=error.reason)  # noqa: TRY400 - no traceback needed
                await asyncio.sleep(START_AGAIN_SECONDS)
                continue
            self.readiness.set_ready()
            log.info("ready", canned_answers=self.canned.total, abandoned=abandoned)
            return

    def _seeded(self, settings: Settings) -> list[Any]:
        try:
            recorder = open_recorder(settings.database_path)
            try:
                answers = seeds.load_answers()
                if seed(recorder, answers):
                    log.info("Seeded %d responses", len(answers))
                return read_answers(recorder)
            finally:
                recorder.datastore.close()
        except (PersistenceError, sqlite3.Error) as error:
            raise StartError(f"the database cannot be used: {error}: {settings.database_path}") from error


def create_app(settings: Settings, readiness: Readiness) -> falcon.asgi.App[Request, Response]:
    """The ASGI application. Raises StartError if the data folder cannot be used."""
    service = Service(settings, readiness)
    app: falcon.asgi.App[Request, Response] = falcon.asgi.App()
    app.add_middleware(Envelope())
    app.add_middleware(service)
    if settings.allowed_origins:
        origins: Any = "*" if "*" in settings.allowed_origins else settings.allowed_origins
        app.add_middleware(falcon.CORSMiddleware(allow_origins=origins, expose_headers=EXPOSED_HEADERS))
    app.req_options.strip_url_path_trailing_slash = True
    audit_token = BearerToken("audit", settings.audit_token)
    app.add_route("/", IndexResource())
    app.add_route(
        "/ouija/ask",
        AskResource(
            service.seance,
            service.readiness,
            service.clock,
            deadline_seconds=settings.answer_deadline_seconds,
            proxy_hops=settings.proxy_hops,
        ),
    )
    app.add_route(
        "/health",
        HealthResource(
            service.recorder, service.tiers, service.canned.total, service.clock, environment=settings.environment
        ),
    )
    app.add_route("/health/live", LiveResource())
    app.add_route("/health/ready", ReadyResource(service.readiness))
    app.add_route("/audit/sessions/{session_id:uuid}", SessionHistoryResource(service.event_log, audit_token))
    app.add_route("/audit/questions/{question_id:uuid}", QuestionHistoryResource(service.event_log, audit_token))
    app.add_route("/api/openapi.json", OpenApiResource())
    app.add_route("/api/docs", DocsResource())
    app.add_route("/api/docs/{file}", DocsFileResource())
    app.add_error_handler(RequestError, _on_request_error)
    app.add_error_handler(falcon.HTTPError, _on_falcon_error)
    app.add_error_handler(Exception, _on_bug)
    return app


def _tiers(settings: Settings, canned: Canned, clock: Clock) -> list[Tier]:
    groq = ollama = None
    if settings.groq_api_key is not None:
        groq = Groq(settings.groq_url, settings.groq_api_key.get_secret_value(), settings.groq_model)
    if settings.ollama_url:
        ollama = Ollama(settings.ollama_url, settings.ollama_model)
    groq_policy = TierPolicy(
        provider=Provider.GROQ,
        configured=groq is not None,
        model=settings.groq_model,
        timeout_ms=round(settings.groq_timeout_seconds * 1000),
        max_attempts=settings.groq_max_attempts,
        concurrency=settings.groq_concurrency,
    )
    ollama_policy = TierPolicy(
        provider=Provider.OLLAMA,
        configured=ollama is not None,
        model=settings.ollama_model,
        timeout_ms=round(settings.ollama_timeout_seconds * 1000),
        max_attempts=settings.ollama_max_attempts,
        concurrency=settings.ollama_concurrency,
    )
    database_policy = TierPolicy(
        provider=Provider.DATABASE,
        configured=True,
        model=CANNED_MODEL,
        timeout_ms=round(reserve_seconds(settings.answer_deadline_seconds) * 1000),
        max_attempts=1,
        concurrency=2**31 - 1,
    )
    return [
        Tier(groq_policy, groq, clock),
        Tier(ollama_policy, ollama, clock),
        Tier(database_policy, canned, clock),
    ]


async def _on_request_error(req: Request, resp: Response, error: RequestError, params: dict[str, Any]) -> None:
    del params
    if error.status >= falcon.http_status_to_code(falcon.HTTP_500):
        log.warning("not answered", kind=error.type, trace_id=req.context.trace_id, route=req.uri_template)
    write_request_error(resp, error, req.context.trace_id)


async def _on_falcon_error(req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    del params
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)
    title = falcon.code_to_http_status(error.status_code).partition(" ")[2]
    write_problem(
        resp,
        status=error.status_code,
        kind=title.lower().replace(" ", "-"),
        title=title,
        detail=error.description or f"{title}.",
        trace_id=req.context.trace_id,
    )


async def _on_bug(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
    del params
    # The traceback shows code, never values: what was asked stays out of the log.
    log.error("bug", exc_info=error, trace_id=req.context.trace_id, route=req.uri_template)
    write_problem(
        resp,
        status=500,
        kind="bug",
        title="Internal Server Error",
        detail="Something is wrong with this service, and its operators can see it.",
        trace_id=req.context.trace_id,
    )
