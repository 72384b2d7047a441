"""Bearer tokens (RFC 6750), compared in constant time."""

import hmac

import falcon
import structlog
from falcon.asgi import Request
from pydantic import SecretStr

from ouija_es.errors import WrongToken

log = structlog.get_logger()


class BearerToken:
    """One secret that opens some routes; without it they are not there."""

    def __init__(self, name: str, secret: SecretStr | None) -> None:
        self.name = name
        self._secret = secret.get_secret_value().encode() if secret else None

    @property
    def is_set(self) -> bool:
        """Whether there is such a secret."""
        return self._secret is not None

    def is_given(self, req: Request) -> bool:
        """Whether the request carries the token; never if there is none."""
        scheme, _, given = req.get_header("authorization", default="").partition(" ")
        return (
            self._secret is not None
            and scheme.lower() == "bearer"
            and hmac.compare_digest(given.strip().encode(), self._secret)
        )

    def check(self, req: Request) -> None:
        """Raises HTTPNotFound if the routes are switched off, WrongToken for a missing or wrong token."""
        if self._secret is None:
            raise falcon.HTTPNotFound
        if not self.is_given(req):
            log.warning("token refused", token=self.name, route=req.uri_template, trace_id=req.context.trace_id)
            raise WrongToken(f"This route wants the {self.name} token.")
        log.info("token accepted", token=self.name, route=req.uri_template, trace_id=req.context.trace_id)


class OperatorTokens:
    """What opens /metrics and /dashboard: the metrics token or the audit token; without a metrics token, anybody."""

    def __init__(self, metrics: BearerToken, audit: BearerToken) -> None:
        self._metrics = metrics
        self._audit = audit

    def check(self, req: Request) -> None:
        """Raises WrongToken. A scrape every few seconds is no log line; a refused one is."""
        if self._metrics.is_set:
            self._check_either(req)

    def check_history(self, req: Request) -> None:
        """As `check`, and a token is needed in any case. Raises HTTPNotFound if there is none."""
        if not self._metrics.is_set and not self._audit.is_set:
            raise falcon.HTTPNotFound
        self._check_either(req)

    def _check_either(self, req: Request) -> None:
        if not self._metrics.is_given(req) and not self._audit.is_given(req):
            log.warning(
                "token refused", token=self._metrics.name, route=req.uri_template, trace_id=req.context.trace_id
            )
            raise WrongToken("This route wants the metrics token or the audit token.")
