"""A database from before the ledger is chained when the service starts on it, once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ouija_es.errors import StartError
from ouija_es.store import chaining
from ouija_es.store.chaining import chain_once
from ouija_es.verification.database import opened
from ouija_es.verification.verifier import Verifier
from tests.service import RunningService
from tests.test_cli import run
from tests.verification.logs import make_log, rows_of


def unchain(database: Path) -> None:
    """As it was before rows had links."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ALTER TABLE stored_events DROP COLUMN link")


def test_old_rows_get_the_links_that_they_would_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaining, "BATCH", 7)
    database = tmp_path / "ouija.db"
    rows = make_log(database, 20)
    unchain(database)
    assert chain_once(database) == len(rows)
    assert rows_of(database) == rows
    assert chain_once(database) == 0


def test_a_new_or_an_empty_database_is_left_alone(tmp_path: Path) -> None:
    assert chain_once(tmp_path / "ouija.db") == 0
    assert not list(tmp_path.iterdir())
    sqlite3.connect(tmp_path / "ouija.db").close()
    assert chain_once(tmp_path / "ouija.db") == 0


def test_a_log_with_a_hole_stays_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "ouija.db"
    make_log(database, 3)
    unchain(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM stored_events WHERE position=4")
    with pytest.raises(StartError, match="position 4"):
        chain_once(database)
    with closing(sqlite3.connect(database)) as connection:
        assert "link" not in {row[1] for row in connection.execute("PRAGMA table_info(stored_events)")}


def test_the_service_starts_on_an_old_database_and_goes_on_with_its_chain(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        first = service.ask("¿Volverá?").raise_for_status().json()
    unchain(service.database)
    old = run(tmp_path, "audit", "verify", str(service.database))
    assert old.returncode == 1
    assert "link" in old.stderr
    with RunningService(tmp_path) as service:
        assert "chained" in service.log
        again = service.ask("¿Y cuándo?", sessionId=first["sessionId"])
        assert again.status_code == 200
        assert service.client.get("/health").json()["checks"]["ledger"]["status"] == "ok"
    with opened(service.database) as database:
        assert Verifier().verify(database.batches()).last_seal is not None
