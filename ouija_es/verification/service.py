"""The rows of a running service, read over its audit API, and the head that it tells everybody."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError

from ouija_es.errors import StartError
from ouija_es.store.ledger import LogRow
from ouija_es.verification.exported import from_lines
from ouija_es.verification.findings import Head

PAGE = 1_000
TIMEOUT_SECONDS = 60


class Service:
    """What a service at a URL gives to whoever has the audit token. Raises StartError if it does not."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._client: SyncClient = SyncClientBuilder().timeout(timedelta(seconds=TIMEOUT_SECONDS)).build()
        self._proof = self._read_proof()
        self.total: int = self._proof["position"]

    @property
    def public_key(self) -> str:
        """The key whose seals count, as the service says."""
        key: str = self._proof["publicKey"]
        return key

    def heads(self) -> list[Head]:
        """What the log must lead to: its head, and its last seal, as they were told before it was read."""
        told = [self._proof, *([self._proof["seal"]] if self._proof["seal"] else [])]
        return [Head(it["position"], it["hash"]) for it in told if it["position"]]

    def batches(self) -> Iterator[Sequence[LogRow]]:
        """The rows in order, at least up to the head that was told. Raises Wrong."""
        done = 0
        while lines := self._get(f"/audit/events?after={done}&limit={PAGE}").splitlines(keepends=True):
            yield from from_lines(lines, done)
            done += len(lines)
            if done >= self.total:
                return

    def _read_proof(self) -> dict[str, Any]:
        try:
            proof: dict[str, Any] = json.loads(self._get("/audit/proof"))
            if isinstance(proof["position"], int) and isinstance(proof["publicKey"], str):
                return {"seal": None, **proof}
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(f"no service of this kind: {self._url}") from error
        raise StartError(f"no service of this kind: {self._url}")

    def _get(self, path: str) -> bytes:
        try:
            request = self._client.get(self._url + path).bearer_auth(self._token).build()
            response = request.send()
            body = response.bytes()
        except PyreqwestError as error:
            raise StartError(f"the service cannot be read: {type(error).__name__}: {self._url}") from error
        if response.status != 200:
            raise StartError(f"the service answers {response.status}: {self._url}{path}")
        return bytes(body)
