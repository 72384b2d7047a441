"""One scrape of a service that has seen everything."""

import sys

import pytest

from scripts.write_metrics_docs import scrape


@pytest.fixture(scope="session")
def scraped_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    if sys.platform != "linux":
        pytest.skip("platform: only Linux tells prometheus-client about a process")
    return scrape(tmp_path_factory.mktemp("data"))
