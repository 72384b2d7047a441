"""What is read out of a provider's headers and texts."""

import pytest

from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError
from ouija_es.providers.status import retry_after_seconds
from ouija_es.providers.text import checked_answer

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after-ms": "300", "retry-after": "9"}, 0.3),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:25 GMT"}, 5.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "1000000000"}, 1e9),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Tue, 99 Foo 2023 22:13:25 GMT"}, None),
    ],
)
def test_every_form_of_retry_after_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers.get, now=NOW) == seconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, Reason.EMPTY_ANSWER),
        ("", Reason.EMPTY_ANSWER),
        (" \n\t\u3000", Reason.EMPTY_ANSWER),
        ("\x00\x07", Reason.EMPTY_ANSWER),
        (7, Reason.MALFORMED_RESPONSE),
        ([{"type": "text"}], Reason.MALFORMED_RESPONSE),
        ("x" * 2001, Reason.MALFORMED_RESPONSE),
    ],
)
def test_what_is_no_answer_is_refused(text: object, reason: Reason) -> None:
    with pytest.raises(ProviderError) as caught:
        checked_answer(text, truncated=False)

    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" Sí. \n", "Sí."),
        ("x" * 2000, "x" * 2000),
        ("uno\ndos\ttres", "uno\ndos\ttres"),
        ("a\x1b[31mb\x00c\x85d", "a[31mbcd"),
        ("👩‍👩‍👧 sí", "👩‍👩‍👧 sí"),
    ],
)
def test_an_answer_is_trimmed_and_harmless(text: str, answer: str) -> None:
    assert checked_answer(text, truncated=False) == answer
