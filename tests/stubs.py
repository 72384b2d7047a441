"""Starts the stub providers for a test."""

import ssl
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

ROOT = Path(__file__).resolve().parents[1]


class StubProviders:
    """The program `loadtests.stub_providers` as a process of its own, on a free port, until the block ends.

    `groq_url` and `ollama_url` are what GROQ_URL and OLLAMA_URL want. Behaviours: see loadtests/stubs.
    """

    def __init__(self, *, groq: str = "ok", ollama: str = "ok", latency_ms: float = 0) -> None:
        command = [sys.executable, "-m", "loadtests.stub_providers", "--port", "0", "--with-stdin"]
        command += ["--groq", groq, "--ollama", ollama, "--latency-ms", str(latency_ms)]
        # The stub ends with its standard input, so it does not outlive a test run that is killed.
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the stub providers did not start (exit code {self._end()}): {line!r}")
        self.url = line.removeprefix("listening on ").strip()
        self.groq_url, self.ollama_url = f"{self.url}/openai/v1", self.url
        no_certificates = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # loading them would take longer than starting the stub
        self._control = httpx.Client(base_url=self.url, trust_env=False, timeout=10, verify=no_certificates)

    def behave(self, provider: str, behaviour: str | list[Any], **parameters: Any) -> None:
        """Sets what the provider does from now on, a list one per call. Raises ValueError if there is no such thing."""
        answer = self._control.put(f"/control/{provider}", json={"behaviour": behaviour, **parameters})
        if answer.status_code != 204:
            raise ValueError(answer.json()["error"])

    def state(self) -> dict[str, Any]:
        """Everything that was counted: `connections`, `strays`, and per provider calls, probes, in_flight, requests."""
        state: dict[str, Any] = self._control.get("/control").raise_for_status().json()
        return state

    def calls(self, provider: str) -> int:
        """How many questions the provider got; listing and loading models do not count."""
        calls: int = self.state()[provider]["calls"]
        return calls

    def requests(self, provider: str) -> list[dict[str, Any]]:
        """The last 50 requests: at (s since the epoch), method, path, headers (lower case), body, ended."""
        requests: list[dict[str, Any]] = self.state()[provider]["requests"]
        return requests

    def reset(self) -> None:
        """Back to the start: first behaviours, nothing counted."""
        self._control.delete("/control").raise_for_status()

    def stop(self) -> int:
        """Ends the process by SIGTERM and returns its exit code; later calls return it again."""
        self._control.close()
        return self._end()

    def _end(self) -> int:
        self._process.terminate()
        code = self._process.wait(timeout=10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
