"""Every behaviour by name, and how one is made from what the control interface was sent."""

import inspect
import itertools
from collections.abc import Callable
from typing import Any

from loadtests.stubs import faults, replies, streams
from loadtests.stubs.wire import Answer, Script, Wire

# These reach the requests that ask nothing too: the list of models and the loading of one.
WHOLE_SERVER: list[Callable[..., Answer]] = [
    faults.hang, faults.hang_after_headers, faults.drip, faults.reset, faults.close, faults.wrong_length,
    faults.garbage, faults.bad_chunk, faults.gzip_bomb, faults.big_body, faults.big_header, faults.redirect,
    faults.html, faults.empty, faults.interim, replies.ok, replies.status, replies.loading, replies.not_pulled,
]  # fmt: skip
ANSWERS_ONLY: list[Callable[..., Answer]] = [
    replies.wrong_types, replies.no_choices, replies.null_content, replies.empty_content, replies.whitespace,
    replies.too_long, replies.invalid_utf8, replies.nul, replies.length, replies.content_filter,
    streams.stall_after_delta, streams.break_mid_stream, streams.no_finish, streams.no_done, streams.error_mid_stream,
]  # fmt: skip
BEHAVIOURS: dict[str, Callable[..., Answer]] = {make.__name__: make for make in [*WHOLE_SERVER, *ANSWERS_ONLY]}

Spec = Any  # a name, {"behaviour": name, **parameters}, {"behaviour": [spec, ...]} or [spec, ...]


def behaviours(spec: Spec, wire: Wire, latency_ms: float = 0) -> list[Answer]:
    """What is used for one call after the other; the last stays.

    Every behaviour also takes `latency_ms`, the wait before its first byte. Raises ValueError with what is wrong.
    """
    if isinstance(spec, dict) and isinstance(spec.get("behaviour"), list):
        if len(spec) > 1:
            raise ValueError("parameters belong to the entries of the list")
        spec = spec["behaviour"]
    if not isinstance(spec, list):
        return [_behaviour(spec, wire, latency_ms)]
    if not spec:
        raise ValueError("the list is empty")
    return [_behaviour(entry, wire, latency_ms) for entry in spec]


def _behaviour(spec: Spec, wire: Wire, latency_ms: float) -> Answer:
    parameters: dict[str, Any] = {"behaviour": spec} if isinstance(spec, str) else dict(spec)
    name, latency = parameters.pop("behaviour", None), parameters.pop("latency_ms", latency_ms)
    make = BEHAVIOURS.get(name)
    if make is None:
        raise ValueError(f"no behaviour {name!r}; there are {', '.join(sorted(BEHAVIOURS))}")
    try:
        inspect.signature(make).bind(wire, **parameters)
    except TypeError as mistake:
        raise ValueError(f"{name}: {mistake}") from mistake
    answer = make(wire, **parameters)
    if make in ANSWERS_ONLY:
        answer = _to_questions(answer, replies.ok(wire))
    return _late(answer, latency / 1000) if latency else answer


def _to_questions(answer: Answer, healthy: Answer) -> Answer:
    return lambda ask: healthy(ask) if ask.probe else answer(ask)


def _late(answer: Answer, seconds: float) -> Answer:
    def late(ask: Any) -> Script:
        script = answer(ask)
        return (seconds, script) if isinstance(script, bytes) else itertools.chain((seconds,), script)

    return late
