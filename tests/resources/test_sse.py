"""What a stream sends when its question tells much at once."""

from typing import Any

import pytest

from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import UnknownSession
from ouija_es.resources.sse import joined
from ouija_es.seance import Accepted, Delta, Discard

ACCEPTED, DISCARD, ERROR = Accepted(), Discard(Reason.CONNECTION), UnknownSession("?")


@pytest.mark.parametrize(
    ("told", "sent"),
    [
        ([], []),
        ([Delta("a")], [Delta("a")]),
        ([ACCEPTED, Delta("a"), Delta("b"), Delta("c")], [ACCEPTED, Delta("abc")]),
        ([Delta("a"), Delta("b"), DISCARD, Delta("c"), None], [Delta("ab"), DISCARD, Delta("c"), None]),
        ([Delta("a"), ERROR, None], [Delta("a"), ERROR, None]),
    ],
)
def test_pieces_that_came_together_go_out_together(told: list[Any], sent: list[Any]) -> None:
    assert list(joined(told)) == sent
