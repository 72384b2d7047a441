"""How often one client may ask: a burst of a minute's worth, refilled evenly (GCRA, the generic cell rate algorithm).

In any one minute less than twice the limit passes, over time no more than the limit. A client costs one number, so
memory is bounded whatever the limit; of too many clients the one that asked longest ago is forgotten and begins anew.
"""

import math

from falcon.asgi import Request, Response
from throttled import MemoryStore, RateLimiterRegistry, RateLimiterType, per_min

from ouija_es.errors import TooManyRequests
from ouija_es.resources.client import limit_key
from ouija_es.resources.tokens import BearerToken

CLIENTS = 16_384
"""Clients remembered at once: at most some 7 MB."""


class ClientLimit:
    """Counts asks per client. `requests_per_minute` 0 lets everybody pass, as `exempt` does whoever carries it."""

    def __init__(self, requests_per_minute: int, exempt: BearerToken, *, clients: int = CLIENTS) -> None:
        self._exempt = exempt
        self._limiter = None
        if requests_per_minute:
            gcra = RateLimiterRegistry.get(RateLimiterType.GCRA.value)
            self._limiter = gcra(per_min(requests_per_minute), MemoryStore(options={"MAX_SIZE": clients}))

    def spend(self, req: Request, resp: Response, address: str | None) -> None:
        """Takes one ask from the client's allowance and tells what is left. Raises TooManyRequests.

        The headers are those of draft-ietf-httpapi-ratelimit-headers-06; the reset is in whole seconds, until the
        allowance is full again.
        """
        if self._limiter is None or self._exempt.is_given(req):
            return
        result = self._limiter.limit(limit_key(address))
        state = result.state
        resp.set_header("RateLimit-Limit", str(state.limit))
        resp.set_header("RateLimit-Remaining", str(state.remaining))
        resp.set_header("RateLimit-Reset", str(math.ceil(state.reset_after)))
        if result.limited:
            raise TooManyRequests(
                f"At most {state.limit} questions a minute are answered from one address.",
                retry_after_seconds=max(1, math.ceil(state.retry_after)),
            )
