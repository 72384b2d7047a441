"""What a client may do a minute: a burst of a minute's worth, refilled evenly (GCRA, the generic cell rate algorithm).

In any one minute less than twice the limit passes, over time no more than the limit. A client costs one number, so
memory is bounded whatever the limit; of too many clients the one seen longest ago is forgotten and begins anew.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from throttled.rate_limiter import BaseRateLimiter, RateLimitState

CLIENTS = 16_384
"""Clients remembered at once: at most some 7 MB."""


def allowance(per_minute: int, clients: int = CLIENTS) -> "BaseRateLimiter":
    """Its `limit(key)` takes one from the allowance of a client."""
    # A twentieth of a start's processor time, which whoever asks for its health need not wait for.
    from throttled import MemoryStore, RateLimiterRegistry, RateLimiterType, per_min  # noqa: PLC0415

    gcra = RateLimiterRegistry.get(RateLimiterType.GCRA.value)
    return gcra(per_min(per_minute), MemoryStore(options={"MAX_SIZE": clients}))


def headers(state: "RateLimitState") -> dict[str, str]:
    """Those of draft-ietf-httpapi-ratelimit-headers-06; the reset is in whole seconds, until it is full again."""
    return {
        "RateLimit-Limit": str(state.limit),
        "RateLimit-Remaining": str(state.remaining),
        "RateLimit-Reset": str(math.ceil(state.reset_after)),
    }


def retry_after_seconds(state: "RateLimitState") -> int:
    """Whole seconds after which one more passes."""
    return max(1, math.ceil(state.retry_after))
