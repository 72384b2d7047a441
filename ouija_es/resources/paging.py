"""What part of a list is wanted: `after` or `cursor`, and `limit`, from the query."""

import re

from falcon.asgi import Request

from ouija_es.errors import FieldError, InvalidRequest

LATEST_POSITION = 2**63 - 1
CURSOR = "[0-7][0-9a-f]{15}"


def limit(req: Request, *, default: int, most: int) -> int:
    """How many are wanted, from 1 to `most`. Raises InvalidRequest."""
    number = _number(req, "limit", str(default))
    if number is None or not 1 <= number <= most:
        raise _invalid("limit", f"must be a whole number from 1 to {most}")
    return number


def after(req: Request) -> int:
    """The position behind which to begin; 0 if none is given. Raises InvalidRequest."""
    number = _number(req, "after", "0")
    if number is None:
        raise _invalid("after", "must be a position of the log, or 0")
    return number


def cursor(position: int) -> str:
    """What stands for the place before a position; its form is nobody's business."""
    return f"{position:016x}"


def before(req: Request) -> int:
    """The position that the query's cursor stands for; behind all of them without one. Raises InvalidRequest."""
    given = _single(req, "cursor", cursor(LATEST_POSITION))
    if not re.fullmatch(CURSOR, given, re.ASCII):
        raise _invalid("cursor", "must be the `next` of an earlier page")
    return int(given, 16)


def _number(req: Request, name: str, default: str) -> int | None:
    given = _single(req, name, default)
    if not given.isascii() or not given.isdecimal() or len(given) > len(str(LATEST_POSITION)):
        return None
    number = int(given)
    return number if number <= LATEST_POSITION else None


def _single(req: Request, name: str, default: str) -> str:
    given = req.params.get(name, default)
    if not isinstance(given, str):
        raise _invalid(name, "must be given once")
    return given


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest("See errors for what is wrong where.", errors=(FieldError(field, message),))
