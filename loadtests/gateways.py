"""The gateways that `make bench-peers` runs beside the service, as scripts/install-gateways.sh brings them.

Each gets the same two upstreams: the second is asked if the first fails. None of them keeps a record.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from loadtests.benched import CORES, QUESTIONS, RUNTIME
from loadtests.connection import Target

CACHE = Path(os.environ.get("OUIJA_ES_CACHE") or Path.home() / ".cache/ouija-es").absolute() / "gateways"
KEY = "gsk_nobody"
MODEL = "llama-3.1-8b-instant"
START_SECONDS = 120
ENVIRONMENT = {
    "UPSTREAM_KEY": KEY,
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it looks for a newer one
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # none of the others asks for a key, either
}

TENSORZERO = """
import sys
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
print("url", gateway.base_url, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Running:
    """A started gateway: its process, where it listens, how it is asked, and how long its start took."""

    process: "subprocess.Popen[Any]"
    url: str
    path: str
    content: dict[str, Any]
    headers: dict[str, str]
    start_seconds: float

    @property
    def requests(self) -> list[bytes]:
        target = Target(self.url)
        return [
            target.post(self.path, self.content | {"messages": messages(it["question"])}, self.headers)
            for it in QUESTIONS
        ]


@dataclass(frozen=True)
class Place:
    """What a gateway may use: a folder, a port, and the addresses of its two upstreams."""

    folder: Path
    port: int
    first: str
    second: str


class Gateway(Protocol):
    """`start`: the command, where it will listen (None: it prints it), path, content and headers of a request."""

    name: str
    program: Path

    def start(self, place: Place) -> tuple[list[str], str | None, str, dict[str, Any], dict[str, str]]: ...


class LiteLlm:
    name = "LiteLLM proxy"
    program = CACHE / "litellm/bin/litellm"

    def start(self, place: Place) -> Any:
        def model(name: str, url: str) -> dict[str, Any]:
            parameters = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}
            return {"model_name": name, "litellm_params": parameters}

        config = {
            "model_list": [model("spirit", place.first), model("second", place.second)],
            "litellm_settings": {"num_retries": 0, "telemetry": False},
            "router_settings": {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"spirit": ["second"]}]},
        }
        file = place.folder / "litellm.json"  # JSON is YAML
        file.write_text(json.dumps(config))
        command = [str(self.program), "--config", str(file), "--host", "127.0.0.1", "--port", str(place.port)]
        return command, f"http://127.0.0.1:{place.port}", "/v1/chat/completions", {"model": "spirit"}, {}


class Portkey:
    name = "Portkey gateway"
    program = CACHE / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"

    def start(self, place: Place) -> Any:
        targets = [{"provider": "openai", "custom_host": url, "api_key": KEY} for url in (place.first, place.second)]
        headers = {"x-portkey-config": json.dumps({"strategy": {"mode": "fallback"}, "targets": targets})}
        command = ["node", str(self.program), f"--port={place.port}", "--headless"]
        return command, f"http://127.0.0.1:{place.port}", "/v1/chat/completions", {"model": MODEL}, headers


class TensorZero:
    """Its gateway, as its Python client starts it."""

    name = "TensorZero"
    program = CACHE / "tensorzero/bin/python"

    def start(self, place: Place) -> Any:
        file = place.folder / "tensorzero.toml"
        lines = ["[gateway]", "observability.enabled = false", "[models.spirit]", 'routing = ["first", "second"]']
        for name, url in (("first", place.first), ("second", place.second)):
            lines += [f"[models.spirit.providers.{name}]", 'type = "openai"', f'model_name = "{MODEL}"']
            lines += [f'api_base = "{url}/"', 'api_key_location = "env::UPSTREAM_KEY"']
        file.write_text("\n".join(lines))
        content = {"model": "tensorzero::model_name::spirit"}
        command = [str(self.program), "-c", TENSORZERO, str(file)]
        return command, None, "/openai/v1/chat/completions", content, {}


class Bare:
    """No gateway: what the service stands on, see loadtests/bare_service.py."""

    program = RUNTIME if RUNTIME.exists() else Path(sys.executable)

    def __init__(self, step: str, name: str) -> None:
        self.name = name
        self._step = step

    def start(self, place: Place) -> Any:
        command = [str(self.program), "-m", "loadtests.bare_service", self._step, str(place.port), place.first]
        return [*command, str(place.folder)], f"http://127.0.0.1:{place.port}", "/", {}, {}


GATEWAYS: list[Gateway] = [LiteLlm(), Portkey(), TensorZero()]
STEPS: list[Gateway] = [
    Bare("echo", "Falcon and uvicorn: an echo"),
    Bare("call", "and the provider's call"),
    Bare("commits", "and two durable commits"),
]


def messages(question: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "You are a wise spirit that answers through a Ouija board, in two sentences."},
        {"role": "user", "content": question},
    ]


@contextmanager
def running(gateway: Gateway, first: str, second: str) -> Iterator[Running]:
    """On the first core, until the block ends. Raises RuntimeError with the end of what it printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name, (Path(name) / "log").open("w+") as log:
        command, url, path, content, headers = gateway.start(Place(Path(name), port, first, second))
        environment = os.environ | ENVIRONMENT
        began_at = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - the gateways above
            ["taskset", "-c", str(CORES[0]), *command],  # noqa: S607 - util-linux
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            while True:
                said = Path(log.name).read_text(errors="replace")
                address = url or said.partition("url ")[2].partition("/openai")[0]
                if address and answers(address, path, content, headers):
                    yield Running(process, address, path, content, headers, time.monotonic() - began_at)
                    return
                if process.poll() is not None or time.monotonic() - began_at > START_SECONDS:
                    raise RuntimeError(f"{gateway.name} did not start:\n{said[-2000:]}")
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()


def answers(url: str, path: str, content: dict[str, Any], headers: dict[str, str]) -> bool:
    try:
        asked = content | {"messages": messages("Anybody there?")}
        reply = httpx.post(url + path, json=asked, headers=headers, timeout=10, trust_env=False)
    except httpx.HTTPError:
        return False
    if reply.status_code in (400, 401, 403, 422):
        print(f"it answers {reply.status_code}: {reply.text[:300]}", file=sys.stderr)
    return reply.status_code == 200
