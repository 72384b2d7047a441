"""One stub server and one service for the tests that only change how the providers behave."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import AUDIT_TOKEN, RunningService, providers
from tests.stubs import StubProviders

FAST = {
    "GROQ_TIMEOUT_SECONDS": "0.6",
    "OLLAMA_TIMEOUT_SECONDS": "0.6",
    "ANSWER_DEADLINE_SECONDS": "4",
    "BREAKER_FAILURES": "1000000",
}
"""A provider that hangs costs a test 0.6 s."""


@pytest.fixture(scope="module")
def stubs() -> Iterator[StubProviders]:
    with StubProviders() as running:
        yield running


@pytest.fixture(scope="module")
def service(stubs: StubProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    variables = providers(stubs.groq_url, stubs.ollama_url, **FAST)
    with RunningService(tmp_path_factory.mktemp("data"), **variables) as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy_providers(stubs: StubProviders) -> None:
    stubs.reset()


def history(service: RunningService, question_id: str) -> list[tuple[str, dict[str, Any]]]:
    """A question's recorded events, (name, data) in order."""
    answer = service.client.get(
        f"/audit/questions/{question_id}", headers={"Authorization": f"Bearer {AUDIT_TOKEN}"}
    ).raise_for_status()
    return [(event["type"].split(".")[1], event["data"]) for event in answer.json()["events"]]
