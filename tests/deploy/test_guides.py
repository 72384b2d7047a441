"""Both guides say the same, name what there is, and their commands work."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml

from ouija_es.config import Platform, Settings
from tests.service import ROOT, RunningService

GUIDES = [ROOT / "docs/deployment.md", ROOT / "docs/despliegue.md"]
NOT_SETTINGS = {*Platform.VARIABLES, "CODECOV_TOKEN", "OLLAMA_HOST", "OLLAMA_MODELS", "SERVICE_URL", "YOU"}
LITESTREAM = {"LITESTREAM_REPLICA_URL", "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY"}
BUTTON = re.compile(r"\(https://app\.koyeb\.com/deploy\?([^)]+)\)")


def blocks(text: str) -> list[str]:
    return [re.sub("^ +", "", block, flags=re.MULTILINE) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


def test_both_guides_have_the_same_structure() -> None:
    english, spanish = (path.read_text(encoding="utf-8") for path in GUIDES)
    assert re.findall("^#+ ", english, re.MULTILINE) == re.findall("^#+ ", spanish, re.MULTILINE)
    assert blocks(english) == blocks(spanish)
    named = [sorted(set(re.findall(r"`([^`\n]+)`", text))) for text in (english, spanish)]
    assert named[0] == named[1]
    assert english.count("\n|") == spanish.count("\n|")


@pytest.mark.parametrize("path", GUIDES, ids=lambda it: it.stem)
def test_every_variable_named_is_one(path: Path) -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]+[A-Z])(?:=[^`]*)?`", path.read_text(encoding="utf-8")))
    settings = {name.upper() for name in Settings.model_fields}
    files = {f"{name}_FILE" for name in settings}
    assert named
    assert named - settings - files - NOT_SETTINGS - LITESTREAM == set()


@pytest.mark.parametrize("path", [*GUIDES, ROOT / "README.md"], ids=lambda it: it.stem)
def test_the_button_deploys_what_koyeb_yaml_does(path: Path) -> None:
    (query,) = BUTTON.findall(path.read_text(encoding="utf-8"))
    button = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True, separator="&").items()}
    service = yaml.safe_load((ROOT / "koyeb.yaml").read_text(encoding="utf-8"))
    definition = service["services"][0]["definition"]
    env = {entry["key"]: entry["value"] for entry in definition["env"]}
    assert button.pop("repository") == "github.com/YOU/ouija_es"
    assert button.pop("env[GROQ_API_KEY]") == ""
    assert button == {
        "type": "git",
        "builder": "dockerfile",
        "name": service["app"]["name"],
        "branch": definition["git"]["branch"],
        "instance_type": definition["instance_types"][0]["type"],
        "ports": f"{definition['ports'][0]['port']};http;/",
        "env[PROXY_HOPS]": env["PROXY_HOPS"],
    }


def test_the_commands_work(tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    require("curl", shutil.which("curl") is not None)
    text = GUIDES[0].read_text(encoding="utf-8")
    lines = [line for block in blocks(text) for line in block.splitlines() if line.startswith(("curl ", "python3 "))]
    assert len(lines) == 6
    with RunningService(tmp_path) as service:
        for line in lines:
            command = line.replace("python3", sys.executable)
            environment = {"PATH": os.environ["PATH"], "SERVICE_URL": service.url}
            done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, check=False)
            assert done.returncode == 0, line + done.stderr.decode()


def test_compose_runs_the_service_with_variables_it_knows() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services.keys() == {"ouija", "ollama"}
    assert services["ouija"]["environment"].keys() <= {name.upper() for name in Settings.model_fields}
    assert all(mapping.startswith("127.0.0.1:") for it in services.values() for mapping in it.get("ports", []))
