"""The running service seals its log, says so, and never seals one that was tampered with."""

import base64
import json
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.service import RunningService
from tests.test_cli import run


def proof(service: RunningService) -> dict[str, Any]:
    body: dict[str, Any] = service.client.get("/audit/proof").raise_for_status().json()
    return body


def check(body: dict[str, Any]) -> None:
    """As somebody who has nothing but the proof."""
    raw = {name: base64.urlsafe_b64decode(f"{text}==") for name, text in signed_parts(body).items()}
    seal = body["seal"]
    message = f"ouija.seal.v1|{seal['position']}|{seal['hash']}|{seal['sealedAt']}".encode()
    Ed25519PublicKey.from_public_bytes(raw["key"]).verify(raw["signature"], message)


def signed_parts(body: dict[str, Any]) -> dict[str, str]:
    return {"key": body["publicKey"], "signature": body["seal"]["signature"]}


def seals(database: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT state FROM stored_events WHERE topic='ouija.Sealed.v1' ORDER BY position")
        return [json.loads(row[0]) for row in found]


def link(database: Path, position: int) -> str:
    with closing(sqlite3.connect(database)) as connection:
        found: bytes = connection.execute("SELECT link FROM stored_events WHERE position=?", [position]).fetchone()[0]
        return found.hex()


def test_a_thousand_events_are_sealed_at_once_and_the_rest_at_the_end(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        while proof(service)["seal"] is None:
            service.ask("¿Volverá?").raise_for_status()
        body = proof(service)
        check(body)
        assert link(service.database, body["seal"]["position"]) == body["seal"]["hash"]
        assert link(service.database, body["position"]) == body["hash"]
        shown = service.client.get("/metrics").text
        assert f"ouija_ledger_sealed_position {float(body['seal']['position'])}" in shown
        assert "ouija_ledger_mismatch 0.0" in shown
        service.ask("¿Y después?").raise_for_status()
        service.stop()
        lines = service.log

    *_, last = recorded = seals(service.database)
    assert len(re.findall("ledger sealed", lines)) == len(recorded)
    assert all(seal["hash"] in lines for seal in recorded)
    with closing(sqlite3.connect(service.database)) as connection:
        (head,) = connection.execute("SELECT MAX(position) FROM stored_events").fetchone()
    assert last["position"] == head - 1


def test_a_restart_seals_with_the_same_key_and_seals_alone_are_not_sealed(tmp_path: Path) -> None:
    for _ in range(2):
        with RunningService(tmp_path) as service:
            key = proof(service)["publicKey"]
    recorded = seals(service.database)
    assert len(recorded) >= 2  # a process's policy is news, its seal is not
    assert {seal["publicKey"] for seal in recorded} == {key}
    assert key in run(tmp_path, "keys").stdout


def test_a_log_that_was_tampered_with_is_told_of_and_not_sealed(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        for _ in range(3):
            service.ask("¿Volverá?").raise_for_status()
    database = service.database
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE stored_events SET originator_version=9 WHERE position=5")
        connection.commit()
    before = len(seals(database))
    rebuilt = run(tmp_path, "rebuild")
    assert rebuilt.returncode == 1
    assert "at position 5 " in rebuilt.stderr

    with RunningService(tmp_path) as service:
        health = service.client.get("/health")
        service.ask("¿Y ahora?").raise_for_status()
        shown = service.client.get("/metrics").text
        service.stop()
        lines = service.log
    assert health.status_code == 200
    ledger = health.json()["checks"]["ledger"]
    assert ledger["status"] == "error"
    assert ledger["error"].startswith("at position 5 ")
    assert "ouija_ledger_mismatch 1.0" in shown
    assert "the ledger does not hold" in lines
    assert len(seals(database)) == before


def test_another_ledger_key_is_a_mismatch(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.ask("¿Volverá?").raise_for_status()
    for name in ("ledger-key", "views"):
        (tmp_path / f"ouija.db.{name}").unlink()
    with RunningService(tmp_path) as service:
        ledger = service.client.get("/health").json()["checks"]["ledger"]
    assert ledger["status"] == "error"
    assert "another key" in ledger["error"]


def test_an_older_copy_of_the_log_under_newer_views_has_its_views_made_anew(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.ask("¿Volverá?").raise_for_status()
        run(tmp_path, "backup", str(tmp_path / "older.db"))
        for _ in range(5):
            service.ask("¿Volverá?").raise_for_status()
    (tmp_path / "older.db").rename(tmp_path / "ouija.db")
    with RunningService(tmp_path) as service:
        assert service.client.get("/dashboard").json()["totals"]["questions"] == 1
        assert service.client.get("/health").json()["checks"]["ledger"]["status"] == "ok"
        assert "another one than the views were made of" in service.log


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_kill_9_in_the_middle_of_sealing_leaves_a_log_that_holds(tmp_path: Path) -> None:
    for _ in range(12):
        with RunningService(tmp_path) as service:
            before = len(seals(service.database))
            while len(seals(service.database)) == before:
                service.ask("¿Volverá?")
            service.kill()
    for name in ("views", "views-wal", "views-shm"):
        (tmp_path / f"ouija.db.{name}").unlink(missing_ok=True)
    with RunningService(tmp_path) as service:
        assert service.client.get("/health").json()["checks"]["ledger"]["status"] == "ok"
        while proof(service)["seal"] is None:
            time.sleep(0.1)
        check(proof(service))
