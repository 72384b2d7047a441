"""Values that hold somebody's words."""

import msgspec


class Unspoken(msgspec.Struct, frozen=True):
    """What somebody said: its representation, which a traceback or a log line may show, does not repeat it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"
