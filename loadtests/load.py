"""`make load`: a scenario against a deployment, or against a service and stub providers that this starts and ends.

python -m loadtests.load [--scenario smoke] [--host https://...] [OPTIONS OF LOCUST], e.g. --tags asks, --seconds 60,
--allow-groq-quota, --share groq=0.9. Report and summary lie in loadtests/results/load-SCENARIO. Exit code: the gates'.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtests.results import FOLDER, ROOT
from loadtests.scenarios import PLENTY, SCENARIOS, Scenario
from tests.service import AUDIT_TOKEN, RunningService, providers
from tests.stubs import StubProviders


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.load", description="A load test with gates.")
    parser.add_argument("--scenario", choices=[*SCENARIOS], default="smoke")
    parser.add_argument("--host", help="a deployment; by default service and stub providers are started here")
    given, further = parser.parse_known_args()
    environment = dict(os.environ)
    results = FOLDER / f"load-{given.scenario}"
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary"]
    command += ["--scenario", given.scenario, "--results", str(results), "--html", str(results / "report.html")]
    command += ["--stop-timeout", "15"]
    with ExitStack() as open_here:
        if given.host:
            command += ["--host", given.host.rstrip("/")]
        else:
            stubs, service = open_here.enter_context(started(SCENARIOS[given.scenario]))
            environment |= {"LOADTEST_TOKEN": service.loadtest_token, "AUDIT_TOKEN": AUDIT_TOKEN}
            command += ["--host", service.url, "--stubs", stubs.url]
        done = subprocess.run([*command, *further], cwd=ROOT, env=environment, check=False)  # noqa: S603 - Locust
    print(f"report: {results}/report.html, figures: {results}/summary.json")
    return done.returncode


class LimitingService(RunningService):
    """Limits its clients, as a deployment does; the load test carries the token that lifts the limit."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.loadtest_token = secrets.token_urlsafe(24)
        super().__init__(
            folder, LOADTEST_TOKEN=self.loadtest_token, CLIENT_REQUESTS_PER_MINUTE="60", LOG_FORMAT="json", **variables
        )


@contextmanager
def started(scenario: Scenario) -> Iterator[tuple[StubProviders, "LimitingService"]]:
    """Stub providers and a service that asks them, on loopback, until the block ends."""
    with tempfile.TemporaryDirectory() as folder, StubProviders(latency_ms=scenario.latency_ms) as stubs:
        stubs.behave("groq", **PLENTY)
        variables = providers(stubs.groq_url, stubs.ollama_url, **scenario.service)
        with LimitingService(Path(folder), **variables) as service:
            yield stubs, service


if __name__ == "__main__":
    raise SystemExit(main())
