"""Faults of a stream. Each takes a wire and gives what is sent for an ask."""

from collections.abc import Callable

from loadtests.stubs.speak import Speak
from loadtests.stubs.wire import LAST_CHUNK, NOTHING, Answer, Ask, End, Said, Script, Step, Wire, chunk, head, response

MOMENT_SECONDS = 0.02  # lets what was sent arrive before the connection ends


def stall_after_delta(wire: Wire, *, after: int = 1) -> Answer:
    """Streams `after` pieces of the text, then nothing."""
    return _streamed(wire, lambda speak, ask: [*_chunks(speak, ask, deltas=after), End.HANG])


def break_mid_stream(wire: Wire, *, after: int = 1, rst: bool = False) -> Answer:
    """Streams `after` pieces of the text, then closes (or resets) the connection without a last chunk."""
    end = End.RESET if rst else End.CLOSE
    return _streamed(wire, lambda speak, ask: [*_chunks(speak, ask, deltas=after), MOMENT_SECONDS, end])


def no_finish(wire: Wire) -> Answer:
    """The whole text, a proper end, but no reason for it: Groq's last chunk or Ollama's done_reason is missing."""
    return _streamed(wire, lambda speak, ask: [*_chunks(speak, ask, ending="no_finish"), LAST_CHUNK])


def no_done(wire: Wire) -> Answer:
    """The whole text, but no `[DONE]` (Groq) or `"done": true` (Ollama)."""
    return _streamed(wire, lambda speak, ask: [*_chunks(speak, ask, ending="no_done"), LAST_CHUNK])


def error_mid_stream(wire: Wire, *, after: int = 1, form: str = "data") -> Answer:
    """Streams `after` pieces of the text, then an error under status 200 (`form`: see the wire's stream_error)."""
    try:
        error = chunk(wire.stream_error(form))
    except KeyError as missing:
        raise ValueError(f"{wire.name} has no errors of the form {form}") from missing
    return _streamed(wire, lambda speak, ask: [*_chunks(speak, ask, deltas=after), error, LAST_CHUNK])


def _streamed(wire: Wire, script: Callable[[Speak, Ask], list[Step]]) -> Answer:
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> Script:
        if ask.stream:
            return script(healthy, ask)
        # Loudly: a test that forgot to stream must not pass by accident.
        return response(501, NOTHING, b"this behaviour needs a streamed request")

    return answer


def _chunks(speak: Speak, ask: Ask, *, deltas: int | None = None, ending: str = "") -> list[Step]:
    return [head(200, speak.headers(ask)), *map(chunk, speak.pieces(ask, deltas=deltas, ending=ending))]
