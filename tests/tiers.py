"""What would be decided about a tier now."""

from ouija_es.domain.vocabulary import Reason
from ouija_es.fallback import decisions
from ouija_es.fallback.tier import Tier

TIME_ENOUGH_MS = 60_000


def reason_to_skip(tier: Tier, tokens: int) -> Reason | None:
    """Why a call of so many tokens is not made, whatever time is left; None if it is."""
    return decisions.reason_to_skip(tier.policy, tier.state(tokens), TIME_ENOUGH_MS)
