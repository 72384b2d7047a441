"""The open loop counts from when an ask was to be sent, and says what it could not do."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loadtests.connection import Target
from loadtests.open_loop import OpenLoop, ask_at
from tests.service import ROOT, RunningService

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def server(stall_seconds: float = 0, *, silent: bool = False) -> AsyncIterator[str]:
    """Answers at once, but stands still once, for everybody, at its tenth request; or never answers."""
    connected: list[asyncio.BaseTransport] = []
    seen, waiting, loop = 0, [], asyncio.get_running_loop()
    standing = False

    def go_on() -> None:
        nonlocal standing
        standing = False
        for transport in waiting:
            transport.write(ANSWER)

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            connected.append(transport)

        def data_received(self, _data: bytes) -> None:
            nonlocal seen, standing
            seen += 1
            if seen == 10 and stall_seconds:
                standing = True
                loop.call_later(stall_seconds, go_on)
            if standing:
                waiting.append(self.transport)
            elif not silent:
                self.transport.write(ANSWER)

    running = await loop.create_server(Server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    finally:
        running.close()
        for transport in connected:
            transport.close()
        await asyncio.sleep(0.01)


async def test_a_standstill_is_felt_by_everybody_who_was_to_ask_meanwhile() -> None:
    async with server(stall_seconds=1) as url:
        opened = await OpenLoop(url, Target(url).get("/"), rate=100, seconds=2, connections=4).run()

    assert opened.planned == len(opened.latencies) == 200
    assert opened.held_back > 10  # four connections were not enough: that is told, and counted into the latencies
    assert opened.latencies.ms(75) > 400  # of 200 asks 100 fell into that second, and waited half of it on average
    assert opened.latencies.ms(100) >= 900


async def test_asks_that_nobody_answers_are_missed() -> None:
    async with server(silent=True) as url:
        opened = await OpenLoop(url, Target(url).get("/"), rate=50, seconds=0.5, connections=2).run(0.1)

    assert opened.missed == opened.planned == 25
    assert len(opened.latencies) == 0


async def test_it_says_when_it_cannot_keep_the_rate_itself() -> None:
    async with server() as url:
        opened = await OpenLoop(url, Target(url).get("/"), rate=10_000_000, seconds=0.01, connections=4).run()

    assert opened.saturated


async def test_it_asks_the_service_plain_and_streamed(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        for stream in (False, True):
            opened = await ask_at(service.url, 20, 1, stream=stream)

            assert len(opened.latencies) == 20
            assert opened.latencies.ms(50) > 0
        assert service.client.get("/dashboard").json()["totals"]["questions"] == 40


def test_its_exit_code_tells_of_failed_asks(tmp_path: Path) -> None:
    with RunningService(tmp_path, CLIENT_REQUESTS_PER_MINUTE="1") as service:
        command = [
            sys.executable,
            "-m",
            "loadtests.open_loop",
            "--url",
            service.url,
            "--rate",
            "20",
            "--seconds",
            "0.5",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "asks ended with 429" in done.stdout
