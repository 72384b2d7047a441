"""Starts the real service for a test."""

import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from ouija_es.config import Settings, is_secret

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60
STOP_SECONDS = 30
AUDIT_TOKEN = "audit-token-of-the-tests"
API_KEY = "gsk_key-of-the-tests"


class RunningService:
    """`ouija_es serve` as a process of its own, on a free port, until the block ends.

    Without more variables only the database tier answers; `providers()` gives those for stub providers. Variables that
    the test run itself was started with do not reach it. The data lies in `folder`, the log lines do not. LOG_LEVEL
    must leave `info` in: the port is read from such a line.
    """

    program: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "ouija_es", "serve")

    def __init__(self, folder: Path, **variables: str | None) -> None:
        self.folder = folder
        self.database = folder / "ouija.db"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the service
        self.process = subprocess.Popen(
            self.program, cwd=ROOT, env=environment(folder, **variables), stdout=self._log, stderr=subprocess.STDOUT
        )
        try:
            self.url = self._listening()
            no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading them takes longer than an ask
            self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30, verify=no_certificates)
            while self.client.get("/health/ready").status_code != 200:
                time.sleep(0.02)
        except BaseException:
            self.kill()
            self._log.close()
            raise

    @property
    def log(self) -> str:
        """Everything it has printed so far."""
        # Not read(): the process writes at the same file position.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def ask(self, question: str, **fields: Any) -> httpx.Response:
        """POST /ouija/ask."""
        return self.client.post("/ouija/ask", json={"question": question, **fields})

    def stop(self) -> int:
        """Ends it by SIGTERM and returns its exit code; later calls return it again."""
        self.process.terminate()
        return self.process.wait(timeout=STOP_SECONDS)

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def _listening(self) -> str:
        give_up_at = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up_at:
            ended = self.process.poll() is not None
            if found := re.search(r"Uvicorn running on (http://[^ ]+)", self.log):
                return found[1]
            if ended:
                break
            time.sleep(0.02)
        raise RuntimeError(f"the service did not start (exit code {self.process.poll()}):\n{self.log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(self.log)  # pytest shows it with the failure
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            self.kill()
            self.client.close()
            self._log.close()


def environment(folder: Path, **variables: str | None) -> dict[str, str]:
    """The environment of a service or command on this data folder: `variables` (None takes one away), and what makes
    it run for itself.
    """
    names = {name.upper(): is_secret(field) for name, field in Settings.model_fields.items()}
    own = names.keys() | {f"{name}_FILE" for name, secret in names.items() if secret}
    merged: dict[str, str | None] = {
        **{name: value for name, value in os.environ.items() if name not in own},
        "DATABASE_URL": f"file:{folder / 'ouija.db'}",
        "PORT": "0",
        "OLLAMA_URL": "",
        "AUDIT_TOKEN": AUDIT_TOKEN,
        "CLIENT_REQUESTS_PER_MINUTE": "0",
        **variables,
    }
    return {name: value for name, value in merged.items() if value is not None}


def providers(groq_url: str, ollama_url: str, **variables: str) -> dict[str, str]:
    """The variables for a service that asks these providers (see tests.stubs), both as often as it likes."""
    return {
        "GROQ_API_KEY": API_KEY,
        "GROQ_URL": groq_url,
        "GROQ_REQUESTS_PER_MINUTE": "1000000",
        "GROQ_TOKENS_PER_MINUTE": "1000000000",
        "OLLAMA_URL": ollama_url,
        "OLLAMA_CONCURRENCY": "64",
        **variables,
    }
