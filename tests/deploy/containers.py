"""Builds the image with buildah, without a registry, and runs it with podman under the limits of a free instance."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("OUIJA_ES_CACHE", Path.home() / ".cache/ouija-es"))
BASE = "docker.io/library/python:3.11.13-slim-bookworm"
PODMAN = ["podman", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"]
LIMITS = [
    *("--network", "host", "--no-healthcheck", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"),
    *("--memory", "512m", "--memory-swap", "512m", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all"),
]
NOT_IN_THE_BASE = ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
START_SECONDS = 120


def run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def require_tools(require: Callable[[str, bool], None]) -> None:
    for program in ("buildah", "podman", "runc", "debootstrap"):
        require(program, shutil.which(program) is not None)
    require("root", os.geteuid() == 0)


def build(target: str, *options: str) -> str:
    """The name of the image of a target, on a Debian that stands for the Python image."""
    run("podman", "import", "--quiet", _base(), BASE)
    image = f"localhost/ouija-es-test:{target}"
    shared = ["/etc/ssl/certs/ca-certificates.crt", *filter(os.path.exists, ["/etc/pip.conf"])]
    mounts = [part for path in shared for part in ("-v", f"{path}:{path}:ro")]
    run(
        *("buildah", "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker"),
        *("--layers", *mounts, *options, "--target", target, "-t", image, "."),
    )
    return image


def _base() -> Path:
    """A Debian with its Python, without that one's bytecode: the Python image has none either."""
    base = CACHE / "bookworm-bare.tar"
    if not base.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        root = base.with_suffix(".root")
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", root)
        for left in [*(root / name for name in NOT_IN_THE_BASE), *(root / "usr").rglob("__pycache__")]:
            shutil.rmtree(left)
        run("tar", "-C", root, "-cf", base.with_suffix(".part"), ".")
        base.with_suffix(".part").rename(base)
        shutil.rmtree(root)
    return base


class Container:
    """An image on a data folder, at a free port, until the block ends; `process` is podman in the foreground."""

    def __init__(self, image: str, data: Path, *options: str, cpus: str = "0.1", **variables: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.name = f"ouija-es-test-{port}"
        self._log = data.parent / f"{self.name}.log"
        variables = {"HOST": "127.0.0.1", "PORT": str(port), "CLIENT_REQUESTS_PER_MINUTE": "0", **variables}
        told = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        limits = [*LIMITS, "--cpus", cpus, *told, *options, "-v", f"{data}:/app/data"]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        self._started_at = time.monotonic()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*PODMAN, "run", "--rm", "--name", self.name, *limits, image], stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, path: str) -> float:
        """Seconds from the start until `path` is answered with 200."""
        while True:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < self._started_at + START_SECONDS, self.log
            try:
                if self.client.get(path).status_code == 200:
                    return time.monotonic() - self._started_at
            except httpx.TransportError:
                pass
            time.sleep(0.02)

    def exec(self, *command: str) -> str:
        return run(*PODMAN, "exec", self.name, *command)

    def peak_mb(self) -> int:
        """The most resident memory the service's process had, in MB."""
        line = next(line for line in self.exec("cat", "/proc/1/status").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1000

    def stop(self) -> int:
        run(*PODMAN, "kill", "--signal", "TERM", self.name)
        return self.process.wait(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            subprocess.run([*PODMAN, "kill", self.name], capture_output=True, check=False)
            self.process.wait(timeout=30)
