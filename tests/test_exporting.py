"""A log leaves by `audit export` and comes back by `audit import`, as it was."""

import gzip
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ouija_es.projections.catching_up import rebuild
from ouija_es.store.ledger import LogRow
from ouija_es.store.rows import log_rows
from tests.exports import lines_of, log_of, rows_of, run
from tests.service import AUDIT_TOKEN, ROOT, RunningService, environment

AUDITOR = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
QUESTION = "¿Volverá Leocadia?"


def done(folder: Path, *arguments: object, **options: Any) -> str:
    """What a command printed, which must not have failed."""
    ran = run(folder, *arguments, **options)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode() + ran.stderr.decode()


def refused(folder: Path, *arguments: object, **options: Any) -> str:
    """The one line of a command that refused."""
    ran = run(folder, *arguments, **options)
    assert (ran.returncode, ran.stdout) == (1, b"")
    (line,) = ran.stderr.decode().splitlines()
    return line


def rows_in(folder: Path) -> list[LogRow]:
    with log_rows(folder / "ouija.db") as log:
        return log.after(0)


def folded(service: RunningService) -> dict[str, str]:
    """The series of /metrics that tell of questions: a start of the service changes none of them."""
    text = service.client.get("/metrics").raise_for_status().text
    names = "questions|answers|attempts|attempt_duration|answer_duration|tokens|sessions|erasures"
    return dict(re.findall(rf"^(ouija_(?:{names})[a-z_]*(?:{{.*}})?) (\S+)$", text, re.MULTILINE))


class Origin:
    """The data folder of a stopped service that has answered, what it told, and its export."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "origin"
        with RunningService(self.folder) as service:
            self.sessions = [service.ask(QUESTION).raise_for_status().json()["sessionId"] for _ in range(6)]
            service.ask("¿Cuándo?", sessionId=self.sessions[2]).raise_for_status()
            service.client.delete(f"/ouija/sessions/{self.sessions[1]}").raise_for_status()
            self.listed = service.client.get("/audit/sessions", headers=AUDITOR).json()
            self.metrics = folded(service)
            service.stop()
        self.export, self.vault = folder / "log.ndjson", folder / "log.vault"
        self.said = done(self.folder, "audit", "export", self.export, "--with-vault", self.vault)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    return Origin(tmp_path_factory.mktemp("origin"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def with_key(origin: Origin, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(origin.folder / "ouija.db.vault-key", folder)


# -- there and back -------------------------------------------------------------------------------------------------


def test_an_imported_log_is_exported_again_byte_by_byte(origin: Origin, folder: Path, tmp_path: Path) -> None:
    with_key(origin, folder)
    said = done(folder, "audit", "import", origin.export, "--with-vault", origin.vault)
    again = tmp_path / "again", tmp_path / "again.vault"
    assert done(folder, "audit", "export", again[0], "--with-vault", again[1]).splitlines()[0] == said.splitlines()[0]
    assert [path.read_bytes() for path in again] == [origin.export.read_bytes(), origin.vault.read_bytes()]
    assert rows_in(folder) == rows_in(origin.folder)
    assert said.splitlines()[1] == "5 session keys"


def test_a_service_on_the_imported_log_tells_what_the_first_one_told(origin: Origin, folder: Path) -> None:
    with_key(origin, folder)
    done(folder, "audit", "import", origin.export, "--with-vault", origin.vault)
    assert rebuild(folder / "ouija.db") == rebuild(origin.folder / "ouija.db")
    with RunningService(folder) as service:
        assert folded(service) == origin.metrics
        assert service.client.get("/audit/sessions", headers=AUDITOR).json() == origin.listed
        for number, session in enumerate(origin.sessions):
            history = service.client.get(f"/audit/sessions/{session}", headers=AUDITOR).raise_for_status()
            assert (QUESTION in history.text) == (number != 1)
        assert service.ask("¿Y ahora?", sessionId=origin.sessions[2]).status_code == 200
        assert service.ask("¿Y ahora?", sessionId=origin.sessions[1]).status_code == 404
        service.stop()
    rows = rows_in(folder)
    assert rows[: len(rows_in(origin.folder))] == rows_in(origin.folder)


def test_without_the_vault_the_texts_stay_sealed_and_the_numbers_are_the_same(origin: Origin, folder: Path) -> None:
    done(folder, "audit", "import", origin.export)
    with RunningService(folder) as service:
        assert folded(service) == origin.metrics
        history = service.client.get(f"/audit/sessions/{origin.sessions[0]}", headers=AUDITOR).raise_for_status().json()
        assert history["questions"][0]["erased"] is True
        assert service.ask("¿Y ahora?", sessionId=origin.sessions[0]).status_code == 404


def test_with_another_vault_key_nothing_is_imported(origin: Origin, folder: Path) -> None:
    arguments = ("audit", "import", origin.export, "--with-vault", origin.vault)
    assert "the key file cannot be used" in refused(folder, *arguments)
    key = re.search(r"VAULT_KEY=(\S+)", done(folder, "keys", "--new"))
    assert key
    assert "another vault key" in refused(folder, *arguments, VAULT_KEY=key[1])
    assert [path.name for path in folder.iterdir()] == ["ouija.db.lock"]


def test_a_seeded_store_is_empty(origin: Origin, folder: Path) -> None:
    done(folder, "seed")
    done(folder, "audit", "import", origin.export)
    assert rows_in(folder) == rows_in(origin.folder)
    with RunningService(folder) as service:
        assert service.client.get("/health").json()["checks"]["database"]["count"] > 100


def test_what_is_written_is_for_the_owner_alone(origin: Origin, folder: Path) -> None:
    done(folder, "audit", "import", origin.export)
    for path in (origin.export, origin.vault, *folder.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_and_the_route_give_the_same_lines(origin: Origin, folder: Path) -> None:
    with_key(origin, folder)
    done(folder, "audit", "import", origin.export)
    whole = origin.export.read_bytes()
    with RunningService(folder) as service:
        assert service.client.get("/audit/events", headers=AUDITOR).content.startswith(whole)


# -- export ---------------------------------------------------------------------------------------------------------


def test_an_export_beside_a_running_service_goes_on_where_it_ended(folder: Path, tmp_path: Path) -> None:
    file, packed = tmp_path / "log", tmp_path / "log.gz"
    with RunningService(folder) as service:
        for _ in range(2):
            service.ask("hola").raise_for_status()
            done(folder, "audit", "export", file)
            done(folder, "audit", "export", packed, "--gzip")
        began = file.read_bytes()
        service.stop()
    done(folder, "audit", "export", file)
    done(folder, "audit", "export", packed)
    whole = run(folder, "audit", "export").stdout
    assert rows_of(whole) == rows_in(folder)
    assert file.read_bytes() == gzip.decompress(packed.read_bytes()) == whole
    assert len(began) > 0
    assert whole.startswith(began)
    assert done(folder, "audit", "export", file).startswith("0 events, head ")


def test_pieces_make_a_whole(origin: Origin, folder: Path) -> None:
    whole = origin.export.read_bytes()
    first = run(origin.folder, "audit", "export", "--gzip")
    behind = run(origin.folder, "audit", "export", "--after", 5).stdout
    assert gzip.decompress(first.stdout) == whole
    pieces = gzip.compress(b"".join(whole.splitlines(keepends=True)[:5])) + gzip.compress(behind)
    done(folder, "audit", "import", "-", stdin=pieces)
    assert rows_in(folder) == rows_in(origin.folder)
    assert "begins at position 6" in refused(folder.with_name("other"), "audit", "import", "-", stdin=behind)


def test_the_same_log_is_packed_into_the_same_bytes(origin: Origin) -> None:
    one, other = (run(origin.folder, "audit", "export", "--gzip").stdout for _ in range(2))
    assert one == other


def test_the_torn_end_of_an_export_that_was_killed_is_written_anew(origin: Origin, tmp_path: Path) -> None:
    whole = origin.export.read_bytes()
    for cut in (1, 700, len(whole) // 2):
        (file := tmp_path / f"cut-{cut}").write_bytes(whole[:-cut])
        done(origin.folder, "audit", "export", file)
        assert file.read_bytes() == whole
    (empty := tmp_path / "empty").touch()
    done(origin.folder, "audit", "export", empty)
    assert empty.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"dear diary\n", (), "is no export"),
        (b"dear diary", (), "is no export"),
        (b"".join(lines_of(log_of(1))), (), "of another log"),
        (gzip.compress(b"x" * 1000)[:-9], (), "cut off or damaged"),
        (b"", ("--after", "3"), "says itself where it ends"),
        (b"\n", ("--gzip",), "not packed"),
    ],
)
def test_a_file_that_cannot_be_gone_on_with_stays_as_it_is(
    origin: Origin, tmp_path: Path, content: bytes, arguments: tuple[str, ...], message: str
) -> None:
    if message == "not packed":
        content = origin.export.read_bytes()
    (file := tmp_path / "file").write_bytes(content)
    assert message in refused(origin.folder, "audit", "export", file, *arguments)
    assert file.read_bytes() == content


def test_an_export_that_cannot_be_written_says_so_in_a_line(origin: Origin, folder: Path) -> None:
    assert "No such file" in refused(origin.folder, "audit", "export", origin.folder / "nowhere" / "log")
    assert "there is no database" in refused(folder, "audit", "export")
    for target, message in (("> /dev/full", "No space left on device"), ("| head -c 10", "Broken pipe")):
        command = f"{sys.executable} -m ouija_es audit export {target}"
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=ROOT,
            env=environment(origin.folder),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert ran.stderr.decode() in (
            f"ouija-es: the export cannot be written: {message}\n",
            origin.said.partition("\n")[0] + "\n",
        )


# -- import ---------------------------------------------------------------------------------------------------------


def test_where_something_is_recorded_nothing_is_imported(origin: Origin, folder: Path) -> None:
    done(folder, "audit", "import", origin.export)
    before = (folder / "ouija.db").read_bytes()
    assert "there is a log already" in refused(folder, "audit", "import", origin.export)
    with RunningService(folder) as service:
        assert "another process is writing" in refused(folder, "audit", "import", origin.export)
        service.stop()
    assert len(before) > 0


def test_a_damaged_export_is_one_line_and_leaves_nothing(origin: Origin, folder: Path) -> None:
    lines = origin.export.read_bytes().splitlines(keepends=True)
    assert "line 9: position 10 where 9" in refused(
        folder, "audit", "import", "-", stdin=b"".join(lines[:8] + lines[9:])
    )
    assert "line 9: cut off" in refused(folder, "audit", "import", "-", stdin=b"".join(lines[:8]) + lines[8][:-5])
    assert "its head is" in refused(folder, "audit", "import", origin.export, "--expect-head", "1:00")
    assert "cannot be read" in refused(folder, "audit", "import", folder / "nowhere")
    assert [path.name for path in folder.iterdir()] == ["ouija.db.lock"]
    head = origin.said.splitlines()[0].rpartition(" ")[2]
    done(folder, "audit", "import", origin.export, "--expect-head", head)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LogRow]]:
    rows = log_of(4_000)
    (path := tmp_path_factory.mktemp("large") / "log").write_bytes(b"".join(lines_of(rows)))
    return path, rows


def kills() -> Iterator[Any]:
    rng = random.Random(5)
    yield from (rng.random() for _ in range(3))
    yield from (pytest.param(rng.random(), marks=pytest.mark.deep) for _ in range(40))


@pytest.mark.parametrize("share", list(kills()))
def test_an_import_that_is_killed_is_done_or_leaves_an_empty_store(
    large: tuple[Path, list[LogRow]], tmp_path: Path, share: float
) -> None:
    path, rows = large
    folder = tmp_path / "data"
    command = [sys.executable, "-m", "ouija_es", "audit", "import", str(path)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(folder), stdout=subprocess.DEVNULL) as importing:
        scratch = folder / "ouija.db.import"
        while importing.poll() is None and not scratch.exists():
            time.sleep(0.001)
        size = share * 6_000_000
        while importing.poll() is None and scratch.exists() and _size(scratch) < size:
            time.sleep(0.001)
        importing.kill()
    if not (folder / "ouija.db").exists():
        done(folder, "audit", "import", path)
    with log_rows(folder / "ouija.db") as log:
        assert log.after(0, len(rows) + 1) == rows
    assert not (folder / "ouija.db.import").exists()
    assert "there is a log already" in refused(folder, "audit", "import", path)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - it may be gone any moment
    except FileNotFoundError:
        return 0
