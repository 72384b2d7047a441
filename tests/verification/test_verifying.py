"""`ouija-es audit verify` and `audit head`, as an auditor uses them."""

import gzip
import hashlib
import os
import pty
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ouija_es.store.cloudevents import to_line
from tests.service import AUDIT_TOKEN, ROOT, RunningService, environment
from tests.test_cli import run
from tests.verification.independent import check
from tests.verification.logs import KEY, make_log, rows_of


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with seals, a key file that is not its own beside it, and its exports."""
    folder = tmp_path_factory.mktemp("sealed")
    rows = make_log(folder / "ouija.db", 30)
    lines = b"".join(map(to_line, rows))
    (folder / "log.ndjson").write_bytes(lines)
    (folder / "log.ndjson.gz").write_bytes(gzip.compress(lines))
    return folder


def head(folder: Path) -> str:
    last = rows_of(folder / "ouija.db")[-1]
    return f"{last.position}:{last.link.hex()}"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["ouija.db", "log.ndjson", "log.ndjson.gz"])
def test_a_log_that_holds_is_told_with_its_head_and_its_last_seal(sealed: Path, name: str) -> None:
    before = digests(sealed)
    done = run(sealed, "audit", "verify", str(sealed / name), "--public-key", KEY.public, "--expect-head", head(sealed))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OK: ")
    assert head(sealed) in done.stdout
    assert f"public key {KEY.public}, as given" in done.stdout
    assert done.stderr == ""
    assert digests(sealed) == before


def test_without_a_key_or_a_head_it_says_what_is_not_proven(sealed: Path) -> None:
    done = run(sealed, "audit", "verify", str(sealed / "log.ndjson"))
    assert done.returncode == 0
    assert "as the seals name it" in done.stdout
    assert "no public key was given" in done.stderr
    assert "no head was given" in done.stderr


def test_another_key_an_unknown_head_and_a_cut_end_exit_with_1(sealed: Path, tmp_path: Path) -> None:
    lines = (sealed / "log.ndjson").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut.ndjson").write_bytes(b"".join(lines[:-5]))
    (tmp_path / "cut.gz").write_bytes((sealed / "log.ndjson.gz").read_bytes()[:-20])
    (tmp_path / "spoiled.ndjson").write_bytes(b"".join([*lines[:20], lines[20].replace(b"2026", b"2025"), *lines[21:]]))
    (tmp_path / "doubled.ndjson").write_bytes(b"".join([*lines[:20], *lines[19:]]))
    log = str(sealed / "log.ndjson")
    for arguments, says in {
        (log, "--public-key", "x"): "bad seal: it was signed by another key",
        (log, "--expect-head", f"5:{'0' * 64}"): "wrong at position 5: head not found",
        (str(tmp_path / "cut.ndjson"), "--expect-head", head(sealed)): f"position {len(lines) - 4}: truncated",
        (str(tmp_path / "cut.gz"),): "truncated: the packed file is cut off",
        (str(tmp_path / "spoiled.ndjson"),): "wrong at position 21: edited",
        (str(tmp_path / "doubled.ndjson"),): "wrong at position 21: inserted",
    }.items():
        done = run(sealed, "audit", "verify", *arguments)
        assert done.returncode == 1, arguments
        assert says in done.stderr
        assert not done.stdout


def test_what_is_no_log_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "other.db").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE other (x)")
    for name in ("text", "other.db", "nothing", "http://127.0.0.1:9/"):
        done = run(tmp_path, "audit", "verify", name if "/" in name else str(tmp_path / name))
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), name
    assert run(tmp_path, "audit", "verify", "x", "--expect-head", "7").returncode == 2


def test_the_key_file_beside_a_database_tells_the_public_key(sealed: Path, tmp_path: Path) -> None:
    for name, code in {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8": 0, "A" * 43: 1}.items():
        (tmp_path / "ouija.db").write_bytes((sealed / "ouija.db").read_bytes())
        (tmp_path / "ouija.db.ledger-key").write_text(name + "\n")
        done = run(tmp_path, "audit", "verify", str(tmp_path / "ouija.db"))
        assert done.returncode == code, done.stderr
    assert "another key" in done.stderr


def test_a_database_on_a_medium_that_cannot_be_written_to_is_read(sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "ouija.db").write_bytes((sealed / "ouija.db").read_bytes())
    (tmp_path / "ouija.db").chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        before = digests(tmp_path)
        done = run(tmp_path, "audit", "verify", str(tmp_path / "ouija.db"))
        assert done.returncode == 0, done.stderr
        assert digests(tmp_path) == before
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_running_service_its_database_and_its_backup_are_checked_while_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(AUDIT_TOKEN + "\n")
    with RunningService(tmp_path) as service:
        for _ in range(3):
            service.ask("¿Volverá?").raise_for_status()
        noted = service.client.get("/audit/proof").json()
        key, expected = noted["publicKey"], f"{noted['position']}:{noted['hash']}"
        service.ask("¿Y después?").raise_for_status()
        wanted = ("--expect-head", expected, "--public-key", key)
        by_url = run(tmp_path, "audit", "verify", service.url, *wanted, "--token-file", str(tmp_path / "token"))
        refused = run(tmp_path, "audit", "verify", service.url, AUDIT_TOKEN="w" * 16)
        live = run(tmp_path, "audit", "verify", str(service.database), *wanted)
        run(tmp_path, "backup", str(tmp_path / "copy.db"))
        copy = run(tmp_path, "audit", "verify", str(tmp_path / "copy.db"), *wanted)
        told = run(tmp_path, "audit", "head").stdout.strip()
    stopped = run(tmp_path, "audit", "verify", str(service.database), *wanted, "--expect-head", told)
    for done in (by_url, live, copy, stopped):
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("OK: ")
    assert "sealed up to" in stopped.stdout
    assert refused.returncode == 1
    assert "401" in refused.stderr
    position, link = check(service.database, key)
    assert f"head {position}:{link}" in stopped.stdout


def test_a_terminal_gets_a_progress_bar(sealed: Path) -> None:
    shown, terminal = pty.openpty()
    command = [sys.executable, "-m", "ouija_es", "audit", "verify", str(sealed / "ouija.db")]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(sealed), stderr=terminal, stdout=subprocess.PIPE
    ) as check_:
        assert check_.wait(60) == 0
    os.close(terminal)
    assert b"events" in os.read(shown, 10_000)
    os.close(shown)
