"""Log lines, JSON or for a console, to standard output. Never a text, a key, a token or a session's id."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: Literal["debug", "info", "warning", "error"], form: Literal["json", "console"]) -> None:
    """Sets up structlog, and the standard library's loggers (uvicorn's) in the same form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exceptions,
    ]
    renderer: Processor
    factory: structlog.BytesLoggerFactory | structlog.WriteLoggerFactory
    if form == "json":
        renderer = structlog.processors.JSONRenderer(serializer=lambda line, **_: msgspec.json.encode(line).decode())
        factory = structlog.BytesLoggerFactory(sys.stdout.buffer)
        own: list[Processor] = [json_line]
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        factory = structlog.WriteLoggerFactory(sys.stdout)
        own = [*shared, renderer]
    structlog.configure(
        processors=own,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(LEVELS[level], logging.INFO))


def json_line(logger: WrappedLogger, level: str, line: EventDict) -> bytes:
    """What the shared processors make of a line, as the bytes that go out: every ask ends with one."""
    line = structlog.contextvars.merge_contextvars(logger, level, line)
    line["level"] = "error" if level == "exception" else level
    line["timestamp"] = datetime.now(UTC)
    if "exc_info" in line:
        line = _exceptions(logger, level, line)
    return msgspec.json.encode(line)


def where(exc_info: ExcInfo) -> str:
    """A traceback of places and kinds. Without the exceptions' messages: those may repeat what somebody wrote."""
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        told.append("".join([*traceback.format_tb(error.__traceback__), type(error).__qualname__]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nafter which:\n".join(reversed(told))


_exceptions = structlog.processors.ExceptionRenderer(where)
