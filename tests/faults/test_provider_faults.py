"""Whatever a provider does, the next tier answers: with 200, in time, and with the right reason on record."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.faults.asked import FAST, GRACE_SECONDS, asked, check_record, check_time
from tests.faults.table import BLOCKING, FAULTS, QUIRKS, ROOM, Fault, Quirk, cases
from tests.service import RunningService, providers
from tests.stubs import StubProviders

NEXT = {"groq": "ollama", "ollama": "database"}
MODES = pytest.mark.parametrize("mode", ["plain", "stream"])
PROVIDERS = pytest.mark.parametrize("provider", ["groq", "ollama"])
KILOBYTES_IN_A_MEGABYTE = 1024


def ids(value: object) -> str:
    return value.name if isinstance(value, Fault | Quirk) else str(value)


def misbehave(stubs: StubProviders, provider: str, behaviour: str, parameters: dict[str, Any]) -> None:
    """Ollama is only asked where Groq refuses the question."""
    if provider == "ollama":
        stubs.behave("groq", "status", code=400)
    stubs.behave(provider, behaviour, **parameters)


def test_the_table_is_as_long_as_promised() -> None:
    names = {fault.name for fault in [*FAULTS, *BLOCKING]}
    assert len(names) >= 40
    assert {mode for _, _, mode in cases(FAULTS)} == {"plain", "stream"}
    assert len(cases(FAULTS)) == len({(it.name, *where) for it, *where in cases(FAULTS)})


@pytest.mark.parametrize(("fault", "provider", "mode"), cases(FAULTS), ids=ids)
def test_a_fault_is_answered_by_the_next_tier(
    service: RunningService, stubs: StubProviders, fault: Fault, provider: str, mode: str
) -> None:
    misbehave(stubs, provider, fault.behaviour, fault.parameters)

    it = asked(service, mode)

    tries = fault.tries(mode)
    groq = [("groq", "failed", "bad_request")] if provider == "ollama" else []
    assert it.tries == [*groq, *[(provider, "failed", fault.reason)] * tries, (NEXT[provider], "answered", None)]
    assert it.body["source"] == NEXT[provider]
    assert it.discards == ([fault.reason] if fault.shown and mode == "stream" else [])
    assert stubs.calls(provider) == tries
    assert stubs.state()["strays"] == []
    check_time(it)
    assert check_record(service, it)[provider] == [fault.status] * tries


@pytest.mark.parametrize(("quirk", "provider", "mode"), cases(QUIRKS), ids=ids)
def test_what_is_merely_odd_is_no_fault(
    service: RunningService, stubs: StubProviders, quirk: Quirk, provider: str, mode: str
) -> None:
    misbehave(stubs, provider, quirk.behaviour, quirk.parameters)

    it = asked(service, mode)

    assert it.tries[-1] == (provider, "answered", None)
    assert (it.body["source"], it.body["response"]) == (provider, quirk.response)
    assert stubs.calls(provider) == 1
    check_record(service, it)
    stubs.behave("groq", "ok")
    assert asked(service, mode).body["source"] == "groq"


@MODES
@pytest.mark.parametrize("fault", BLOCKING, ids=ids)
def test_a_provider_that_wants_to_be_left_alone_is(
    tmp_path: Path, stubs: StubProviders, fault: Fault, mode: str
) -> None:
    skipped = "breaker_open" if fault.reason == "unauthorized" else "rate_limited"
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url, **FAST)) as service:
        stubs.behave("groq", fault.behaviour, **fault.parameters)
        first = asked(service, mode)
        stubs.behave("ollama", fault.behaviour, **fault.parameters)
        second, third = asked(service, mode), asked(service, mode)

        assert first.tries == [("groq", "failed", fault.reason), ("ollama", "answered", None)]
        assert second.tries[:2] == [("groq", "skipped", skipped), ("ollama", "failed", fault.reason)]
        assert third.tries[:2] == [("groq", "skipped", skipped), ("ollama", "skipped", skipped)]
        assert (stubs.calls("groq"), stubs.calls("ollama")) == (1, 2)
        assert check_record(service, first) == {"groq": [fault.status]}
        assert check_record(service, second) == {"ollama": [fault.status]}
        for it in (first, second, third):
            check_time(it)
        assert "Traceback" not in service.log


@MODES
@PROVIDERS
@pytest.mark.parametrize(
    "headers", [{"retry-after": "0.3"}, {"retry-after": None, "retry-after-ms": "300"}], ids=["seconds", "ms"]
)
def test_a_short_wait_is_waited_for(
    service: RunningService, stubs: StubProviders, headers: dict[str, str | None], provider: str, mode: str
) -> None:
    again = {"behaviour": "status", "code": 429, "headers": headers | ROOM}
    if provider == "ollama":
        stubs.behave("groq", "status", code=400)
    stubs.behave(provider, [again, "ok"])

    it = asked(service, mode)

    assert it.tries[-2:] == [(provider, "failed", "rate_limited"), (provider, "answered", None)]
    assert it.body["responseTime"] >= 300
    first, second = (request["at"] for request in stubs.requests(provider))
    assert second - first >= 0.3
    check_record(service, it)


@MODES
def test_groq_s_own_429_leaves_it_alone_until_it_has_tokens_again(
    tmp_path: Path, stubs: StubProviders, mode: str
) -> None:
    stubs.behave("groq", [{"behaviour": "status", "code": 429, "headers": {"retry-after": "1"}}, "ok"])
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url, **FAST)) as service:
        first = asked(service, mode)
        time.sleep(max(0.0, 2.1 - first.seconds))
        later = asked(service, mode)

        # The wait it asked for is over after 1 s, its minute says 2 s.
        assert first.tries == [
            ("groq", "failed", "rate_limited"),
            ("groq", "skipped", "bucket_empty"),
            ("ollama", "answered", None),
        ]
        assert later.tries == [("groq", "answered", None)]
        check_time(first)
        check_record(service, first)


@MODES
@PROVIDERS
@pytest.mark.parametrize("behaviour", ["hang", "hang_after_headers", "drip"])
def test_a_call_that_is_given_up_is_hung_up(
    service: RunningService, stubs: StubProviders, behaviour: str, provider: str, mode: str
) -> None:
    misbehave(stubs, provider, behaviour, {})

    asked(service, mode)

    give_up_at = time.monotonic() + 2
    while (ended := stubs.requests(provider)[-1]["ended"]) is None and time.monotonic() < give_up_at:
        time.sleep(0.02)
    assert ended == "disconnected"
    assert stubs.state()[provider]["in_flight"] == 0


def peak_kilobytes(service: RunningService) -> int:
    """The most memory the service has had so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{service.process.pid}/status").read_text())
    assert found
    return int(found[1])


def test_64_megabytes_do_not_get_into_the_memory(tmp_path: Path, stubs: StubProviders) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("platform: no /proc")
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url, **FAST)) as service:
        asked(service, "stream")
        before = peak_kilobytes(service)
        for behaviour in ("gzip_bomb", "big_body", {"behaviour": "big_body", "chunked": True}):
            for provider in ("groq", "ollama"):
                stubs.behave(provider, [behaviour])
            for mode in ("plain", "stream"):
                assert asked(service, mode).body["source"] == "database"

        assert peak_kilobytes(service) - before < 24 * KILOBYTES_IN_A_MEGABYTE


@MODES
@pytest.mark.parametrize(
    "worst",
    [
        pytest.param(("hang", {}), id="hang"),
        *(
            pytest.param(worst, id=worst[0], marks=pytest.mark.deep)
            for worst in [
                ("drip", {"interval_ms": 50}),
                ("hang_after_headers", {}),
                ("status", {"code": 429, "headers": {"retry-after": "0.4"} | ROOM}),
                ("big_body", {"mb": 4, "chunked": True}),
            ]
        ),
    ],
)
def test_of_thirty_at_once_the_last_is_answered_in_time(
    tmp_path: Path, stubs: StubProviders, worst: tuple[str, dict[str, Any]], mode: str
) -> None:
    # The defaults, four times as fast: timeouts of 3 s and 4 s under a deadline of 8 s.
    deadline = 2.0
    variables = FAST | {
        "GROQ_TIMEOUT_SECONDS": "0.75",
        "OLLAMA_TIMEOUT_SECONDS": "1",
        "ANSWER_DEADLINE_SECONDS": str(deadline),
    }
    behaviour, parameters = worst
    for provider in ("groq", "ollama"):
        stubs.behave(provider, behaviour, **parameters)
    with (
        RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url, **variables)) as service,
        ThreadPoolExecutor(30) as clients,
    ):
        all_asked = list(clients.map(lambda _: asked(service, mode), range(30)))

        assert {it.body["source"] for it in all_asked} == {"database"}
        slowest = max(it.body["responseTime"] for it in all_asked) / 1000
        assert slowest <= deadline + GRACE_SECONDS
        # Thirty clients in one Python process share its lock and the processors with the service: each may be given
        # its answer a few times 5 ms (a thread's turn) after it came, and the first connections are made here too.
        assert max(it.seconds for it in all_asked) <= deadline + GRACE_SECONDS + 0.5
        for it in all_asked:
            check_record(service, it)
