"""How long a stream may say nothing: one timer for all its reads."""

import asyncio
from types import TracebackType


class Stall:
    """Ends what waits in a `with stall:` block for longer than `seconds` with TimeoutError, as `asyncio.timeout` does.

    That one sets a timer and takes it back for each piece of a stream, which costs more than to read the piece. Here
    the timer stays: when it goes off too early it is set anew for the rest. One task at a time; `close` it at the end.
    """

    __slots__ = ("_cancelling", "_given_up", "_loop", "_seconds", "_task", "_timer", "_until", "_waiting")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("only a task can be ended")
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] = task
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._cancelling = 0
        self._waiting = self._given_up = False

    def __enter__(self) -> None:
        self._until = self._loop.time() + self._seconds
        self._waiting = True
        self._cancelling = self._task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting = False
        if self._given_up:
            self._given_up = False
            # Somebody else may have cancelled the task as well: then that is what counts.
            if self._task.uncancel() <= self._cancelling and isinstance(value, asyncio.CancelledError):
                raise TimeoutError from value

    def close(self) -> None:
        """Takes the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
        else:
            self._given_up = True
            self._task.cancel()
