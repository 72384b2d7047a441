"""Toxiproxy (https://github.com/Shopify/toxiproxy): TCP proxies that spoil on command what goes through them."""

import socket
import subprocess
import time
from types import TracebackType
from typing import Any, Self

import httpx

from tests.conftest import require
from tests.peers.servers import CACHE

BINARY = CACHE / "bin/toxiproxy"
START_SECONDS = 20


class Toxiproxy:
    """The program, with a proxy named after each of `upstreams` (host:port) in front of it, until the block ends."""

    def __init__(self, **upstreams: str) -> None:
        require(f"toxiproxy (no {BINARY}; run scripts/install-peers.sh)", BINARY.exists())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(BINARY), "-host", "127.0.0.1", "-port", str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._control = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        try:
            self._until_it_answers()
            self.addresses = {
                name: self._post("/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": at})["listen"]
                for name, at in upstreams.items()
            }
        except BaseException:
            self.stop()
            raise

    def spoil(self, name: str, toxic: str, **attributes: int) -> None:
        """Spoils what comes back from this upstream (its `downstream`) by a toxic, all of the time."""
        self._post(f"/proxies/{name}/toxics", {"type": toxic, "stream": "downstream", "attributes": attributes})

    def enable(self, name: str, *, enabled: bool) -> None:
        """Without it open connections are closed and new ones refused."""
        self._post(f"/proxies/{name}", {"enabled": enabled})

    def reset(self) -> None:
        """No toxics, everything enabled."""
        self._control.post("/reset").raise_for_status()

    def stop(self) -> None:
        self._control.close()
        self._process.terminate()
        self._process.wait(timeout=10)

    def _until_it_answers(self) -> None:
        give_up_at = time.monotonic() + START_SECONDS
        while True:
            try:
                self._control.get("/version").raise_for_status()
            except httpx.TransportError:
                if time.monotonic() > give_up_at or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def _post(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._control.post(path, json=content).raise_for_status().json()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
