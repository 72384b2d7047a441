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
        self._name = name
        self._secret = secret.get_secret_value().encode() if secret else None

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
            log.warning("token refused", token=self._name, route=req.uri_template, trace_id=req.context.trace_id)
            raise WrongToken(f"This route wants the {self._name} token.")
        log.info("token accepted", token=self._name, route=req.uri_template, trace_id=req.context.trace_id)
