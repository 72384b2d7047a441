"""The command line as an operator uses it."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.service import RunningService, environment

ROOT = Path(__file__).resolve().parents[1]


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ouija_es", *arguments],
        cwd=ROOT,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["seed"],
        ["keys"],
        ["backup"],
        ["erase"],
        ["audit"],
        ["audit", "show"],
        ["audit", "export"],
        ["audit", "import"],
        ["audit", "replay"],
        ["audit", "verify"],
        ["audit", "head"],
    ],
)
def test_help_is_everywhere(tmp_path: Path, command: list[str]) -> None:
    shown = run(tmp_path, *command, "--help")

    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: ouija-es")


@pytest.mark.parametrize(
    "command",
    [[], ["fly"], ["erase"], ["erase", "not-a-uuid"], ["audit"], ["audit", "show"], ["audit", "show", "not-a-uuid"]],
)
def test_wrong_usage_exits_with_2(tmp_path: Path, command: list[str]) -> None:
    assert run(tmp_path, *command).returncode == 2


def test_wrong_settings_exit_with_2_and_a_line_each(tmp_path: Path) -> None:
    failed = run(tmp_path, "serve", PORT="x", AUDIT_TOKEN="s3cret")

    assert failed.returncode == 2
    assert [line.partition(":")[0] for line in failed.stderr.splitlines()] == ["PORT", "AUDIT_TOKEN"]
    assert "s3cret" not in failed.stderr
    assert not list(tmp_path.iterdir())


def test_seeding_says_how_many_and_may_be_done_again(tmp_path: Path) -> None:
    for _ in range(2):
        seeded = run(tmp_path, "seed")
        assert seeded.returncode == 0
        assert seeded.stdout.startswith("Seeded ")
    with sqlite3.connect(tmp_path / "ouija.db") as database:
        (count,) = database.execute("SELECT COUNT(*) FROM canned_answers").fetchone()
    assert seeded.stdout == f"Seeded {count} responses\n"


def test_keys_are_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    first, second = run(tmp_path, "keys"), run(tmp_path, "keys")

    assert first.returncode == 0
    assert first.stdout == second.stdout
    for name in ("ouija.db.vault-key", "ouija.db.ledger-key"):
        file = tmp_path / name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() not in first.stdout


def test_new_keys_are_fit_for_the_settings(tmp_path: Path) -> None:
    lines = run(tmp_path, "keys", "--new").stdout.splitlines()
    variables = dict(line.split("=", 1) for line in lines)
    assert variables.keys() == {"VAULT_KEY", "LEDGER_KEY"}

    shown = run(tmp_path, "keys", **variables)

    assert shown.returncode == 0
    assert "VAULT_KEY in the environment" in shown.stdout
    assert not list(tmp_path.iterdir())


def test_a_session_is_shown_as_a_timeline(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        first = service.ask("¿Encontraré\u202e el amor?").raise_for_status().json()
        service.ask("¿y cuándo?", sessionId=first["sessionId"]).raise_for_status()
        shown = run(tmp_path, "audit", "show", first["sessionId"])

    assert shown.returncode == 0, shown.stderr
    assert f"session {first['sessionId']}, 2 questions" in shown.stdout
    assert "¿Encontraré el amor?" in shown.stdout
    assert "groq skipped: not_configured" in shown.stdout
    assert "answered by database (sqlite-fallback)" in shown.stdout
    assert " ".join(first["response"].split()[:4]) in shown.stdout


def test_an_unknown_session_or_no_database_exits_with_1(tmp_path: Path) -> None:
    assert run(tmp_path, "audit", "show", str(uuid4())).returncode == 1
    run(tmp_path, "seed")
    run(tmp_path, "keys")
    unknown = run(tmp_path, "audit", "show", str(uuid4()))
    assert (unknown.returncode, unknown.stderr) == (1, "ouija-es: no question of this session is recorded\n")


def test_another_vault_key_opens_nothing(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session = service.ask("hola").raise_for_status().json()["sessionId"]
    key = dict(line.split("=", 1) for line in run(tmp_path, "keys", "--new").stdout.splitlines())["VAULT_KEY"]

    shown = run(tmp_path, "audit", "show", session, VAULT_KEY=key)

    assert shown.returncode == 1
    assert "hola" not in shown.stdout


def test_looking_makes_no_key(tmp_path: Path) -> None:
    run(tmp_path, "seed")
    shown = run(tmp_path, "audit", "show", str(uuid4()))

    assert shown.returncode == 1
    assert "the key file cannot be used" in shown.stderr
    assert not list(tmp_path.glob("*key"))


def test_another_vault_key_stops_the_start_and_the_right_one_goes_on(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session = service.ask("hola").raise_for_status().json()["sessionId"]
    key_file = tmp_path / "ouija.db.vault-key"
    key = key_file.read_text()
    key_file.unlink()

    refused = run(tmp_path, "serve")

    assert refused.returncode == 1
    assert "another vault key" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    key_file.write_text(key)
    with RunningService(tmp_path) as service:
        assert service.ask("¿y?", sessionId=session).status_code == 200


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        for command in (["serve"], ["seed"]):
            refused = run(tmp_path, *command)
            assert refused.returncode == 1
            assert "another process is writing" in refused.stderr
        assert service.ask("hola").status_code == 200


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    failed = run(tmp_path, "serve", DATABASE_URL=f"file:{tmp_path}/file/ouija.db")

    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ouija.db").write_bytes(b"not a database" * 1000)

    failed = run(tmp_path, "serve")

    assert failed.returncode == 1
    assert "the database cannot be used" in failed.stderr
    assert "Traceback" not in failed.stderr + failed.stdout


def test_a_backup_is_whole_and_overwrites_nothing(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.ask("hola").raise_for_status()
        done = run(tmp_path, "backup", str(tmp_path / "copy.db"))
        again = run(tmp_path, "backup", str(tmp_path / "copy.db"))

    assert done.returncode == 0, done.stderr
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        (events,) = copy.execute("SELECT COUNT(*) FROM stored_events").fetchone()
        (seals,) = copy.execute("SELECT COUNT(*) FROM stored_events WHERE topic='ouija.Sealed.v1'").fetchone()
    assert done.stdout.startswith(f"{events} events in ")
    assert events - seals == 7
    assert again.returncode == 1


@pytest.mark.parametrize(
    "command",
    [["seed"], ["audit", "show", str(uuid4())], ["backup", "copy.db"], ["erase", str(uuid4())], ["audit", "export"]],
)
def test_every_command_says_in_one_line_that_a_file_is_no_database(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "ouija.db").write_bytes(b"not a database" * 1000)

    failed = run(tmp_path, *command)

    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
