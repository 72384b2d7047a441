"""GET /dashboard: the service in numbers, for a program or for a person."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import falcon
import msgspec
from falcon.asgi import Request, Response

from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import Provider
from ouija_es.errors import MalformedRequest
from ouija_es.fallback.rate_limit import SlidingMinute
from ouija_es.fallback.tier import Tier
from ouija_es.projections.as_of import AsOf
from ouija_es.projections.projector import Projector
from ouija_es.projections.state import State
from ouija_es.projections.totals import Totals
from ouija_es.resources.dashboard_page import DashboardPage
from ouija_es.resources.health import availability
from ouija_es.resources.tokens import OperatorTokens

LATEST_POSITION = 2**63 - 1


class DashboardResource:
    """Live from the projector's state, or as of a time or position from the log."""

    def __init__(
        self, projector: Projector, as_of: AsOf, tiers: Sequence[Tier], tokens: OperatorTokens, clock: Clock
    ) -> None:
        self._projector = projector
        self._as_of = as_of
        self._tiers = {tier.name: tier for tier in tiers}
        self._tokens = tokens
        self._clock = clock
        self._page = DashboardPage()

    async def on_get(self, req: Request, resp: Response) -> None:
        """The numbers; with `as_of`, what only the process knows is null. A page for who prefers HTML."""
        resp.append_header("Vary", "Accept")
        if req.client_prefers((falcon.MEDIA_JSON, falcon.MEDIA_HTML)) == falcon.MEDIA_HTML:
            self._page.send(req, resp)  # to anybody: it wants the numbers, and a token, from here again
            return
        wanted = req.get_param("as_of")
        now = self._clock.now()
        if wanted is None:
            self._tokens.check(req)
            state, live = self._projector.state, True
        else:
            self._tokens.check_history(req)
            state, live = await self._past(wanted), False
            now = state.latest or now
        resp.data = msgspec.json.encode(self._body(state, now, live=live))
        resp.content_type = falcon.MEDIA_JSON

    on_head = on_get

    async def _past(self, wanted: str) -> State:
        if wanted.isascii() and wanted.isdecimal():
            return await self._as_of.position(min(int(wanted[:19]), LATEST_POSITION))
        try:
            at = datetime.fromisoformat(wanted)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise MalformedRequest("as_of must be a position or an RFC 3339 time with its offset.")
        return await self._as_of.time(at)

    def _body(self, state: State, now: datetime, *, live: bool) -> dict[str, Any]:
        totals, projector = state.totals, self._projector
        p50, p95, p99 = state.providers.answers.percentiles(now, 0.5, 0.95, 0.99)
        return {
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "position": state.position,
            "totals": _totals(totals),
            "services": {
                "groq": self._model_tier(state, Provider.GROQ, now, live=live),
                "ollama": self._model_tier(state, Provider.OLLAMA, now, live=live),
                "database": {
                    "totalResponses": totals.answers.get(Provider.DATABASE, 0),
                    "byCategory": totals.table_answers,
                },
            },
            "eventStore": {
                "events": projector.events_recorded if live else None,
                "projected": state.ordinal,
                "lag": projector.lag_events if live else None,
                "projectorStopped": projector.stopped_at is not None if live else None,
                "sealedPosition": state.sealed_position,
            },
            "answers": {"latency": {"p50Ms": p50, "p95Ms": p95, "p99Ms": p99}},
            "timeline": state.recent.slots,
            "recent": state.recent.ended[::-1],
        }

    def _model_tier(self, state: State, name: Provider, now: datetime, *, live: bool) -> dict[str, Any]:
        tier, evidence = self._tiers[name], state.providers.of(name)
        p50, p95 = evidence.durations.percentiles(now, 0.5, 0.95)
        minute = tier.minute if live else None
        return {
            "available": availability(tier, evidence)[0] if live else None,
            "breaker": tier.state().breaker if live else None,
            "rateLimit": {
                "remaining": None if minute is None else minute.remaining(),
                "resetsAt": None if minute is None else _resets_at(minute, now),
            },
            "attempts": state.totals.attempts_of(name),
            "latency": {"p50Ms": p50, "p95Ms": p95},
            "lastSuccessAt": evidence.last_success_at,
            "lastFailureAt": evidence.last_failure_at,
        }


def _resets_at(minute: SlidingMinute, now: datetime) -> datetime | None:
    return now + timedelta(seconds=minute.resets_at_seconds())


def _totals(totals: Totals) -> dict[str, Any]:
    by: dict[str, dict[str, int]] = {"byPersonality": {}, "byLanguage": {}, "byCategory": {}}
    for labels, count in totals.questions.items():
        for name, label in (
            ("byPersonality", labels.personality),
            ("byLanguage", labels.language),
            ("byCategory", labels.category),
        ):
            by[name][label] = by[name].get(label, 0) + count
    return {
        "questions": sum(totals.questions.values()),
        "answers": {source.value: totals.answers.get(source, 0) for source in Provider},
        "withdrawn": totals.withdrawn,
        "abandoned": totals.abandoned,
        "sessions": totals.sessions,
        "erasures": totals.erasures,
        "tokens": {provider.value: tokens for provider, tokens in totals.tokens.items()},
        **by,
    }
