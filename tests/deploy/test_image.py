"""The image, built by buildah on a Debian base of its own and run by podman under the limits of a free instance."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("OUIJA_ES_CACHE", Path.home() / ".cache/ouija-es"))
BASE = "docker.io/library/python:3.11.13-slim-bookworm"
IMAGE = "localhost/ouija-es-test:latest"
PODMAN = ["podman", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"]
LIMITS = [
    *("--network", "host", "--no-healthcheck", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
    *("--memory", "512m", "--memory-swap", "512m", "--cpus", "0.1", "--read-only", "--tmpfs", "/tmp"),
    *("--cap-drop", "all"),
]
LIMIT_MB = 215
"""The base is 128 MB of it."""

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image(require, tmp_path_factory) -> str:
    """The default target, on a Debian that stands for the Python image: nothing comes from an image registry."""
    for program in ("buildah", "podman", "runc", "debootstrap"):
        require(program, shutil.which(program) is not None)
    require("root", os.geteuid() == 0)
    CACHE.mkdir(parents=True, exist_ok=True)
    base = CACHE / "bookworm-python.tar"
    if not base.exists():
        root = tmp_path_factory.mktemp("base") / "root"
        run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", root)
        for left in (
            "var/cache/apt/archives",
            "var/lib/apt/lists",
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
        ):
            shutil.rmtree(root / left)
        run("tar", "-C", root, "-cf", base.with_suffix(".part"), ".")
        base.with_suffix(".part").rename(base)
        shutil.rmtree(root)
    run("podman", "import", "--quiet", base, BASE)
    shared = ["/etc/ssl/certs/ca-certificates.crt", *filter(os.path.exists, ["/etc/pip.conf"])]
    mounts = [part for path in shared for part in ("-v", f"{path}:{path}:ro")]
    run(
        *("buildah", "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker"),
        *(*mounts, "-t", IMAGE, "."),
    )
    return IMAGE


class Container:
    """The image on a folder, at a free port; `process` is podman in the foreground."""

    def __init__(self, image: str, data: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.name = f"ouija-es-test-{port}"
        self.log = data.parent / f"{self.name}.log"
        variables = ["-e", "HOST=127.0.0.1", "-e", f"PORT={port}", "-e", "CLIENT_REQUESTS_PER_MINUTE=0"]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*PODMAN, "run", "--rm", "--name", self.name, *LIMITS, *variables, "-v", f"{data}:/app/data", image],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        give_up_at = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up_at, self.log.read_text()
            try:
                if self.client.get("/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def stop(self) -> int:
        self.client.close()
        run(*PODMAN, "kill", "--signal", "TERM", self.name)
        return self.process.wait(timeout=30)


@pytest.fixture
def data(tmp_path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 10001, 10001)
    yield folder
    names = run(*PODMAN, "ps", "--format", "{{.Names}}").split()
    for log in tmp_path.glob("*.log"):
        if log.stem in names:
            run(*PODMAN, "kill", log.stem)


def test_the_image_is_small(image) -> None:
    size = int(run("podman", "image", "inspect", "--format", "{{.Size}}", image))
    assert size <= LIMIT_MB * 1_000_000


def test_it_answers_under_the_limits_ends_by_sigterm_and_keeps_its_data(image, data) -> None:
    first = Container(image, data)
    health = first.client.get("/health").json()
    assert (health["environment"], health["checks"]["database"]["status"]) == ("production", "ok")
    answer = first.client.post("/ouija/ask", json={"question": "¿Encontraré el amor?"}).raise_for_status().json()
    assert answer["source"] == "database"
    assert first.stop() == 0
    assert len([line for line in first.log.read_text().splitlines() if line.startswith("start: no Ollama")]) == 1
    second = Container(image, data)
    again = {"question": "¿Y cuándo?", "sessionId": answer["sessionId"]}
    assert second.client.post("/ouija/ask", json=again).status_code == 200
    assert second.stop() == 0
