"""What is written about the service is what it does."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import seeds
from ouija_es import errors
from tests.service import RunningService

ROOT = Path(__file__).resolve().parents[1]


def test_the_variables_are_documented_as_they_are() -> None:
    command = [sys.executable, "-m", "scripts.write_settings_docs", "--check"]
    check = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert check.returncode == 0, check.stdout + check.stderr


def curl_lines() -> list[str]:
    """The README's curl commands, as a reader would paste them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("curl ")]


def test_the_readme_s_curl_lines_work(tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    require("curl", shutil.which("curl") is not None)
    with RunningService(tmp_path, AUDIT_TOKEN="a-long-random-token") as service:
        asked = service.ask("hola").raise_for_status().json()
        question_id = asked["questionId"]
        printed = []
        for line in curl_lines():
            command = f"{line.replace('http://127.0.0.1:3000', service.url)} --fail --silent --show-error"
            environment = {"PATH": os.environ["PATH"], "QUESTION_ID": question_id, "SESSION_ID": asked["sessionId"]}
            done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, line + done.stderr
            printed.append(done.stdout)

    answer, stream, history, metrics, dashboard, past, proof, _ = printed
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = json.loads(re.findall(r"^```json\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[0])
    told = json.loads(answer)
    assert list(told) == list(shown)
    assert told["question"] == shown["question"]
    assert shown["response"] in {canned.text for canned in seeds.load_answers()}
    assert "event: answer" in stream
    assert json.loads(history)["questionId"] == question_id
    assert json.loads(proof)["position"] > 0
    assert 'ouija_answers_total{source="database"}' in metrics
    assert json.loads(dashboard)["totals"]["questions"] == json.loads(dashboard)["totals"]["answers"]["database"] == 3
    assert json.loads(past)["position"] == 0  # long before the first question


def test_what_the_documents_link_to_is_there() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_table_of_the_error_tree_is_the_tree() -> None:
    described = re.findall(r"[├└]── (\w+)", str(errors.__doc__))
    defined = [name for name, it in vars(errors).items() if isinstance(it, type) and issubclass(it, errors.OuijaError)]
    assert sorted(described) == sorted(set(defined) - {"OuijaError"})
