"""Between the service and healthy providers the network is bad: slow, cut into crumbs, cut off."""

from collections.abc import Iterator

import pytest

from tests.faults.asked import FAST, asked, check_record, check_time
from tests.faults.toxiproxy import Toxiproxy
from tests.service import RunningService, providers
from tests.stubs import StubProviders

pytestmark = pytest.mark.deep

NEXT = {"groq": "ollama", "ollama": "database"}
MODES = pytest.mark.parametrize("mode", ["plain", "stream"])
PROVIDERS = pytest.mark.parametrize("provider", ["groq", "ollama"])


@pytest.fixture(scope="module")
def proxy(running_stubs: StubProviders) -> Iterator[Toxiproxy]:
    upstream = running_stubs.url.removeprefix("http://")
    with Toxiproxy(groq=upstream, ollama=upstream) as running:
        yield running


@pytest.fixture(scope="module")
def service(proxy: Toxiproxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    groq, ollama = (f"http://{proxy.addresses[name]}" for name in ("groq", "ollama"))
    with RunningService(tmp_path_factory.mktemp("data"), **providers(f"{groq}/openai/v1", ollama, **FAST)) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def bad(proxy: Toxiproxy, stubs: StubProviders, provider: str) -> Iterator[Toxiproxy]:
    """Spoils nothing yet; Groq refuses the question if it is Ollama's turn."""
    if provider == "ollama":
        stubs.behave("groq", "status", code=400)
    yield proxy
    proxy.reset()


@MODES
@PROVIDERS
@pytest.mark.parametrize(
    ("toxic", "attributes", "reason"),
    [
        ("latency", {"latency": 3_000}, "timeout"),
        ("timeout", {"timeout": 0}, "timeout"),
        ("timeout", {"timeout": 200}, "connection"),
        ("reset_peer", {"timeout": 0}, "connection"),
        ("reset_peer", {"timeout": 200}, "connection"),
        ("limit_data", {"bytes": 60}, "connection"),
        ("bandwidth", {"rate": 0}, "timeout"),
        ("slicer", {"average_size": 1, "size_variation": 0, "delay": 50_000}, "timeout"),
    ],
)
def test_a_bad_network_is_answered_by_the_next_tier(
    service: RunningService,
    bad: Toxiproxy,
    toxic: str,
    attributes: dict[str, int],
    reason: str,
    provider: str,
    mode: str,
) -> None:
    bad.spoil(provider, toxic, **attributes)

    it = asked(service, mode)

    tries = 2 if reason == "connection" else 1
    assert [tried for tried in it.tries if tried[0] == provider] == [(provider, "failed", reason)] * tries
    assert it.tries[-1] == (NEXT[provider], "answered", None)
    check_time(it)
    check_record(service, it)


@MODES
@PROVIDERS
@pytest.mark.parametrize(
    ("toxic", "attributes"),
    [
        ("latency", {"latency": 150, "jitter": 50}),
        ("slow_close", {"delay": 5_000}),
        ("bandwidth", {"rate": 50}),
        ("slicer", {"average_size": 16, "size_variation": 8, "delay": 10}),
        ("limit_data", {"bytes": 1_000_000}),
    ],
)
def test_a_network_that_is_good_enough_is_enough(
    service: RunningService, bad: Toxiproxy, toxic: str, attributes: dict[str, int], provider: str, mode: str
) -> None:
    bad.spoil(provider, toxic, **attributes)

    it = asked(service, mode)

    assert it.tries[-1] == (provider, "answered", None)
    check_record(service, it)


@MODES
@PROVIDERS
def test_a_provider_that_goes_and_comes_back_is_asked_again_at_once(
    service: RunningService, bad: Toxiproxy, provider: str, mode: str
) -> None:
    for _ in range(3):
        assert asked(service, mode).body["source"] == provider
        bad.enable(provider, enabled=False)
        gone = asked(service, mode)
        assert gone.body["source"] == NEXT[provider]
        assert {tried[2] for tried in gone.tries if tried[0] == provider} == {"connection"}
        bad.enable(provider, enabled=True)
