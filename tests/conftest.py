"""What holds for every test: a missing component skips on a user's machine and fails where CI=true."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a slow machine is no failure
settings.load_profile("untimed")

IN_CI = os.environ.get("CI") == "true"
EXCUSED = "Skipped: platform:"
"""How the reason of a skip starts that no component could cure."""


def require(component: str, present: bool) -> None:
    """Go on if the component is present; else skip the test with the reason or, with CI=true, fail it."""
    if present:
        return
    if IN_CI:
        pytest.fail(f"{component} is missing, and CI must have it", pytrace=False)
    pytest.skip(f"{component} is missing")


@pytest.fixture(scope="session", name="require")
def require_fixture() -> Callable[[str, bool], None]:
    """`require` for those who do not import it."""
    return require


def unexcused_skips(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """Node id and reason of each skip that CI does not accept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for report in reporter.stats.get("skipped", []) if IN_CI and reporter else []:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.startswith(EXCUSED):
            yield report.nodeid, reason


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and any(unexcused_skips(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for nodeid, reason in unexcused_skips(terminalreporter.config):
        terminalreporter.write_line(f"FAILED {nodeid} - with CI=true no test may skip: {reason}", red=True)
