"""The workflows are sound: actionlint is content, nothing floats, rights are least."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.peers.servers import CACHE

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONLINT = CACHE / "bin/actionlint"


def read(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_the_workflows_are_there() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "deploy", "image", "nightly-load"]


def test_actionlint_finds_nothing(require: Callable[[str, bool], None]) -> None:
    require(f"actionlint (no {ACTIONLINT}; run scripts/install-peers.sh)", ACTIONLINT.exists())
    command = [ACTIONLINT, "-no-color", "-shellcheck", shutil.which("shellcheck") or "", *WORKFLOWS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda it: it.stem)
def test_every_action_is_pinned(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))

    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@([0-9a-f]{40} # v\d+\.\d+\.\d+|v\d+\.\d+\.\d+)", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda it: it.stem)
def test_rights_are_least_and_runs_do_not_pile_up(path: Path) -> None:
    workflow = read(path)

    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 45


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda it: it.stem)
def test_no_shell_line_holds_an_expression(path: Path) -> None:
    """Pasted into a script, an expression could run as code or print a secret; variables carry them."""
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


def test_every_script_a_workflow_calls_is_there() -> None:
    for path in WORKFLOWS:
        for script in re.findall(r"scripts/[\w.-]+", path.read_text(encoding="utf-8")):
            assert (ROOT / script).exists(), script
