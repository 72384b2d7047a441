"""Whatever becomes of the database file under a running service: a 200 is recorded, anything else is a clear 503."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ouija_es.domain.events import Asked, Withdrawn
from tests.conftest import require
from tests.flow.events import opened
from tests.service import RunningService
from tests.store.history import assert_recorded, assert_whole, open_log, streams_of
from tests.store.rows import locked

PROBE_SECONDS = 15
"""The writer looks every 10 s whether it can write again."""
FILES = ("ouija.db", "ouija.db-wal", "ouija.db-shm")
FIU = Path("/usr/lib/fiu")


def ask(service: RunningService, number: int = 0) -> httpx.Response:
    """An answer or a clear refusal, nothing else."""
    answer = service.ask(f"¿Queda escrito el {number}?")
    if answer.status_code != 200:
        assert_refused(answer)
    return answer


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["type"].startswith("urn:ouija-es:problem:")


def until(condition: Callable[[], bool], seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def is_healthy(service: RunningService) -> bool:
    health = service.client.get("/health")
    assert (health.status_code, health.json()["status"]) in ((200, "ok"), (503, "critical"))
    return health.status_code == 200


def assert_all_recorded(database: Path, bodies: list[dict[str, Any]], *, still_open: bool = False) -> None:
    log = open_log(database)
    for body in bodies:
        assert_recorded(body, log)
    assert_whole(streams_of(log), still_open=still_open)
    log.close()


def assert_only_refusals(service: RunningService) -> None:
    for number in range(3):
        assert_refused(ask(service, number))
    assert not is_healthy(service)
    assert service.client.get("/health/live").status_code == 200


def opened_files(service: RunningService, into: Path) -> Path:
    """A copy of the files that the service has open, whatever their names are by now."""
    into.mkdir()
    for link in Path(f"/proc/{service.process.pid}/fd").iterdir():
        name = Path(str(link.readlink()).removesuffix(" (deleted)")).name.removeprefix("was-")
        if name in FILES[:2]:
            shutil.copyfile(link, into / name)
    shutil.copyfile(service.folder / "ouija.db.vault-key", into / "ouija.db.vault-key")
    return into / "ouija.db"


@pytest.mark.parametrize("removed", [FILES[:1], FILES[1:2], FILES], ids=["database", "wal", "all"])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="platform: /proc is Linux")
def test_a_removed_file_is_noticed_at_the_next_commit(tmp_path: Path, removed: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    with RunningService(folder) as service:
        bodies = [ask(service, number).raise_for_status().json() for number in range(10)]
        for name in removed:
            (folder / name).unlink()

        assert_only_refusals(service)

        assert not set(removed) & {path.name for path in folder.iterdir()}, "nothing is made anew beside the open files"
        assert_all_recorded(opened_files(service, tmp_path / "copy"), bodies)
        assert service.stop() == 0
        assert "bug" not in service.log


def test_with_many_at_once_a_removed_file_is_no_bug_either(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with RunningService(folder) as service, ThreadPoolExecutor(16) as clients:
        session = ask(service).raise_for_status().json()["sessionId"]
        for name in FILES:
            (folder / name).unlink()

        def ask_on(number: int) -> httpx.Response:
            content = {"question": "¿Y ahora?"} | ({"sessionId": session} if number % 2 else {})
            key = {"idempotency-key": f"a key for number {number}"}
            return service.client.post("/ouija/ask", json=content, headers=key)

        for answer in clients.map(ask_on, range(48)):
            assert_refused(answer)
        assert "bug" not in service.log


@pytest.mark.deep
def test_files_that_are_put_back_are_written_on(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        bodies = [ask(service, number).raise_for_status().json() for number in range(5)]
        for name in FILES:
            (tmp_path / name).rename(tmp_path / f"was-{name}")
        assert_only_refusals(service)
        for name in FILES:
            (tmp_path / f"was-{name}").rename(tmp_path / name)

        until(lambda: is_healthy(service), PROBE_SECONDS)
        bodies += [ask(service, number).raise_for_status().json() for number in range(5)]
        assert service.stop() == 0
    assert_all_recorded(service.database, bodies)


@pytest.mark.deep
def test_a_copy_in_the_file_s_place_is_not_written_to_until_a_restart(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        bodies = [ask(service, number).raise_for_status().json() for number in range(5)]
        service.stop()
    with RunningService(tmp_path) as service:
        copy = tmp_path / "copy"
        shutil.copyfile(service.database, copy)
        copy.replace(service.database)
        assert_only_refusals(service)
        assert service.stop() == 0
    with RunningService(tmp_path) as service:
        bodies.append(ask(service).raise_for_status().json())
        assert is_healthy(service)
        service.stop()
    assert_all_recorded(service.database, bodies)


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Callable[[bool], None]]:
    """Makes the database files read-only for everybody, open or not; False: writable again."""

    def set_to(on: bool) -> None:
        there = [str(tmp_path / name) for name in FILES[:2] if (tmp_path / name).exists()]
        subprocess.run(["chattr", "+i" if on else "-i", *there], check=True, capture_output=True)

    probe = tmp_path / "probe"
    probe.touch()
    may = shutil.which("chattr") is not None
    may = may and subprocess.run(["chattr", "+i", str(probe)], capture_output=True, check=False).returncode == 0
    if may:
        subprocess.run(["chattr", "-i", str(probe)], check=True)
    require("the right to make files immutable (chattr +i)", may)
    yield set_to
    set_to(False)


@pytest.mark.deep
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="platform: chattr is Linux")
def test_a_read_only_file_costs_answers_until_it_is_writable(tmp_path: Path, immutable: Callable[[bool], None]) -> None:
    with RunningService(tmp_path) as service:
        bodies = [ask(service, number).raise_for_status().json() for number in range(5)]
        immutable(True)
        assert_only_refusals(service)

        immutable(False)
        bodies.append(ask(service).raise_for_status().json())  # at once
        until(lambda: is_healthy(service), PROBE_SECONDS)
        assert service.stop() == 0
        assert "bug" not in service.log
    assert_all_recorded(service.database, bodies)


@pytest.mark.deep
def test_another_process_s_lock_of_ten_seconds_is_told_in_time_and_survived(tmp_path: Path) -> None:
    deadline_seconds, slack_seconds = 2.0, 1.0
    with RunningService(tmp_path, ANSWER_DEADLINE_SECONDS=str(deadline_seconds)) as service:
        bodies = [ask(service, number).raise_for_status().json() for number in range(5)]
        with locked(service.database), ThreadPoolExecutor(8) as clients:

            def ask_on(number: int) -> float:
                started_at = time.monotonic()
                assert_refused(ask(service, number))
                time.sleep(0.1)
                return time.monotonic() - started_at

            locked_until, slowest = time.monotonic() + 10, 0.0
            while time.monotonic() < locked_until:
                slowest = max(slowest, *clients.map(ask_on, range(8)))
        assert slowest <= deadline_seconds + slack_seconds
        assert not is_healthy(service)
        until(lambda: ask(service).status_code == 200, PROBE_SECONDS)
        bodies.append(ask(service).raise_for_status().json())
        until(lambda: is_healthy(service), PROBE_SECONDS)
        assert service.stop() == 0
        assert "bug" not in service.log
    assert_all_recorded(service.database, bodies)


def test_who_leaves_a_stream_while_the_store_is_slow_has_withdrawn(tmp_path: Path) -> None:
    with RunningService(tmp_path, GROQ_API_KEY="k" * 20, GROQ_URL="http://127.0.0.1:1/v1") as service:
        with locked(service.database):
            with opened(service, "¿Hay alguien?") as response:
                next(response.iter_raw())  # the comment that comes at once; the first commit waits for the lock
                time.sleep(0.2)
            time.sleep(0.3)
        assert service.stop() == 0
    log = open_log(service.database)
    streams = streams_of(log)
    log.close()
    assert_whole(streams)
    ends = [type(events[-1].event) for events in streams.values() if isinstance(events[0].event, Asked)]
    assert ends == [Withdrawn]


class Fiu:
    """libfiu (https://blitiri.com.ar/p/libfiu/) inside a service: makes system calls fail by their names."""

    def __init__(self, folder: Path) -> None:
        self._prefix = str(folder / "fiu")
        self.variables = {
            "LD_PRELOAD": f"{FIU}/fiu_run_preload.so {FIU}/fiu_posix_preload.so",
            "FIU_CTRL_FIFO": self._prefix,
            "FIU_ENABLE": "",
        }

    def tell(self, service: RunningService, command: str) -> None:
        """A line for fiu-ctrl's `-c`."""
        told = ["fiu-ctrl", "-f", self._prefix, "-c", command, str(service.process.pid)]
        done = subprocess.run(told, capture_output=True, text=True, timeout=30, check=True)
        assert "rror" not in done.stdout, done.stdout


@pytest.mark.deep
@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_a_disk_that_does_not_always_sync_costs_answers_never_records(
    tmp_path: Path, probability: float, end: str
) -> None:
    require("fiu-utils", shutil.which("fiu-ctrl") is not None and FIU.is_dir())
    fiu = Fiu(tmp_path)
    with RunningService(tmp_path / "data", **fiu.variables) as service, ThreadPoolExecutor(8) as clients:
        ask(service).raise_for_status()
        for call in ("fsync", "fdatasync"):
            fiu.tell(service, f"enable_random name=posix/io/sync/{call},probability={probability}")
        answers = list(clients.map(lambda number: ask(service, number), range(400)))
        bodies = [answer.json() for answer in answers if answer.status_code == 200]
        refused = len(answers) - len(bodies)
        print(f"\nfsync fails with probability {probability}: {len(bodies)} answered, {refused} refused")  # noqa: T201
        assert len(bodies) > 10
        if probability > 0.5:
            assert refused > 0, "a batch is tried three times: some must have failed"
        for call in ("fsync", "fdatasync"):
            fiu.tell(service, f"disable name=posix/io/sync/{call}")
        bodies.append(ask(service).raise_for_status().json())
        until(lambda: is_healthy(service), PROBE_SECONDS)
        assert "bug" not in service.log
        getattr(service, end)()
    with RunningService(tmp_path / "data") as last:
        last.stop()
    assert_all_recorded(service.database, bodies)


@pytest.mark.deep
def test_a_disk_that_never_syncs_is_told_as_critical(tmp_path: Path) -> None:
    require("fiu-utils", shutil.which("fiu-ctrl") is not None and FIU.is_dir())
    fiu = Fiu(tmp_path)
    with RunningService(tmp_path / "data", **fiu.variables) as service:
        bodies = [ask(service, number).raise_for_status().json() for number in range(5)]
        fiu.tell(service, "enable name=posix/io/sync/*")
        assert_only_refusals(service)
        time.sleep(PROBE_SECONDS - 4)
        assert not is_healthy(service)  # the probe syncs, too
        fiu.tell(service, "disable name=posix/io/sync/*")
        until(lambda: is_healthy(service), PROBE_SECONDS)
        bodies.append(ask(service).raise_for_status().json())
        service.kill()
    assert_all_recorded(service.database, bodies, still_open=True)
