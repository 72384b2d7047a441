"""A chain, item by item: it goes on when the next one is asked for."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ouija_es.domain.vocabulary import Reason
from ouija_es.fallback.chain import Chain, Step
from ouija_es.fallback.deadline import Deadline
from ouija_es.providers.provider import Query, Reply


@dataclass(frozen=True)
class Delta:
    text: str


@dataclass(frozen=True)
class Discard:
    reason: Reason


Item = Step | Delta | Discard | Reply


class Listener:
    """Hands over what it is told, and holds the chain back until somebody wants more."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Item | None] = asyncio.Queue()
        self.wanted = asyncio.Semaphore(0)

    async def tell(self, item: Item) -> None:
        self.told.put_nowait(item)
        await self.wanted.acquire()

    async def step(self, step: Step) -> None:
        await self.tell(step)

    async def delta(self, text: str) -> None:
        await self.tell(Delta(text))

    async def discard(self, reason: Reason) -> None:
        await self.tell(Discard(reason))


async def items(chain: Chain, query: Query, deadline: Deadline, *, streamed: bool = False) -> AsyncGenerator[Item]:
    """What the chain tells, then the reply. Closing it cancels the chain."""
    listener = Listener()

    async def answer() -> Reply:
        try:
            return await chain.answer(query, deadline, listener, streamed=streamed)
        finally:
            listener.told.put_nowait(None)

    answering = asyncio.create_task(answer())
    try:
        while (item := await listener.told.get()) is not None:
            yield item
            listener.wanted.release()
        yield await answering
    finally:
        answering.cancel()
        await asyncio.wait([answering])
