"""`ouija-es erase`: through the server that runs, or in its place."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from ouija_es.cli import erasing, main
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.store.sqlite import DataFolderLock
from tests.bytes_in_files import bytes_found
from tests.flow.erasing import ERASURE_TOKEN, erasures, wrapped_key
from tests.service import RunningService, environment
from tests.test_cli import run

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("data"), ERASURE_TOKEN=ERASURE_TOKEN) as running:
        yield running


def test_a_running_server_erases_what_it_is_told(service: RunningService) -> None:
    session_id = service.ask("¿Quién soy?").json()["sessionId"]
    key = wrapped_key(service.database, session_id)
    everywhere = "0.0.0.0"  # noqa: S104 - as the image has it
    here = {"PORT": service.url.rpartition(":")[2], "HOST": everywhere, "ERASURE_TOKEN": ERASURE_TOKEN}

    for _ in range(2):
        done = run(service.folder, "erase", session_id, **here)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("erased: ")

    assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
    assert bytes_found(service.folder, key) == []
    assert erasures(service.database, session_id) == [ErasedBy.OPERATOR]


def test_a_server_elsewhere_is_named_by_its_url(service: RunningService, tmp_path: Path) -> None:
    session_id = service.ask("¿Quién soy?").json()["sessionId"]

    done = run(tmp_path, "erase", session_id, "--url", service.url + "/", ERASURE_TOKEN=ERASURE_TOKEN)

    assert done.returncode == 0, done.stderr
    assert erasures(service.database, session_id) == [ErasedBy.OPERATOR]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "line"),
    [
        ([], {}, 2, "ERASURE_TOKEN: must be the running server's, to erase through it"),
        ([], {"ERASURE_TOKEN": "another-token-than-the-server's"}, 1, "has another ERASURE_TOKEN"),
        ([], {"ERASURE_TOKEN": ERASURE_TOKEN, "PORT": "9"}, 1, "no server answers at http://127.0.0.1:9"),
        ([], {"ERASURE_TOKEN": ERASURE_TOKEN, "PORT": "9", "HOST": "::"}, 1, "no server answers at http://[::1]:9"),
        ([], {"ERASURE_TOKEN": ERASURE_TOKEN, "PORT": "0"}, 1, "say with --url where it listens"),
        (["--url", NOWHERE], {"ERASURE_TOKEN": ERASURE_TOKEN}, 1, f"no server answers at {NOWHERE}"),
        (["--url", "localhost"], {"ERASURE_TOKEN": ERASURE_TOKEN}, 2, "must be an http:// or https:// URL"),
        (["--url", "http://"], {"ERASURE_TOKEN": ERASURE_TOKEN}, 1, "no server answers at http:"),
    ],
)
def test_what_is_missing_is_told_and_nothing_erased(
    service: RunningService, arguments: list[str], variables: dict[str, str], code: int, line: str
) -> None:
    session_id = service.ask("¿Quién soy?").json()["sessionId"]
    here = {"PORT": service.url.rpartition(":")[2]}

    refused = run(service.folder, "erase", session_id, *arguments, **here | variables)

    assert refused.returncode == code, refused.stderr
    assert line in refused.stderr
    assert session_id not in refused.stdout + refused.stderr
    assert ERASURE_TOKEN not in refused.stdout + refused.stderr
    assert wrapped_key(service.database, session_id)


def test_a_session_that_never_was_is_told(service: RunningService, tmp_path: Path) -> None:
    here = {"PORT": service.url.rpartition(":")[2], "ERASURE_TOKEN": ERASURE_TOKEN}
    unknown = (1, "ouija-es: no question of this session is recorded\n")

    through = run(service.folder, "erase", str(uuid4()), **here)
    assert (through.returncode, through.stderr) == unknown

    assert "there is no database" in run(tmp_path, "erase", str(uuid4())).stderr
    assert not list(tmp_path.iterdir())
    run(tmp_path, "seed")
    alone = run(tmp_path, "erase", str(uuid4()))
    assert (alone.returncode, alone.stderr) == unknown


def test_a_server_that_erases_for_no_operator_says_so(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
        refused = run(tmp_path, "erase", session_id, "--url", service.url, ERASURE_TOKEN=ERASURE_TOKEN)
    assert refused.returncode == 1
    assert "no server with an ERASURE_TOKEN" in refused.stderr


def test_without_a_server_it_is_done_in_its_place_also_after_a_kill_and_without_the_vault_key(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session_id, other = (service.ask("¿Quién soy?").json()["sessionId"] for _ in range(2))
        key = wrapped_key(service.database, session_id)
        service.kill()
    assert bytes_found(tmp_path, key)
    vault_key = tmp_path / "ouija.db.vault-key"
    vault_key.rename(tmp_path.parent / "kept")

    for _ in range(2):
        done = run(tmp_path, "erase", session_id)
        assert (done.returncode, done.stderr) == (0, "")
        assert bytes_found(tmp_path, key) == []

    (tmp_path.parent / "kept").rename(vault_key)
    with RunningService(tmp_path) as service:
        assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
        assert service.ask("¿Sigues ahí?", sessionId=other).status_code == 200
        assert "ouija_erasures_total 1.0" in service.client.get("/metrics").text
    assert erasures(service.database, session_id) == [ErasedBy.OPERATOR]


def test_while_somebody_reads_it_says_that_it_is_in_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunningService(tmp_path) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
        service.kill()
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(erasing, "WAIT_SECONDS", 0)
    with closing(sqlite3.connect(service.database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM stored_events").fetchone()
        assert main(["erase", session_id]) == 1
        assert capsys.readouterr().out.startswith("in progress: ")
    assert main(["erase", session_id]) == 0


def test_another_command_that_writes_is_no_server(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
    lock = DataFolderLock(service.database)
    lock.acquire()
    refused = run(tmp_path, "erase", session_id, PORT="9", ERASURE_TOKEN=ERASURE_TOKEN)
    lock.release()
    assert refused.returncode == 1
    assert "no server answers" in refused.stderr
