"""The project's own rules: locks, reasons, sizes, make targets, and that CI accepts no skipped test."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
RUNTIME: list[str] = PYPROJECT["project"]["dependencies"]
DEVELOPMENT: list[str] = PYPROJECT["dependency-groups"]["dev"]
LOCKS = {"requirements.lock": RUNTIME, "requirements-dev.lock": RUNTIME + DEVELOPMENT}
TARGETS = [
    "serve",
    "test",
    "test-deep",
    "lint",
    "types",
    "fmt",
    "lock",
    "bench",
    "bench-peers",
    "performance",
    "load",
    "help",
]

PINNED = re.compile(r"([a-z0-9._-]+)(?:\[[a-z0-9,_-]+\])?==([^ ;]+)( ; [a-z0-9_ !=<>.'()]+)? \\", re.IGNORECASE)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
ORIGIN = re.compile(r"    # (via)?( *(-c )?[\w.-]*( ?\((pyproject\.toml(:dev)?|workspace)\))?)?")


def pins(lock: str) -> set[tuple[str, str, str]]:
    """Name, version and marker of everything a lock holds."""
    found = map(PINNED.fullmatch, (ROOT / lock).read_text(encoding="utf-8").splitlines())
    return {(canonicalize_name(match[1]), match[2], match[3] or "") for match in found if match}


def odd_lines(text: str) -> list[str]:
    """Lines of a lock that are neither a pin, nor a hash, nor where a pin comes from: options, addresses, paths."""
    return [line for line in text.splitlines() if not any(p.fullmatch(line) for p in (PINNED, HASH, ORIGIN))]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_nothing_but_pins_hashes_and_origins(lock: str) -> None:
    assert odd_lines((ROOT / lock).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "--find-links /srv/wheels",
        "falcon @ https://packages.example/falcon.whl \\",
        "falcon>=4 \\",
        "    # from https://packages.example/simple",
        "    # via -r /home/someone/requirements.in",
        "-e file:///home/someone/checkout",
    ],
)
def test_a_host_a_path_or_a_loose_version_in_a_lock_is_found(line: str) -> None:
    assert odd_lines(line) == [line]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_direct_dependency_is_locked_at_a_version_it_allows(lock: str) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, LOCKS[lock]):
        versions = [version for name, version, _ in locked if name == canonicalize_name(requirement.name)]
        assert versions, f"{requirement.name} is not in {lock}; run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: {versions}"


MACHINES = [
    {
        "python_version": version,
        "python_full_version": f"{version}.1",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": processor,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
    }
    for version in ("3.11", "3.12", "3.13", "3.14")
    for system, processor in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64"))
]
"""What the locks are for."""


def installed(lock: str, machine: dict[str, str]) -> set[tuple[str, str]]:
    """Name and version of what a lock installs on a machine."""
    return {
        (name, version)
        for name, version, condition in pins(lock)
        if not condition or Marker(condition.lstrip(" ;")).evaluate(machine)
    }


@pytest.mark.parametrize("machine", MACHINES, ids=lambda it: f"{it['python_version']}-{it['platform_machine']}")
def test_the_development_lock_holds_the_runtime_lock(machine: dict[str, str]) -> None:
    runtime = installed("requirements.lock", machine)

    assert ("falcon", dict(runtime)["falcon"]) in runtime
    assert runtime <= installed("requirements-dev.lock", machine)


@pytest.mark.parametrize("dependency", [*RUNTIME, *DEVELOPMENT])
def test_every_dependency_says_what_it_is_for(dependency: str) -> None:
    assert re.search(rf'^  "{re.escape(dependency)}", +# \w.+', PYPROJECT_TEXT, re.MULTILINE)


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "ouija_es").rglob("*.py")}
    assert lengths
    assert {str(path): length for path, length in lengths.items() if length > 300} == {}


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs make as a user would, not as a part of the make that runs the tests."""
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=outside_make(), capture_output=True, text=True, check=False)


def outside_make() -> dict[str, str]:
    """The environment without what the make that runs the tests put there."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def test_make_alone_lists_every_target(require: Callable[[str, bool], None]) -> None:
    require("make", shutil.which("make") is not None)
    assert re.findall(r"^make ([a-z-]+) +\w", make().stdout, re.MULTILINE) == ["help", *TARGETS[:-1]]


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_exists(target: str, require: Callable[[str, bool], None]) -> None:
    require("make", shutil.which("make") is not None)
    assert make("--dry-run", target).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path, require: Callable[[str, bool], None]) -> Path:
    """The Makefile, in a folder with a space in its name, with an empty lock and a package that says it was started."""
    require("make", shutil.which("make") is not None)
    folder = tmp_path / "a checkout"
    (folder / "ouija_es").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.lock").write_text("# nothing\n")
    (folder / "ouija_es/__main__.py").write_text("import sys\nprint('started', sys.argv[1:], sys.prefix)\n")
    return folder


@pytest.mark.deep
def test_make_serve_sets_up_once_and_again_when_the_lock_changes(checkout: Path) -> None:
    python = f"PYTHON={sys.executable}"
    started = f"started ['serve'] {checkout / '.venv'}\n"
    first, second = make("serve", python, folder=checkout), make("serve", python, folder=checkout)
    assert first.stdout == f"making .venv from requirements.lock with Python {_version()} ...\n{started}", first.stderr
    assert second.stdout == started
    (checkout / "requirements.lock").write_text("# something else\n")
    assert make("serve", python, folder=checkout).stdout == first.stdout
    assert make("serve", "PYTHON=no-such-python", folder=checkout).returncode == 2


@pytest.mark.deep
def test_a_set_up_that_failed_is_not_taken_for_done(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("--no-index\nno-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    for _ in range(2):
        done = make("serve", f"PYTHON={sys.executable}", folder=checkout)
        assert done.returncode == 2
        assert "no-such-package" in done.stderr
        assert "started" not in done.stdout


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1", "does not run; install Python >= 3.11"),
        ('case "$2" in *exit*) exit 1;; *) echo 3.9;; esac', "is Python 3.9, 3.11 or newer is needed"),
        ('case "$2" in *ensurepip*) exit 1;; *) echo 3.12;; esac', "apt install python3.12-venv"),
    ],
)
def test_an_unfit_python_is_refused_in_one_line(checkout: Path, script: str, message: str) -> None:
    python = checkout / "a python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = make("serve", f"PYTHON={python}", folder=checkout)
    said = [line for line in done.stderr.splitlines() if "***" not in line]
    assert len(said) == 1
    assert message in said[0]
    assert done.returncode == 2
    assert not (checkout / ".venv").exists()


@pytest.mark.deep
@pytest.mark.timeout(300)
def test_make_serve_answers_from_a_bare_checkout(tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    require("make", shutil.which("make") is not None)
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__"))
    shutil.rmtree(folder / "data", ignore_errors=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["make", "serve", f"PYTHON={sys.executable}", f"PORT={port}", "OLLAMA_URL="]
    with subprocess.Popen(command, cwd=folder, env=outside_make(), stdout=subprocess.DEVNULL) as serving:
        try:
            body = wait_for_answer(f"http://127.0.0.1:{port}", serving)
        finally:
            serving.terminate()
    assert body["source"] == "database"
    assert body["response"]


def wait_for_answer(url: str, serving: subprocess.Popen[bytes]) -> dict[str, Any]:
    while True:
        assert serving.poll() is None
        try:
            return httpx.post(f"{url}/ouija/ask", json={"question": "¿Encontraré el amor?"}).raise_for_status().json()
        except httpx.ConnectError:
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("source", "on_ci", "elsewhere"),
    [
        ("def test_it(require): require('Chromium', True)", 0, 0),
        ("def test_it(require): require('Chromium', False)", 1, 0),
        ("def test_it(): pytest.skip('no reason')", 1, 0),
        ("def test_it(): pytest.skip('platform: only on Windows')", 0, 0),
        ("pytestmark = pytest.mark.skip('no reason')\ndef test_it(): ...", 1, 0),
        ("def test_one(): ...\ndef test_it(): pytest.importorskip('no_such_module')", 1, 0),
        ("def test_it(): raise ValueError", 1, 1),
    ],
)
def test_ci_accepts_no_skip(tmp_path: Path, source: str, on_ci: int, elsewhere: int) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(f"import pytest\n{source}\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    for ci, expected in (("true", on_ci), ("", elsewhere)):
        environment = os.environ | {"CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stdout


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
