"""The tiers, from the settings."""

import json

from ouija_es.clock import Clock
from ouija_es.config import Settings
from ouija_es.domain.events import (
    TierPolicy,
)
from ouija_es.domain.vocabulary import Provider
from ouija_es.fallback.breaker import Breaker
from ouija_es.fallback.deadline import reserve_seconds
from ouija_es.fallback.rate_limit import SlidingMinute
from ouija_es.fallback.tier import OnChange, Tier
from ouija_es.providers.canned import MODEL as CANNED_MODEL
from ouija_es.providers.canned import Canned
from ouija_es.providers.groq import Groq
from ouija_es.providers.ollama import Ollama
from ouija_es.store.vault import Vault


def build_tiers(settings: Settings, canned: Canned, vault: Vault, clock: Clock, on_change: OnChange) -> list[Tier]:
    """Groq, Ollama and the table, in this order; one without its settings is there, and skipped."""
    groq = ollama = None
    key = settings.groq_api_key.get_secret_value() if settings.groq_api_key is not None else ""
    if key:
        groq = Groq(settings.groq_url, key, settings.groq_model)
    if settings.ollama_url:
        ollama = Ollama(settings.ollama_url, settings.ollama_model)

    def configuration(*parts: str) -> str:
        return vault.keyed_hash("configuration", json.dumps(parts))[:16]

    def breaker() -> Breaker:
        return Breaker(settings.breaker_failures, settings.breaker_open_seconds, clock)

    groq_policy = TierPolicy(
        provider=Provider.GROQ,
        configured=groq is not None,
        model=settings.groq_model,
        timeout_ms=round(settings.groq_timeout_seconds * 1000),
        max_attempts=settings.groq_max_attempts,
        concurrency=settings.groq_concurrency,
        requests_per_minute=settings.groq_requests_per_minute,
        tokens_per_minute=settings.groq_tokens_per_minute,
        configuration=configuration(settings.groq_url, settings.groq_model, key),
    )
    ollama_policy = TierPolicy(
        provider=Provider.OLLAMA,
        configured=ollama is not None,
        model=settings.ollama_model,
        timeout_ms=round(settings.ollama_timeout_seconds * 1000),
        max_attempts=settings.ollama_max_attempts,
        concurrency=settings.ollama_concurrency,
        configuration=configuration(settings.ollama_url, settings.ollama_model),
    )
    database_policy = TierPolicy(
        provider=Provider.DATABASE,
        configured=True,
        model=CANNED_MODEL,
        timeout_ms=round(reserve_seconds(settings.answer_deadline_seconds) * 1000),
        max_attempts=1,
        concurrency=2**31 - 1,
    )
    minute = SlidingMinute(settings.groq_requests_per_minute, settings.groq_tokens_per_minute, clock)
    return [
        Tier(groq_policy, groq, clock, breaker=breaker(), minute=minute, on_change=on_change),
        Tier(ollama_policy, ollama, clock, breaker=breaker(), on_change=on_change),
        Tier(database_policy, canned, clock),
    ]
