"""What Prometheus and Alertmanager read is valid; every alert fires, stays silent and has its runbook."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.observability.files import (
    OBSERVABILITY,
    PROMETHEUS,
    RULE_FILES,
    RULE_TESTS,
    RUNBOOKS,
    alerts,
    objectives,
)

ALERTMANAGER = OBSERVABILITY / "alertmanager/alertmanager.yml"


@pytest.fixture
def promtool(require: Callable[[str, bool], None]) -> str:
    require("promtool (Debian: prometheus)", shutil.which("promtool") is not None)
    return "promtool"


@pytest.fixture
def amtool(require: Callable[[str, bool], None]) -> str:
    require("amtool (Debian: prometheus-alertmanager)", shutil.which("amtool") is not None)
    return "amtool"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_configuration_and_rules(promtool: str) -> None:
    said = run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")
    assert f"{len(RULE_FILES)} rule files found" in said
    run(promtool, "check", "rules", *RULE_FILES)


@pytest.mark.deep
@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda it: it.stem)
def test_the_rules_do_what_their_tests_say(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


def test_every_alert_is_tested_firing_and_silent() -> None:
    fires, silent = set(), set()
    for path in RULE_TESTS:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for check in group.get("alert_rule_test", []):
                name = check["alertname"]
                expected = check.get("exp_alerts", [])
                fires |= {(name, it["exp_labels"]["severity"], it["exp_labels"].get("objective")) for it in expected}
                if not expected:
                    silent.add(name)
    known = {
        (rule["alert"], rule["labels"]["severity"], objective)
        for rule in alerts()
        for objective in (objectives() if rule["alert"] == "OuijaErrorBudgetBurn" else {None})
    }
    assert fires == known
    assert silent == {name for name, _, _ in known}


def test_every_alert_says_what_is_wrong_how_bad_and_what_to_do() -> None:
    written = set()
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, rule["alert"]
        page = re.fullmatch(r"\{\{ \$externalLabels\.runbooks \}\}/(.+)\.md", rule["annotations"]["runbook_url"])
        assert page, rule["alert"]
        for objective in objectives():
            written.add(page[1].replace("{{ $labels.objective }}", objective))
    assert written == {path.stem for path in RUNBOOKS.glob("*.md")}


def test_a_runbook_names_its_alert_and_says_where_to_look_and_what_to_do() -> None:
    names = {rule["alert"] for rule in alerts()}
    for path in RUNBOOKS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        named = re.match(r"# `(\w+)`", text)
        assert named, path.name
        assert named[1] in names, path.name
        headings = " ".join(re.findall(r"^## (.+)$", text, re.MULTILINE)).lower()
        assert "look" in headings, path.name
        assert "do" in headings.split(), path.name
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_alertmanager_takes_its_configuration_and_routes_by_severity(amtool: str) -> None:
    run(amtool, "check-config", ALERTMANAGER)
    for severity in ("page", "ticket"):
        asked = [amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}"]
        assert run(*asked).strip() == severity
