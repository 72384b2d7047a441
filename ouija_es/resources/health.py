"""GET /health, /health/live, /health/ready: from evidence already there, no network call, no tokens spent."""

from collections.abc import Sequence
from typing import Any

from falcon.asgi import Request, Response

from ouija_es import __version__
from ouija_es.clock import Clock
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.fallback.tier import Tier
from ouija_es.projections.projector import Projector
from ouija_es.projections.providers import Evidence
from ouija_es.readiness import Readiness
from ouija_es.store.recorder import GroupCommit


class HealthResource:
    """The service's health in the shape that `checks` has had from the beginning."""

    def __init__(
        self,
        recorder: GroupCommit,
        tiers: Sequence[Tier],
        projector: Projector,
        canned_answers: int,
        clock: Clock,
        *,
        environment: str,
        commit: str,
    ) -> None:
        self._recorder = recorder
        self._projector = projector
        self._tiers = {tier.name: tier for tier in tiers}
        self._canned_answers = canned_answers
        self._clock = clock
        self._environment = environment
        self._commit = commit or None

    async def on_get(self, req: Request, resp: Response) -> None:
        """200 while answers can be recorded, else 503."""
        ok = self._recorder.available
        resp.status = 200 if ok else 503
        resp.media = {
            "status": "ok" if ok else "critical",
            "timestamp": self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "version": __version__,
            "environment": self._environment,
            "commit": self._commit,
            "checks": {
                "database": {
                    "status": "ok" if ok else "error",
                    "count": self._canned_answers,
                    "error": None if ok else "the event store does not take events",
                },
                "ollama": self._provider(Provider.OLLAMA),
                "groq": self._provider(Provider.GROQ),
                "projections": {
                    "status": "ok" if self._projector.stopped_at is None else "error",
                    "lag": self._projector.lag_events,
                    "error": self._stopped(),
                },
                "ledger": self._ledger(),
            },
        }

    on_head = on_get

    def _provider(self, name: Provider) -> dict[str, Any]:
        return _check(*availability(self._tiers[name], self._projector.state.providers.of(name)))

    def _ledger(self) -> dict[str, Any]:
        # Not a 503: answers are given and recorded as before, and no restart would mend what was tampered with.
        state = self._projector.state
        wrong = state.mismatch
        return {
            "status": "ok" if wrong is None else "error",
            "sealedPosition": state.sealed_position,
            "error": None if wrong is None else f"at position {wrong.position} {wrong.what}",
        }

    def _stopped(self) -> str | None:
        position = self._projector.stopped_at
        return None if position is None else f"the event at position {position} cannot be read"


def availability(tier: Tier, recorded: Evidence) -> tuple[bool | None, Reason | None]:
    """Whether a provider is there (None: not known yet), and why not: what this process saw, else what is recorded."""
    if tier.provider is None:
        return False, Reason.NOT_CONFIGURED
    if tier.breaker is not None and tier.breaker.is_open:
        return False, tier.breaker.reason or Reason.BREAKER_OPEN
    if tier.evidence is not None:
        return tier.evidence.available, tier.evidence.reason
    return (recorded.last_reason is None, recorded.last_reason) if recorded.known else (None, None)


def _check(available: bool | None, error: Reason | None) -> dict[str, Any]:  # noqa: FBT001 - a finding, not a switch
    return {"status": "degraded" if available is False else "ok", "available": available, "error": error}


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
