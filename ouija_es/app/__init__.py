"""The composition root: builds every object once and connects them."""

import mimetypes
from typing import Any

import falcon
import falcon.asgi

from ouija_es.app.handlers import on_bug, on_falcon_error, on_request_error
from ouija_es.app.parts import Parts
from ouija_es.config import Settings
from ouija_es.errors import RequestError
from ouija_es.projections.as_of import AsOf
from ouija_es.readiness import Readiness
from ouija_es.resources import dashboard_page, docs
from ouija_es.resources.ask import AskResource
from ouija_es.resources.asset import KEEP, REVALIDATE, PageFilesResource
from ouija_es.resources.audit import QuestionHistoryResource, SessionHistoryResource
from ouija_es.resources.audit_lists import EventsResource, SessionsResource
from ouija_es.resources.client_limit import ClientLimit
from ouija_es.resources.connection import App
from ouija_es.resources.dashboard import DashboardResource
from ouija_es.resources.docs import DocsResource, OpenApiResource
from ouija_es.resources.envelope import Envelope, EnvelopedResponse
from ouija_es.resources.erasing import SessionResource
from ouija_es.resources.health import HealthResource, LiveResource, ReadyResource
from ouija_es.resources.http_metrics import HttpMetrics
from ouija_es.resources.index import IndexResource
from ouija_es.resources.metrics import MetricsResource
from ouija_es.resources.proof import ProofResource
from ouija_es.resources.tokens import BearerToken, OperatorTokens, WrongTokens

EXPOSED_HEADERS = [
    *("Server-Timing", "X-Trace-Id", "Idempotency-Replayed", "Retry-After"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
]


def create_app(settings: Settings, readiness: Readiness) -> App:
    """The ASGI application. Raises StartError if the data folder cannot be used."""
    parts = Parts(settings, readiness)
    # Falcon has the machine's lists of file types read, thousands of lines, for what is served here as it is declared.
    mimetypes.knownfiles.clear()
    app = App(response_type=EnvelopedResponse)
    app.add_middleware(Envelope(parts.tracer))
    http_metrics = HttpMetrics()
    parts.instruments.registry.register(http_metrics)
    app.add_middleware(http_metrics)
    app.add_middleware(parts)
    if settings.allowed_origins:
        origins: Any = "*" if "*" in settings.allowed_origins else settings.allowed_origins
        app.add_middleware(falcon.CORSMiddleware(allow_origins=origins, expose_headers=EXPOSED_HEADERS))
    app.req_options.strip_url_path_trailing_slash = True
    wrong_tokens = WrongTokens(settings.proxy_hops)
    audit_token = BearerToken("audit", settings.audit_token, wrong_tokens)
    app.add_route("/", IndexResource())
    app.add_route(
        "/ouija/ask",
        AskResource(
            parts.seance,
            parts.readiness,
            parts.streams,
            parts.clock,
            ClientLimit(settings.client_requests_per_minute, BearerToken("loadtest", settings.loadtest_token)),
            parts.shedding,
            deadline_seconds=settings.answer_deadline_seconds,
            proxy_hops=settings.proxy_hops,
        ),
    )
    app.add_route(
        "/health",
        HealthResource(
            parts.recorder,
            parts.tiers,
            parts.projector,
            parts.canned.total,
            parts.clock,
            environment=settings.environment,
            commit=settings.commit,
        ),
    )
    app.add_route("/health/live", LiveResource())
    app.add_route("/health/ready", ReadyResource(parts.readiness))
    operator_tokens = OperatorTokens(BearerToken("metrics", settings.metrics_token, wrong_tokens), audit_token)
    app.add_route("/metrics", MetricsResource(parts.instruments.registry, operator_tokens))
    app.add_route(
        "/dashboard",
        DashboardResource(parts.projector, AsOf(settings.database_path), parts.tiers, operator_tokens, parts.clock),
    )
    app.add_route("/dashboard/{file}", PageFilesResource(dashboard_page.FOLDER, dashboard_page.FILES, REVALIDATE))
    app.add_route("/ouija/sessions/{session_id:uuid}", SessionResource(parts.erasure))
    app.add_route("/audit/sessions", SessionsResource(parts.projector, audit_token))
    app.add_route("/audit/events", EventsResource(settings.database_path, audit_token))
    app.add_route(
        "/audit/sessions/{session_id:uuid}",
        SessionHistoryResource(
            parts.event_log, audit_token, parts.erasure, BearerToken("erasure", settings.erasure_token, wrong_tokens)
        ),
    )
    app.add_route("/audit/proof", ProofResource(parts.projector, parts.ledger_public_key))
    app.add_route("/audit/questions/{question_id:uuid}", QuestionHistoryResource(parts.event_log, audit_token))
    app.add_route("/api/openapi.json", OpenApiResource())
    app.add_route("/api/docs", DocsResource())
    app.add_route("/api/docs/{file}", PageFilesResource(docs.FOLDER, docs.FILES, KEEP))
    app.add_error_handler(RequestError, on_request_error)
    app.add_error_handler(falcon.HTTPError, on_falcon_error)
    app.add_error_handler(Exception, on_bug)
    return app
