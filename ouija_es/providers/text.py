"""What a model said, as an answer or a piece of one."""

import re

from ouija_es.domain.persona import complete_sentences, without_fence
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError

ANSWER_LIMIT_CHARACTERS = 2_000
TOKENS_LIMIT = 1_000_000

# A terminal or a page that shows the answer must not be steered by it; newline and tab may stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def delta_text(content: object) -> str:
    """A piece of a streamed text, without control characters; empty if there is none. Raises ProviderError."""
    if content is None:
        return ""
    if not isinstance(content, str):
        raise ProviderError(Reason.MALFORMED_RESPONSE)
    return _CONTROL.sub("", content)


def token_count(said: int | None) -> int | None:
    """A provider's count of tokens; None if there is none that can be true."""
    return said if said is not None and 0 <= said <= TOKENS_LIMIT else None


def checked_answer(text: object, *, truncated: bool) -> str:
    """A model's text as an answer: trimmed, whole sentences. Raises ProviderError if it is none."""
    if not isinstance(text, str):
        raise ProviderError(Reason.EMPTY_ANSWER if text is None else Reason.MALFORMED_RESPONSE)
    text = _CONTROL.sub("", without_fence(text)).strip()
    if not text:
        raise ProviderError(Reason.EMPTY_ANSWER)
    if len(text) > ANSWER_LIMIT_CHARACTERS:
        raise ProviderError(Reason.MALFORMED_RESPONSE)
    return complete_sentences(text) if truncated else text
