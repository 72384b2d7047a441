"""Asks at a fixed rate, whether or not earlier ones are answered: what visitors feel who do not wait for each other.

python -m loadtests.open_loop [--url URL] [--rate 100] [--seconds 30] [--connections 512] [--stream] [--json FILE]

A latency counts from the moment the ask was to be sent, also if no connection was free then: a service that stands
still for a second has made a second's worth of visitors wait, not one (coordinated omission). Percentiles are
exact; a send may be a millisecond late (the loop's timers), which counts as latency, too. Without a URL service and
stub providers are started here. LOADTEST_TOKEN is sent if it is set. Exit code 1 if asks failed or were missed, or if
this program itself could not keep the rate.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter, deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from loadtests.connection import Connection, Reply, Target
from loadtests.latencies import Latencies
from loadtests.load import started
from loadtests.scenarios import SCENARIOS

QUESTION = {"question": "¿Encontraré el amor este año?", "personality": "wise", "language": "es"}
OWN_LATENESS_MS = 5.0
FINISH_SECONDS = 30.0


@dataclass
class Opened:
    """What came of a run. `own_lateness`: how late this program got round to a send, a connection free or not.

    `held_back`: sends that had to wait for a connection; `missed`: never sent, or not answered within 30 s of the end.
    """

    rate: float
    planned: int
    latencies: Latencies = field(default_factory=Latencies)
    own_lateness: Latencies = field(default_factory=Latencies)
    failed: Counter[int] = field(default_factory=Counter)
    held_back: int = 0

    @property
    def missed(self) -> int:
        return self.planned - len(self.latencies) - self.failed.total()

    @property
    def saturated(self) -> bool:
        """Whether the latencies tell of this program rather than of the service."""
        return not self.own_lateness.ms(99) < OWN_LATENESS_MS

    def figures(self) -> dict[str, float]:
        shares = {f"p{share:g}_ms": round(self.latencies.ms(share), 3) for share in (50, 95, 99, 99.9, 100)}
        counts = {"held_back": self.held_back, "missed": self.missed, "failed": self.failed.total()}
        own = {"own_lateness_p99_ms": round(self.own_lateness.ms(99), 3), "saturated": self.saturated}
        return {"rate": self.rate, "planned": self.planned, "answered": len(self.latencies)} | shares | counts | own


class OpenLoop:
    """Sends `request` at a fixed rate over at most so many connections."""

    def __init__(self, url: str, request: bytes, rate: float, seconds: float, connections: int) -> None:
        self.opened = Opened(rate, max(1, round(rate * seconds)))
        self._request = request
        self._target = Target(url)
        self._most, self._made = connections, 0
        self._connections: list[Connection] = []
        self._free: list[Connection] = []
        self._held_back: deque[float] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_ended = asyncio.Event()
        self._over = False

    async def run(self, finish_seconds: float = FINISH_SECONDS) -> Opened:
        for _ in range(min(self._most, 16)):
            self._free.append(await self._connection())
            self._made += 1
        gap = 1 / self.opened.rate
        start = time.perf_counter() + 0.05
        for number in range(self.opened.planned):
            due = start + number * gap
            left = due - time.perf_counter()
            if left > 0 or number % 16 == 0:  # behind the plan, answers must still be read
                await asyncio.sleep(max(0, left))
            self.opened.own_lateness.add(max(0, time.perf_counter() - due))
            self._dispatch(due)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(finish_seconds):
                await self._all_ended.wait()
        for task in self._tasks:
            task.cancel()
        self._over = True  # what now comes of closing is no answer
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)  # they say goodbye
        return self.opened

    def _dispatch(self, due: float) -> None:
        while self._free:
            connection = self._free.pop()
            if connection.open:
                self._send(connection, due)
                return
            self._made -= 1
        self._held_back.append(due)
        self.opened.held_back += 1
        if self._made < self._most:
            self._made += 1
            task = asyncio.create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        try:
            self._go_on(await self._connection())
        except OSError:
            self._made -= 1
            if self._held_back:
                self._held_back.popleft()
                self._failed(0)

    async def _connection(self) -> Connection:
        connection = await self._target.connect()
        self._connections.append(connection)
        return connection

    def _send(self, connection: Connection, due: float) -> None:
        connection.send(self._request).add_done_callback(lambda reply: self._answered(connection, due, reply.result()))

    def _answered(self, connection: Connection, due: float, reply: Reply) -> None:
        if self._over:
            return
        if reply.status == 200:
            self.opened.latencies.add(reply.at - due)
        else:
            self._failed(reply.status)
        self._look_for_the_end()
        if connection.open:
            self._go_on(connection)
        else:
            self._made -= 1

    def _failed(self, status: int) -> None:
        self.opened.failed[status] += 1
        self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        if not self.opened.missed:
            self._all_ended.set()

    def _go_on(self, connection: Connection) -> None:
        if self._held_back:
            self._send(connection, self._held_back.popleft())
        else:
            self._free.append(connection)


async def ask_at(url: str, rate: float, seconds: float, *, connections: int = 512, stream: bool = False) -> Opened:
    """Asks the service so many questions a second for so long. Raises OSError if nobody listens."""
    headers = {"accept": "text/event-stream"} if stream else {}
    if token := os.environ.get("LOADTEST_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    request = Target(url).post("/ouija/ask", QUESTION, headers)
    return await OpenLoop(url, request, rate, seconds, connections).run()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.open_loop", description="Asks at a fixed rate.")
    parser.add_argument("--url", help="a deployment; by default service and stub providers are started here")
    parser.add_argument("--rate", type=float, default=100, help="asks a second (default 100)")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=512, help="at most so many at once (default 512)")
    parser.add_argument("--stream", action="store_true", help="server-sent events; counted until the last one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written to as well")
    given = parser.parse_args()
    with ExitStack() as here:
        url = given.url
        if not url:
            _, service = here.enter_context(started(SCENARIOS["smoke"]))
            os.environ["LOADTEST_TOKEN"], url = service.loadtest_token, service.url
        opened = uvloop.run(
            ask_at(url.rstrip("/"), given.rate, given.seconds, connections=given.connections, stream=given.stream)
        )
    for name, value in opened.figures().items():
        print(f"{name:20} {value}")
    for status, count in opened.failed.items():
        print(f"{count} asks ended with {status or 'a broken connection'}")
    if given.json:
        given.json.write_text(json.dumps(opened.figures()), encoding="utf-8")
    if opened.saturated:
        print("this program did not keep the rate itself: the latencies are not the service's", file=sys.stderr)
    return 1 if opened.saturated or opened.missed or opened.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
