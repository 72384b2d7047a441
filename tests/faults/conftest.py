"""One stub server and one service for the tests that only change what the providers do."""

from collections.abc import Iterator

import pytest

from tests.faults.asked import FAST
from tests.service import RunningService, providers
from tests.stubs import StubProviders


@pytest.fixture(scope="module")
def running_stubs() -> Iterator[StubProviders]:
    with StubProviders() as running:
        yield running


@pytest.fixture
def stubs(running_stubs: StubProviders) -> StubProviders:
    """Both providers healthy, nothing counted."""
    running_stubs.reset()
    return running_stubs


@pytest.fixture(scope="module")
def service(running_stubs: StubProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    variables = providers(running_stubs.groq_url, running_stubs.ollama_url, **FAST)
    with RunningService(tmp_path_factory.mktemp("data"), **variables) as running:
        yield running
        assert "Traceback" not in running.log
