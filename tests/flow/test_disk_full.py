"""A full disk costs answers, never records: 503 until there is room again, then on without a restart."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ouija_es.ids import uuid7
from tests.bytes_in_files import bytes_found
from tests.conftest import require
from tests.flow.erasing import erased, erasures, wrapped_key
from tests.service import AUDIT_TOKEN, RunningService
from tests.store.history import assert_recorded, assert_whole, open_log, streams_of

DISK_BYTES = 4 * 1024 * 1024
BALLAST_BYTES = 2 * 1024 * 1024
PROBE_SECONDS = 12
"""The writer looks every 10 s whether there is room again."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if not sys.platform.startswith("linux"):
        pytest.skip("platform: tmpfs is Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = f"size={DISK_BYTES},mode=0700,uid={os.getuid()}"
    mounted = as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    require("root or sudo without a password, to mount a tmpfs,", mounted)
    yield folder
    assert as_root("umount", "--lazy", str(folder))  # after a failure a file may still be open


def as_root(*command: str) -> bool:
    """Whether the command could be run, and went well."""
    if os.getuid() != 0:
        command = ("sudo", "--non-interactive", *command)
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def fill_up(service: RunningService) -> tuple[list[dict[str, Any]], Any]:
    """Asks until it is refused; gives the answers, and the refusal."""
    bodies: list[dict[str, Any]] = []
    for number in range(10_000):
        reply = service.ask(f"¿Cabe la pregunta {number}? {'x' * 400}")
        if reply.status_code != 200:
            return bodies, reply
        bodies.append(reply.json())
    raise AssertionError("the disk never was full")


def until_healthy(service: RunningService, seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while service.client.get("/health").status_code != 200:
        assert time.monotonic() < give_up_at, service.client.get("/health").text
        time.sleep(0.1)


def test_a_full_disk_is_told_and_survived(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    with RunningService(disk) as service:
        bodies, refusal = fill_up(service)
        assert len(bodies) > 10

        assert refusal.status_code == 503
        assert refusal.headers["content-type"] == "application/problem+json"
        assert refusal.json()["type"] == "urn:ouija-es:problem:not-recorded"
        assert int(refusal.headers["retry-after"]) > 0
        health = service.client.get("/health")
        assert health.status_code == 503
        assert health.json()["status"] == "critical"
        assert health.json()["checks"]["database"]["status"] == "error"
        assert service.client.get("/health/live").status_code == 200
        # What only reads goes on: an earlier question's history, and the search for a session that is not there.
        history = f"/audit/questions/{bodies[0]['questionId']}"
        assert service.client.get(history, headers={"Authorization": f"Bearer {AUDIT_TOKEN}"}).status_code == 200
        assert service.ask("¿Y ésta?", sessionId=str(uuid7())).status_code == 404
        assert service.ask("¿Y en la sesión de antes?", sessionId=bodies[0]["sessionId"]).status_code == 503

        ballast.unlink()
        until_healthy(service, PROBE_SECONDS)
        assert service.client.get("/health").json()["status"] == "ok"
        for _ in range(5):
            bodies.append(service.ask("¿Y ahora?").raise_for_status().json())
        session = bodies[0]["sessionId"]
        bodies.append(service.ask("¿Y en la sesión de antes?", sessionId=session).raise_for_status().json())
        assert service.stop() == 0
        assert "bug" not in service.log

    log = open_log(service.database)
    for body in bodies:
        assert_recorded(body, log)
    assert_whole(streams_of(log))
    log.close()


def test_answers_go_on_as_soon_as_there_is_room(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    with RunningService(disk) as service:
        bodies, _ = fill_up(service)
        ballast.unlink()
        bodies.append(service.ask("¿Y ahora?").raise_for_status().json())
        service.kill()
    log = open_log(service.database)
    for body in bodies:
        assert_recorded(body, log)
    assert_whole(streams_of(log), still_open=True)
    log.close()


@pytest.mark.deep
def test_what_a_full_disk_does_not_take_is_not_erased_and_is_once_there_is_room(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    with RunningService(disk) as service:
        bodies, _ = fill_up(service)
        with contextlib.suppress(OSError), (disk / "more").open("wb", buffering=0) as more:
            while more.write(bytes(512)):
                pass
        session_id = bodies[0]["sessionId"]
        key = wrapped_key(service.database, session_id)

        assert service.client.delete(f"/ouija/sessions/{session_id}").status_code == 503
        assert erasures(service.database, session_id) == []

        ballast.unlink()
        (disk / "more").unlink()
        until_healthy(service, PROBE_SECONDS)
        erased(service, f"/ouija/sessions/{session_id}")
        assert bytes_found(disk, key) == []
        assert len(erasures(service.database, session_id)) == 1
        assert "bug" not in service.log
