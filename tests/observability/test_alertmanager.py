"""Alertmanager holds back what another alert says already, and nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.observability.servers import ALERTMANAGER_PROGRAM, RunningAlertmanager

BURN = {"alertname": "OuijaErrorBudgetBurn", "job": "ouija", "instance": "a"}
DOWN = {"alertname": "OuijaTargetDown", "job": "ouija", "severity": "page"}
BREAKER = {"alertname": "OuijaBreakerOpen", "job": "ouija", "severity": "ticket", "provider": "groq"}
STORE = {"alertname": "OuijaStoreErrors", "job": "ouija", "severity": "page", "instance": "a"}


def test_what_is_held_back(tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    require("Alertmanager (Debian: prometheus-alertmanager)", shutil.which(ALERTMANAGER_PROGRAM) is not None)
    page, ticket = {"severity": "page"}, {"severity": "ticket"}
    with RunningAlertmanager(tmp_path) as alertmanager:
        alertmanager.tell(
            BURN | page | {"objective": "availability"},
            BURN | ticket | {"objective": "availability"},  # held back: a page says it
            BURN | ticket | {"objective": "answers_in_time"},  # another objective
            STORE,  # a page, but of no objective: it holds back no ticket
            BREAKER | {"instance": "a"},
            DOWN | {"instance": "b"},
            BREAKER | {"instance": "b"},  # held back: the target is down
            DOWN | {"instance": "c"},  # two that are down do not hide each other
        )
        states = {name(it["labels"]): (it["status"]["state"], it["receivers"]) for it in alertmanager.alerts()}
    held_back = {it for it, (state, _) in states.items() if state == "suppressed"}
    assert held_back == {"OuijaErrorBudgetBurn ticket a availability", "OuijaBreakerOpen ticket b"}
    assert len(states) == 8
    for it, (_, receivers) in states.items():
        assert receivers == [{"name": it.split()[1]}]


def name(labels: dict[str, str]) -> str:
    return " ".join(labels[it] for it in ("alertname", "severity", "instance", "objective") if it in labels)
