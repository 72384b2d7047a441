"""How often one client may ask."""

from functools import cached_property
from typing import TYPE_CHECKING

from falcon.asgi import Request, Response

from ouija_es.errors import TooManyRequests
from ouija_es.resources.allowance import CLIENTS, allowance, headers, retry_after_seconds
from ouija_es.resources.client import limit_key
from ouija_es.resources.tokens import BearerToken

if TYPE_CHECKING:
    from throttled.rate_limiter import BaseRateLimiter


class ClientLimit:
    """Counts asks per client. `requests_per_minute` 0 lets everybody pass, as `exempt` does whoever carries it."""

    def __init__(self, requests_per_minute: int, exempt: BearerToken, *, clients: int = CLIENTS) -> None:
        self._requests_per_minute = requests_per_minute
        self._exempt = exempt
        self._clients = clients

    @cached_property
    def _limiter(self) -> "BaseRateLimiter":
        """Made for the first who asks."""
        return allowance(self._requests_per_minute, self._clients)

    def spend(self, req: Request, resp: Response, address: str | None) -> None:
        """Takes one ask from the client's allowance and tells what is left. Raises TooManyRequests."""
        if not self._requests_per_minute or self._exempt.is_given(req):
            return
        result = self._limiter.limit(limit_key(address))
        for name, value in headers(result.state).items():
            resp.set_header(name, value)
        if result.limited:
            raise TooManyRequests(
                f"At most {result.state.limit} questions a minute are answered from one address.",
                retry_after_seconds=retry_after_seconds(result.state),
            )
