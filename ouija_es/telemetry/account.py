"""One question as its operators see it: a log line at its end and, if it is traced, spans on the way."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

import structlog

from ouija_es.domain.attempts import Attempt
from ouija_es.domain.events import AttemptFailed, AttemptSkipped, AttemptStarted, AttemptSucceeded
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.telemetry.tracing import RequestSpan

log = structlog.get_logger()

_UNTRACED = nullcontext()


class Account:
    """Kept beside the question's journal; `answered`, `failed` or `withdrawn` closes it."""

    __slots__ = ("_question_id", "_span", "_trace_id")

    def __init__(self, question_id: UUID, trace_id: str, span: RequestSpan | None) -> None:
        self._question_id = question_id
        self._trace_id = trace_id
        self._span = span
        if span is not None:
            span.asked(question_id)

    def recording(self) -> AbstractContextManager[None]:
        """For as long as the event store is waited for."""
        return _UNTRACED if self._span is None else self._span.recording()

    def step(
        self, step: AttemptStarted | AttemptFailed | AttemptSkipped | AttemptSucceeded, trace_headers: dict[str, str]
    ) -> None:
        """A step of the chain. `trace_headers` gets what the call that follows is to send along."""
        if self._span is not None:
            self._span.step(step)
            trace_headers.update(self._span.headers())

    def answered(self, source: Provider, attempts: Sequence[Attempt], duration_ms: int, record_ms: float) -> None:
        """The answer is recorded."""
        log.info("answered", source=source.value, **self._told(attempts, duration_ms, record_ms))

    def failed(self, kind: str, attempts: Sequence[Attempt], duration_ms: int, record_ms: float) -> None:
        """It ends in an error; `kind` is the last part of the problem's type."""
        if self._span is not None:
            self._span.failed(kind)
        log.warning("not answered", kind=kind, **self._told(attempts, duration_ms, record_ms))

    def withdrawn(self, attempts: Sequence[Attempt], duration_ms: int, record_ms: float) -> None:
        """Nobody waits for it any more."""
        if self._span is not None:
            self._span.failed(Reason.CANCELLED)
        log.info("withdrawn", **self._told(attempts, duration_ms, record_ms))

    def _told(self, attempts: Sequence[Attempt], duration_ms: int, record_ms: float) -> dict[str, object]:
        return {
            "question_id": str(self._question_id),
            "trace_id": self._trace_id,
            "duration_ms": duration_ms,
            "record_ms": round(record_ms, 1),
            "attempts": [f"{it.provider} {it.outcome} {it.reason or '-'} {it.duration_ms}" for it in attempts],
        }
