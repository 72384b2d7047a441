"""Bearer tokens (RFC 6750), compared in constant time."""

import hmac
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import falcon
import structlog
from falcon.asgi import Request
from pydantic import SecretStr

from ouija_es.errors import TooManyWrongTokens, WrongToken
from ouija_es.resources.allowance import allowance, headers, retry_after_seconds
from ouija_es.resources.client import client_address, limit_key

if TYPE_CHECKING:
    from throttled.rate_limiter import BaseRateLimiter

WRONG_TOKENS_PER_MINUTE = 10

log = structlog.get_logger()


class WrongTokens:
    """Counts tokens that opened nothing, per client address; a right one costs nothing and always passes.

    So whoever guesses cannot shut out those behind the same address, nor fill the log: a line is written for each wrong
    token within the allowance, with how many there were since the start. What keeps guesses from success is a token's
    length.
    """

    def __init__(self, proxy_hops: int, *, per_minute: int = WRONG_TOKENS_PER_MINUTE) -> None:
        self._proxy_hops = proxy_hops
        self._per_minute = per_minute
        self._refused: Counter[str] = Counter()

    @cached_property
    def _limiter(self) -> "BaseRateLimiter":
        """Made for the first wrong token."""
        return allowance(self._per_minute)

    def refuse(self, req: Request, name: str) -> NoReturn:
        """Raises WrongToken, or TooManyWrongTokens. `name`: the kind of token that is wanted."""
        wrong = WrongToken(f"This route wants the {name} token.")
        if req.get_header("authorization") is None:
            raise wrong
        self._refused[name] += 1
        result = self._limiter.limit(limit_key(client_address(req, self._proxy_hops)))
        if result.limited:
            raise TooManyWrongTokens(
                f"At most {result.state.limit} wrong tokens a minute are looked at from one address.",
                retry_after_seconds=retry_after_seconds(result.state),
                headers=headers(result.state),
            )
        log.warning(
            "token refused",
            token=name,
            route=req.uri_template,
            refused=self._refused[name],
            trace_id=req.context.trace_id,
        )
        raise wrong


class BearerToken:
    """One secret that opens some routes; without it they are not there."""

    def __init__(self, name: str, secret: SecretStr | None, wrong: WrongTokens | None = None) -> None:
        self.name = name
        self._secret = secret.get_secret_value().encode() if secret else None
        self._wrong = wrong

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
        """Raises HTTPNotFound if the routes are switched off; WrongToken, TooManyWrongTokens without the token."""
        if self._secret is None:
            raise falcon.HTTPNotFound
        if not self.is_given(req):
            self.refuse(req, self.name)

    def refuse(self, req: Request, name: str) -> NoReturn:
        """As `WrongTokens.refuse`."""
        if self._wrong is None:
            raise WrongToken(f"This route wants the {name} token.")
        self._wrong.refuse(req, name)

    def accepted(self, req: Request, **what: object) -> None:
        """Writes down what the token was used for: never a text, nor a session's id, which is its holder's secret."""
        log.info("token accepted", token=self.name, route=req.uri_template, **what, trace_id=req.context.trace_id)


class OperatorTokens:
    """What opens /metrics and /dashboard: the metrics token or the audit token; without a metrics token, anybody."""

    def __init__(self, metrics: BearerToken, audit: BearerToken) -> None:
        self._metrics = metrics
        self._audit = audit

    def check(self, req: Request) -> None:
        """Raises WrongToken, TooManyWrongTokens. A scrape every few seconds is no log line; a refused one is."""
        if self._metrics.is_set:
            self._check_either(req)

    def check_history(self, req: Request) -> None:
        """As `check`, and a token is needed in any case. Raises HTTPNotFound if there is none."""
        if not self._metrics.is_set and not self._audit.is_set:
            raise falcon.HTTPNotFound
        self._check_either(req)

    def _check_either(self, req: Request) -> None:
        if not self._metrics.is_given(req) and not self._audit.is_given(req):
            self._metrics.refuse(req, "metrics or audit")
