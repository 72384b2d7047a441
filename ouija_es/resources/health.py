"""GET /health, /health/live, /health/ready: from evidence already there, no network call, no tokens spent."""

from collections.abc import Sequence
from typing import Any

from falcon.asgi import Request, Response

from ouija_es import __version__
from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.fallback.tier import Tier
from ouija_es.readiness import Readiness
from ouija_es.store.recorder import GroupCommit


class HealthResource:
    """The service's health in the shape that `checks` has had from the beginning."""

    def __init__(
        self,
        recorder: GroupCommit,
        tiers: Sequence[Tier],
        canned_answers: int,
        clock: Clock,
        *,
        environment: str,
    ) -> None:
        self._recorder = recorder
        self._tiers = {tier.name: tier for tier in tiers}
        self._canned_answers = canned_answers
        self._clock = clock
        self._environment = environment

    async def on_get(self, req: Request, resp: Response) -> None:
        """200 while answers can be recorded, else 503."""
        ok = self._recorder.available
        resp.status = 200 if ok else 503
        resp.media = {
            "status": "ok" if ok else "critical",
            "timestamp": self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": __version__,
            "environment": self._environment,
            "checks": {
                "database": {
                    "status": "ok" if ok else "error",
                    "count": self._canned_answers,
                    "error": None if ok else "the event store does not take events",
                },
                "ollama": _check(self._tiers[Provider.OLLAMA]),
                "groq": _check(self._tiers[Provider.GROQ]),
            },
        }

    on_head = on_get


def _check(tier: Tier) -> dict[str, Any]:
    if tier.provider is None:
        return {"status": "degraded", "available": False, "error": Reason.NOT_CONFIGURED}
    if tier.breaker is not None and tier.breaker.is_open:
        return {"status": "degraded", "available": False, "error": tier.breaker.reason or Reason.BREAKER_OPEN}
    if tier.evidence is None:
        return {"status": "ok", "available": None, "error": None}
    return {
        "status": "ok" if tier.evidence.available else "degraded",
        "available": tier.evidence.available,
        "error": tier.evidence.reason,
    }


class LiveResource:
    """The process runs."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Always 200."""
        resp.media = {"status": "ok"}

    on_head = on_get


class ReadyResource:
    """The process answers."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def on_get(self, req: Request, resp: Response) -> None:
        """200 between start and stop, else 503."""
        resp.status = 200 if self._readiness.ready else 503
        resp.media = {
            "status": "ok" if self._readiness.ready else "draining" if self._readiness.draining else "starting"
        }

    on_head = on_get
