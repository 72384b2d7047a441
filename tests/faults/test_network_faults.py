"""A provider that cannot be reached, or whose process stops or dies: the next tier answers, in time."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults import networks
from tests.faults.asked import FAST, Asked, asked, check_record, check_time
from tests.service import RunningService, providers
from tests.stubs import StubProviders

NEXT = {"groq": "ollama", "ollama": "database"}
MODES = pytest.mark.parametrize("mode", ["plain", "stream"])
PROVIDERS = pytest.mark.parametrize("provider", ["groq", "ollama"])


@contextmanager
def service_with(folder: Path, stubs: StubProviders, provider: str, url: str) -> Iterator[RunningService]:
    """A service whose provider is at `url` (without a path); without a fault in Groq there is no Groq."""
    at = f"{url}/openai/v1" if provider == "groq" else url
    variables = providers(stubs.groq_url, stubs.ollama_url, **FAST) | {f"{provider.upper()}_URL": at}
    if provider == "ollama":
        variables["GROQ_API_KEY"] = ""
    with RunningService(folder, **variables) as service:
        yield service
        assert "Traceback" not in service.log


def check_fault(service: RunningService, provider: str, mode: str, reason: str, tries: int = 1) -> Asked:
    """One question, failed `tries` times by the provider for this reason and answered by the next tier."""
    it = asked(service, mode)
    failed = [(provider, "failed", reason)] * tries
    assert [tried for tried in it.tries if tried[0] == provider] == failed
    assert it.tries[-1] == (NEXT[provider], "answered", None)
    check_time(it)
    assert check_record(service, it)[provider] == [None] * tries
    return it


@PROVIDERS
def test_a_refused_connection_is_not_tried_again(tmp_path: Path, stubs: StubProviders, provider: str) -> None:
    with networks.refusing() as nobody, service_with(tmp_path, stubs, provider, f"http://{nobody}") as service:
        for mode in ("plain", "stream"):
            assert check_fault(service, provider, mode, "connection").body["responseTime"] < 300
        checks = service.client.get("/health").json()["checks"]
        assert checks[provider] == {"status": "degraded", "available": False, "error": "connection"}


@PROVIDERS
def test_a_syn_that_nobody_answers_is_a_timeout(tmp_path: Path, stubs: StubProviders, provider: str) -> None:
    with networks.black_hole() as nowhere, service_with(tmp_path, stubs, provider, f"http://{nowhere}") as service:
        for mode in ("plain", "stream"):
            check_fault(service, provider, mode, "timeout")


@PROVIDERS
def test_a_name_that_does_not_exist_is_a_failed_connection(tmp_path: Path, stubs: StubProviders, provider: str) -> None:
    name, started_at = "no-such-host.invalid", time.monotonic()  # RFC 6761 §6.4
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(name, 80)
    # Where no name server answers either, looking it up takes longer than a try may.
    reason = "connection" if time.monotonic() - started_at < 0.3 else "timeout"

    with service_with(tmp_path, stubs, provider, f"http://{name}") as service:
        for mode in ("plain", "stream"):
            check_fault(service, provider, mode, reason)


@PROVIDERS
def test_a_certificate_that_nobody_signed_is_not_trusted(tmp_path: Path, stubs: StubProviders, provider: str) -> None:
    with (
        networks.untrusted_tls(tmp_path) as (impostor, handshakes),
        service_with(tmp_path / "data", stubs, provider, f"https://{impostor}") as service,
    ):
        for mode in ("plain", "stream"):
            check_fault(service, provider, mode, "connection")

    assert len(handshakes) >= 2
    assert all("alert" in ended.lower() for ended in handshakes), handshakes


@PROVIDERS
def test_tls_where_there_is_none_is_a_failed_connection(tmp_path: Path, stubs: StubProviders, provider: str) -> None:
    tls = stubs.url.replace("http:", "https:")
    with service_with(tmp_path, stubs, provider, tls) as service:
        for mode in ("plain", "stream"):
            check_fault(service, provider, mode, "connection")


@PROVIDERS
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_says_nothing_is_a_timeout(
    tmp_path: Path, stubs: StubProviders, scheme: str, provider: str
) -> None:
    with networks.silent() as mute, service_with(tmp_path, stubs, provider, f"{scheme}://{mute}") as service:
        for mode in ("plain", "stream"):
            check_fault(service, provider, mode, "timeout")


# In a network of its own.


@pytest.mark.deep
@PROVIDERS
@pytest.mark.parametrize(
    ("rule", "reason"), [("drop", "timeout"), ("reject with icmpx type host-unreachable", "connection")]
)
def test_a_firewall_in_between(tmp_path: Path, rule: str, reason: str, provider: str) -> None:
    def scenario() -> None:
        with StubProviders() as stubs, StubProviders() as walled:
            port = walled.url.rpartition(":")[2]
            networks.filter_loopback(f"tcp dport {port} {rule}")
            with service_with(tmp_path, stubs, provider, walled.url) as service:
                for mode in ("plain", "stream"):
                    check_fault(service, provider, mode, reason)

    networks.in_own_network(scenario)


@pytest.mark.deep
@PROVIDERS
def test_a_cable_that_is_pulled_under_open_connections_and_put_back(tmp_path: Path, provider: str) -> None:
    def scenario() -> None:
        with StubProviders() as stubs, StubProviders() as far:
            port = far.url.rpartition(":")[2]
            with service_with(tmp_path, stubs, provider, far.url) as service:
                for mode in ("plain", "stream"):
                    assert asked(service, mode).body["source"] == provider
                    networks.filter_loopback(f"tcp dport {port} drop", f"tcp sport {port} drop")
                    check_fault(service, provider, mode, "timeout")
                    networks.filter_loopback()
                    assert asked(service, mode).body["source"] == provider

    networks.in_own_network(scenario)


@pytest.mark.deep
@PROVIDERS
def test_no_route_is_a_failed_connection(tmp_path: Path, provider: str) -> None:
    def scenario() -> None:
        with StubProviders() as stubs, service_with(tmp_path, stubs, provider, "http://192.0.2.1") as service:
            for mode in ("plain", "stream"):
                check_fault(service, provider, mode, "connection")

    networks.in_own_network(scenario)


@pytest.mark.deep
@PROVIDERS
def test_a_name_server_that_says_nothing_is_a_timeout(tmp_path: Path, provider: str) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:30\n")

    def scenario() -> None:
        networks.run("mount", "--bind", str(resolver), "/etc/resolv.conf")
        with socket.socket(type=socket.SOCK_DGRAM) as mute, StubProviders() as stubs:
            mute.bind(("127.0.0.1", 53))
            with service_with(tmp_path / "data", stubs, provider, "http://api.example.com") as service:
                for mode in ("plain", "stream"):
                    check_fault(service, provider, mode, "timeout")
            mute.settimeout(1)
            assert b"example" in mute.recv(512)

    networks.in_own_network(scenario)


# The provider's process.


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[dict[str, StubProviders], RunningService]]:
    """A process for each provider, and a service that asks them."""
    with ExitStack() as stack:
        both = {name: stack.enter_context(StubProviders()) for name in ("groq", "ollama")}
        variables = providers(both["groq"].groq_url, both["ollama"].ollama_url, **FAST)
        service = stack.enter_context(RunningService(tmp_path, **variables))
        yield both, service
        assert "Traceback" not in service.log


Pair = tuple[dict[str, StubProviders], RunningService]


def send(stubs: StubProviders, number: signal.Signals) -> None:
    os.kill(stubs._process.pid, number)


@MODES
@PROVIDERS
def test_a_process_that_is_stopped_is_a_timeout_and_answers_again_later(pair: Pair, provider: str, mode: str) -> None:
    both, service = pair
    if provider == "ollama":
        both["groq"].behave("groq", "status", code=400)
    assert asked(service, mode).body["source"] == provider

    send(both[provider], signal.SIGSTOP)
    try:
        check_fault(service, provider, mode, "timeout")
    finally:
        send(both[provider], signal.SIGCONT)

    assert asked(service, mode).body["source"] == provider


@MODES
@PROVIDERS
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=lambda number: number.name)
def test_a_process_that_stops_or_dies_while_it_is_asked(
    pair: Pair, provider: str, mode: str, number: signal.Signals
) -> None:
    both, service = pair
    if provider == "ollama":
        both["groq"].behave("groq", "status", code=400)
    both[provider].behave(provider, "stall_after_delta" if mode == "stream" else "hang")
    blow = threading.Timer(0.2, send, (both[provider], number))
    blow.start()

    try:
        if number is signal.SIGSTOP:
            it = check_fault(service, provider, mode, "timeout")
        else:
            # The call that was lost is made again, which is refused; not so where some of the text was shown.
            it = check_fault(service, provider, mode, "connection", tries=2 if mode == "plain" else 1)
            assert it.body["attempts"][-2 if mode == "stream" else -3]["durationMs"] >= 100
            assert check_fault(service, provider, mode, "connection").body["responseTime"] < 300
    finally:
        blow.join()
        send(both[provider], signal.SIGCONT)

    assert it.discards == ([it.tries[-2][2]] if mode == "stream" else [])
