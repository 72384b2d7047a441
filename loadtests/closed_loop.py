"""So many requests always in flight: what a service can do at most, and what one costs it."""

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.connection import Target
from loadtests.latencies import Latencies

SOURCE = re.compile(rb'"source":\s*"(\w+)"')
FINISH_SECONDS = 20


@dataclass
class Measured:
    """`seconds` until the last answer came. `failed`: not 200. `sources`: who answered the asks."""

    seconds: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)
    failed: Counter[int] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def share(self, source: str) -> float:
        return self.sources[source] / max(1, self.sources.total())


async def drive(url: str, requests: Sequence[bytes], in_flight: int, seconds: float) -> Measured:
    """The requests in turn, over as many connections as there are in flight. Raises OSError if nobody listens."""
    measured, target = Measured(), Target(url)
    numbers = itertools.cycle(requests)
    started_at = time.perf_counter()
    stop_at = started_at + seconds

    async def go_on() -> None:
        connection = await target.connect()
        while (sent_at := time.perf_counter()) < stop_at:
            if not connection.open:
                connection = await target.connect()
            reply = await connection.send(next(numbers))
            if reply.status == 200:
                measured.latencies.add(reply.at - sent_at)
                measured.seconds = max(measured.seconds, reply.at - started_at)
                if found := SOURCE.search(reply.body):
                    measured.sources[found[1].decode()] += 1
            else:
                measured.failed[reply.status] += 1
        connection.close()

    async with asyncio.timeout(seconds + FINISH_SECONDS):
        await asyncio.gather(*(go_on() for _ in range(in_flight)))
    return measured
