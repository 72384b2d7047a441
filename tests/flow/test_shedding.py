"""While the event store cannot keep up new asks are refused at once; those let in are answered."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.service import RunningService
from tests.store.history import assert_recorded, assert_whole, open_log, streams_of
from tests.store.rows import locked

SOON_SECONDS = 0.5
PATIENCE_SECONDS = 10.0


def ask_until_one_is_shed(service: RunningService, pool: ThreadPoolExecutor) -> list[Future[httpx.Response]]:
    """Asks that come one after the other while nothing is answered; the last of them has been refused."""
    asks = []
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        asks.append(pool.submit(service.ask, f"¿Llega la pregunta {len(asks)}?"))
        time.sleep(0.25)
        if asks[-1].done():
            return asks
    raise AssertionError("nothing was shed")


def assert_shed(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "2"
    problem = answer.json()
    assert problem["type"] == "urn:ouija-es:problem:overloaded"
    assert problem["status"] == 503
    assert problem["traceId"] == answer.headers["x-trace-id"]


def test_while_the_store_is_stuck_new_asks_are_refused_at_once(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service, ThreadPoolExecutor(50) as pool:
        service.ask("¿Está todo bien?").raise_for_status()
        with locked(service.database):
            *let_in, refused = ask_until_one_is_shed(service, pool)
            assert_shed(refused.result())
            for _ in range(20):
                started_at = time.monotonic()
                assert_shed(service.ask("¿Y yo?"))
                assert time.monotonic() - started_at < SOON_SECONDS
            assert service.client.get("/health").status_code == 200
            assert service.client.get("/health/live").status_code == 200
            assert not any(ask.done() for ask in let_in)

        bodies = [ask.result().raise_for_status().json() for ask in let_in]
        assert len(bodies) >= 2
        bodies += [service.ask("¿Y ahora?").raise_for_status().json() for _ in range(5)]
        assert service.stop() == 0
        assert service.log.count("overloaded: new asks are refused") == 1
        assert "no longer overloaded" in service.log
        assert "not answered" not in service.log

    log = open_log(service.database)
    for body in bodies:
        assert_recorded(body, log)
    streams = streams_of(log)
    assert_whole(streams)
    log.close()


def test_a_question_that_comes_before_the_service_is_ready_is_held_back_not_shed(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.ask("¿Hay alguien?").raise_for_status()
    url = f"http://127.0.0.1:{free_port()}"
    with ThreadPoolExecutor(2) as pool, ExitStack() as lock:
        lock.enter_context(locked(tmp_path / "ouija.db"))
        starting = pool.submit(RunningService, tmp_path, PORT=url.rpartition(":")[2])  # is there once it is ready
        while not reachable(url) and not starting.done():
            time.sleep(0.1)
        time.sleep(2.5)  # its first event waits for longer than a batch may once it is ready
        early = pool.submit(httpx.post, f"{url}/ouija/ask", json={"question": "¿Ya?"}, timeout=30, trust_env=False)
        time.sleep(0.5)
        ready, done = httpx.get(f"{url}/health/ready", trust_env=False), early.done()
        lock.close()
        with starting.result():
            assert ready.status_code == 503
            assert not done
            assert early.result().status_code == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def reachable(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
