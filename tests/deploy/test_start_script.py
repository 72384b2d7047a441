"""The image's start script with programs that play Ollama: real processes and signals, no container."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/start-production.sh"
SERVICE = """#!/bin/sh
[ "$1" = -m ] || exec {python} "$@"
trap 'echo "service down"; exit 7' TERM
echo "service up"
while :; do sleep 0.1; done
"""


def started(folder: Path, ollama: str | None = None, **variables: str) -> subprocess.Popen[str]:
    """The script with a service that ends with 7 on SIGTERM, and perhaps an Ollama."""
    programs = {"python": SERVICE.format(python=sys.executable)}
    if ollama is not None:
        programs["ollama"] = f"#!/bin/sh\n{ollama}\n"
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "OLLAMA_HOST": "127.0.0.1:9", "OLLAMA_WAIT_SECONDS": "1"}
    return subprocess.Popen(
        ["/bin/sh", SCRIPT], env=environment | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(process: subprocess.Popen[str], text: str) -> list[str]:
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.strip())
        if text in line:
            return lines
    raise AssertionError(lines)


@pytest.mark.parametrize("ollama", [None, "exit 1", "exec sleep 60"], ids=["absent", "dies", "never answers"])
def test_the_service_starts_and_ends_without_ollama_and_one_line_says_so(tmp_path: Path, ollama: str | None) -> None:
    with started(tmp_path, ollama) as process:
        try:
            said = wait_for(process, "service up")
            if ollama is not None:
                said += wait_for(process, "does not answer")
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 7
    assert rest == "service down\n"
    assert len([line for line in said if "Ollama" in line]) == 1


def test_ollama_ends_with_the_service(tmp_path: Path) -> None:
    with started(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 60") as process:
        try:
            wait_for(process, "does not answer")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            process.kill()
    ollama = int((tmp_path / "pid").read_text())
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(ollama, 0)


@pytest.mark.parametrize("missing", ["VAULT_KEY", "LEDGER_KEY"])
def test_replicas_are_refused_without_keys_from_outside(tmp_path: Path, missing: str) -> None:
    keys = {"VAULT_KEY": "x", "LEDGER_KEY_FILE": "/x"}
    kept = {name: value for name, value in keys.items() if not name.startswith(missing)}
    with started(tmp_path, LITESTREAM_REPLICA_URL="file:///nowhere", **kept) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"so {missing} must be" in said


LATE = "sleep 3; exec {python} -m http.server --bind 127.0.0.1 --directory {folder} {port}"


def test_the_service_does_not_wait_for_an_ollama_that_comes_late_and_one_line_says_that_it_came(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api/tags").write_text("{}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ollama = LATE.format(python=sys.executable, folder=tmp_path, port=port)
    variables = {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_WAIT_SECONDS": "60"}
    with started(tmp_path, ollama, **variables) as process:
        try:
            assert wait_for(process, "service up") == ["service up"]
            assert wait_for(process, "Ollama") == ["start: Ollama answers"]
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 7


def test_shellcheck_finds_nothing(require: Callable[[str, bool], None]) -> None:
    require("shellcheck", shutil.which("shellcheck") is not None)
    scripts = [*sorted(SCRIPT.parent.glob("*.sh")), SCRIPT.parents[1] / ".ci/run"]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
