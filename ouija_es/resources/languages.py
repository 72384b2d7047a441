"""The language a client prefers, from `Accept-Language`."""

from ouija_es.domain.vocabulary import Language

DEFAULT = Language.ES
HEADER_LIMIT = 500


def preferred_language(accept_language: str | None) -> Language:
    """The language with the highest quality (RFC 9110 §12.5.4, RFC 4647 §3.3.1); Spanish if none fits."""
    best, best_quality = DEFAULT, 0.0
    for item in (accept_language or "")[:HEADER_LIMIT].split(","):
        tag, _, parameter = item.partition(";")
        name = tag.strip().lower().partition("-")[0]
        quality = _quality(parameter)
        if quality > best_quality and name in (*Language, "*"):
            best, best_quality = DEFAULT if name == "*" else Language(name), quality
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if name.strip().lower() == "q" and 0 <= quality <= 1 else 0.0
