"""Starts the real model servers that scripts/install-peers.sh brings: llama.cpp's in Groq's place, and Ollama.

Both run SmolLM2-135M-Instruct on one thread: good for wire, latency and streaming, not for the content of answers.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import httpx

from tests.conftest import require as require_component

CACHE = Path(os.environ.get("OUIJA_ES_CACHE") or Path.home() / ".cache/ouija-es").absolute()
MODEL_FILE = CACHE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
LLAMA_PYTHON = CACHE / "peers-venv/bin/python"
OLLAMA = CACHE / "bin/ollama"
COMPONENTS = Path(__file__).resolve().parents[2] / ".ci/components.txt"
NEEDS = {"groq_like_model": (LLAMA_PYTHON, MODEL_FILE), "ollama_server": (OLLAMA, MODEL_FILE)}

API_KEY = "gsk_key-of-the-real-model"
GROQ_LIKE_NAME = "llama-3.1-8b-instant"
OLLAMA_NAME = "smollm2"
START_SECONDS = 60
STOP_SECONDS = 20
T = TypeVar("T")

# Two slots of 1,024 tokens. A second thread would spin and be slower on a busy machine. The server ends with its
# standard input, so it does not outlive a test run that is killed.
LLAMA_SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.cpuparams_batch.n_threads = 2048, 2, 1, 1
params.api_keys, params.api_prefix, params.model_alias = [sys.argv[2]], "/openai", {sys.argv[3]}
params.offline, params.fit_params, params.ui = True, False, False
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
sys.stdin.read()
"""


def missing(component: str) -> str | None:
    """What `groq_like_model` or `ollama_server` (see NEEDS) lacks on this machine, or None."""
    absent = ", ".join(f"no {path}" for path in NEEDS[component] if not path.exists())
    return f"{absent}; run scripts/install-peers.sh" if absent else None


def require(component: str) -> None:
    """Go on if the component can be started; else skip the test with the reason or, with CI=true, fail it."""
    lack = missing(component)
    require_component(f"{component} ({lack})", present=lack is None)


@contextmanager
def groq_like_model() -> Iterator[tuple[str, str]]:
    """llama.cpp's server: (what GROQ_URL wants, API key), with a model loaded, until the block ends.

    It goes by GROQ_LIKE_NAME, answers any other model name too, and sends none of Groq's rate-limit headers.
    """
    command = [str(LLAMA_PYTHON), "-c", LLAMA_SERVER, str(MODEL_FILE), API_KEY, GROQ_LIKE_NAME]
    with _running(command, _own_environment()) as (process, log):
        url = _until(process, log, lambda: _announced(log))
        # 503 while it loads.
        _until(process, log, lambda: _answers(f"{url}/openai/v1/models", {"Authorization": f"Bearer {API_KEY}"}))
        yield f"{url}/openai/v1", API_KEY


@contextmanager
def ollama_server() -> Iterator[str]:
    """Ollama with the model OLLAMA_NAME made but not loaded, as after a start: what OLLAMA_URL wants."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    home = CACHE / "ollama"  # its key and models; created here, as its API wants a running server for that
    home.mkdir(parents=True, exist_ok=True)
    environment = _own_environment(HOME=str(home), OLLAMA_HOST=address, OLLAMA_NO_CLOUD="1", OLLAMA_NOPRUNE="1")
    url = f"http://{address}"
    with _running([str(OLLAMA), "serve"], environment) as (process, log):
        _until(process, log, lambda: _answers(f"{url}/api/version"))
        _make_model(url, environment)
        yield url


def _make_model(url: str, environment: dict[str, str]) -> None:
    made = httpx.get(f"{url}/api/tags", trust_env=False).json()["models"]
    if any(model["name"] == f"{OLLAMA_NAME}:latest" for model in made):
        return
    with tempfile.NamedTemporaryFile("w", suffix=".Modelfile") as recipe:
        recipe.write(f"FROM {MODEL_FILE}\nPARAMETER num_thread 1\n")
        recipe.flush()
        command = [str(OLLAMA), "create", OLLAMA_NAME, "-f", recipe.name]
        subprocess.run(command, env=environment, capture_output=True, check=True)


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A process and the file with everything it prints. SIGTERM ends it with the block, and what it started."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            finally:
                process.kill()
                process.communicate()


def _own_environment(**variables: str) -> dict[str, str]:
    """No proxy, no key and no OLLAMA_… of whoever runs the tests."""
    return {"PATH": os.environ["PATH"], "HOME": str(CACHE), **variables}


def _until(process: subprocess.Popen[bytes], log: IO[bytes], ready: Callable[[], T | None]) -> T:
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        if found := ready():
            return found
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start (exit code {process.poll()}):\n{_text(log)}")


def _announced(log: IO[bytes]) -> str | None:
    for line in _text(log).splitlines():
        if line.startswith("listening on "):
            return line.removeprefix("listening on ")
    return None


def _answers(url: str, headers: dict[str, str] | None = None) -> bool:
    try:
        return httpx.get(url, headers=headers, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _text(log: IO[bytes]) -> str:
    # Not read(): the process writes at the same file position.
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode(errors="replace")
