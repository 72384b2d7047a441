"""An import takes a whole export or nothing, and says which line is wrong."""

import gzip
import io
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ouija_es.domain.events import Erased
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.errors import StartError
from ouija_es.ids import uuid7
from ouija_es.store.importing import LINE_LIMIT_BYTES, DamagedExport, check_empty, import_log
from ouija_es.store.ledger import LogRow
from ouija_es.store.mapper import to_row
from ouija_es.store.rows import log_rows
from ouija_es.store.sqlite import open_recorder
from ouija_es.store.vault import Vault
from ouija_es.store.vault_file import DamagedVault, WrappedKeys, write_vault
from tests.exports import chained, exported, lines_of, log_of
from tests.store.rows import AT, INSTANCE, asked, new_rows

LOG = log_of(6)
LINES = lines_of(LOG)
EXPORT = b"".join(LINES)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ouija.db"


def rows_in(database: Path) -> list[LogRow]:
    with log_rows(database) as log:
        return log.after(0)


@pytest.mark.parametrize("content", [EXPORT, gzip.compress(EXPORT), b"".join(map(gzip.compress, LINES))])
def test_the_rows_are_those_that_were_exported(database: Path, content: bytes) -> None:
    rows = exported(content)
    assert import_log(database, rows, None, None) == 0
    assert rows_in(database) == LOG
    assert str(rows.head) == f"{len(LOG)}:{LOG[-1].link.hex()}"
    assert [path.name for path in database.parent.iterdir()] == ["ouija.db"]


def test_what_is_recorded_next_continues_the_chain(database: Path) -> None:
    import_log(database, exported(EXPORT), None, None)
    recorder = open_recorder(database)
    assert recorder.insert_events(new_rows()) == [len(LOG) + 1]
    recorder.datastore.close()
    assert rows_in(database) == chained(rows_in(database))


def other(stream: str, row: LogRow) -> LogRow:
    return row._replace(stream=stream)


def spoiled(number: int, change: Callable[[bytes], bytes]) -> bytes:
    """The export with one line changed."""
    return b"".join(change(line) if at == number else line for at, line in enumerate(LINES, 1))


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


PACKED = gzip.compress(EXPORT)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "line 1: there is nothing in it"),
    "a packed nothing": (gzip.compress(b""), "line 1: there is nothing in it"),
    "no JSON": (spoiled(5, lambda _: b"nonsense\n"), "line 5: not an event of an export"),
    "an empty line": (spoiled(5, lambda line: b"\n" + line), "line 5: not an event of an export"),
    "another object": (spoiled(5, lambda _: b"{}\n"), "line 5: not an event of an export"),
    "cut off in a line": (EXPORT[:-30], "line 18: cut off"),
    "cut off before the end of the last line": (EXPORT[:-1], "line 18: cut off"),
    "too long": (spoiled(3, lambda line: b" " * LINE_LIMIT_BYTES + line), "line 3: too long"),
    "the first missing": (b"".join(LINES[1:]), "line 1: begins at position 2"),
    "one missing": (b"".join([*LINES[:7], *LINES[8:]]), "line 8: position 9 where 8 should be: something is missing"),
    "one twice": (spoiled(8, lambda line: line * 2), "line 9: position 8 where 9 should be: it was there before"),
    "two exchanged": (
        b"".join([*LINES[:7], LINES[8], LINES[7], *LINES[9:]]), "line 8: position 9 where 8 should be"
    ),
    "everything twice": (EXPORT * 2, "line 19: position 1 where 19 should be"),
    "the beginning of another": (LINES[0] + b"".join(lines_of(log_of(6))[1:]), "line 2: position 2 is not what"),
    "an edited event": (
        spoiled(7, lambda line: line.replace(b'"timeLeftMs":7000', b'"timeLeftMs":7001')),
        "line 7: position 7 is not what",
    ),
    "an edited link": (
        spoiled(7, lambda line: re.sub(rb'"link":"..', b'"link":"zz', line)), "line 7: not an event of an export"
    ),
    "another link": (
        spoiled(7, lambda line: re.sub(rb'"link":".{64}', b'"link":"' + b"0" * 64, line)),
        "line 7: position 7 is not what",
    ),
    "an edited time": (
        spoiled(7, lambda line: line.replace(b"2026-01-31", b"2026-01-30", 1)), "line 7: what it says of its event"
    ),
    "an event moved to another stream": (
        b"".join(lines_of([other("0" * 32, row) if row.position == 7 else row for row in LOG])),
        "line 7: position 7 is not what",
    ),
    "a place in a stream taken twice": (
        b"".join(lines_of(chained([*LOG[:8], LOG[3], *LOG[8:]]))), "line 9: its place in its stream is taken"
    ),
    "an event of a later version": (
        b"".join(lines_of(chained([*LOG[:8], LOG[8]._replace(topic="ouija.Levitated.v1"), *LOG[9:]]))),
        "line 9: position 9 is no event that this version knows",
    ),
    "what is no event": (
        b"".join(lines_of(chained([*LOG[:8], LOG[8]._replace(state=b"\0"), *LOG[9:]]))),
        "line 9: position 9 is no event that this version knows",
    ),
    "a packed file cut off": (PACKED[:-20], ": the packed file is cut off or damaged"),
    "a packed file without its end": (PACKED[:-1], ": the packed file is cut off or damaged"),
    "a packed file with a wrong sum": (flipped(PACKED, len(PACKED) - 6), ": the packed file is cut off or damaged"),
    "a packed file with something behind it": (PACKED + b"x" * 20, ": the packed file is cut off or damaged"),
    "a packed file with wrong bytes": (PACKED[:200] + bytes(200) + PACKED[400:], "line "),
    "only the first bytes of a packed file": (PACKED[:5], "line 1: the packed file is cut off or damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_export_is_refused_by_line_and_leaves_nothing(database: Path, content: bytes, message: str) -> None:
    with pytest.raises(DamagedExport) as caught:
        import_log(database, exported(content), None, None)
    assert message in str(caught.value)
    assert re.match(r"line \d+: ", str(caught.value))
    assert "\n" not in str(caught.value)
    assert list(database.parent.iterdir()) == []


@given(st.integers(0, len(EXPORT) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_byte_is_changed_the_log_is_the_same_or_refused(tmp_path: Path, at: int, by: int) -> None:
    database = tmp_path / "ouija.db"
    database.unlink(missing_ok=True)
    content = EXPORT[:at] + bytes([EXPORT[at] ^ by]) + EXPORT[at + 1 :]
    message = None
    try:
        import_log(database, exported(content), None, None)
    except DamagedExport as error:
        message = str(error)
    if message is None:
        assert rows_in(database) == LOG
    else:
        assert not database.exists()
        whole_lines = EXPORT.count(b"\n", 0, at)
        assert message.startswith(f"line {whole_lines + 1}: ")


@pytest.mark.parametrize("expected", [f"17:{LOG[16].link.hex()}", f"18:{'0' * 64}", "18", ""])
def test_an_export_that_ends_elsewhere_is_refused(database: Path, expected: str) -> None:
    with pytest.raises(DamagedExport, match=r"its head is 18:\w{64}, not "):
        import_log(database, exported(EXPORT), None, expected)
    assert not database.exists()
    import_log(database, exported(EXPORT), None, f"18:{LOG[-1].link.hex()}")


def test_what_an_import_that_was_killed_has_left_is_no_hindrance(database: Path) -> None:
    database.with_name("ouija.db.import").write_bytes(b"half of something")
    import_log(database, exported(EXPORT), None, None)
    assert rows_in(database) == LOG


# -- where to -------------------------------------------------------------------------------------------------------


def test_a_store_without_events_is_empty_and_is_replaced(database: Path) -> None:
    check_empty(database)
    open_recorder(database).datastore.close()
    check_empty(database)
    import_log(database, exported(EXPORT), None, None)
    assert rows_in(database) == LOG


@pytest.mark.parametrize("what", ["an event", "a key"])
def test_a_store_that_holds_anything_is_not_empty(database: Path, what: str) -> None:
    recorder = open_recorder(database)
    keys = [(uuid7(), b"wrapped")]
    recorder.insert_events(new_rows() if what == "an event" else [], session_keys=keys if what == "a key" else [])
    with pytest.raises(StartError, match="there is a log already"):
        check_empty(database)
    recorder.datastore.close()


@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_what_is_left_of_another_database_is_not_taken_for_the_new_one_s(database: Path, end: str) -> None:
    (beside := database.with_name(f"ouija.db{end}")).write_bytes(b"pages")
    with pytest.raises(StartError, match="the remains of another database"):
        check_empty(database)
    assert beside.read_bytes() == b"pages"


def test_what_is_no_database_is_left_alone(database: Path) -> None:
    database.write_bytes(b"my diary" * 1000)
    with pytest.raises(StartError, match="cannot be used"):
        check_empty(database)
    assert database.read_bytes() == b"my diary" * 1000


# -- the vault ------------------------------------------------------------------------------------------------------

VAULT = Vault(b"k" * 32)
FINGERPRINT = "0123456789abcdef"


class Sealed:
    """A database with sessions, each with one question, and its log and vault as files."""

    def __init__(self, folder: Path, sessions: int = 4) -> None:
        self.database = folder / "origin.db"
        self.sessions = [uuid7() for _ in range(sessions)]
        recorder = open_recorder(self.database)
        with recorder.datastore.transaction(commit=True) as cursor:
            cursor.execute("INSERT INTO metadata VALUES ('vault-fingerprint',?)", [FINGERPRINT])
        for session in self.sessions:
            key, wrapped = VAULT.new_key(session)
            row = to_row(uuid7(), 1, asked(session, "¿Quién?", opens_session=True), key)
            recorder.insert_events([row], session_keys=[(session, wrapped)])
        recorder.datastore.close()
        self.export = b"".join(lines_of(rows_in(self.database)))
        self.path = folder / "vault"
        assert write_vault(self.database, self.path) == sessions
        self.vault = self.path.read_bytes()

    def keys(self, content: bytes | None = None) -> WrappedKeys:
        return WrappedKeys(io.BytesIO(self.vault if content is None else content), VAULT, FINGERPRINT)


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    (tmp_path / "origin").mkdir()
    return Sealed(tmp_path / "origin")


def keys_in(database: Path) -> dict[UUID, bytes]:
    with closing(sqlite3.connect(database)) as connection:
        return {UUID(row[0]): row[1] for row in connection.execute("SELECT session_id, wrapped FROM session_keys")}


def test_the_keys_are_those_that_were_written(sealed: Sealed, database: Path) -> None:
    assert import_log(database, exported(sealed.export), sealed.keys(), None) == len(sealed.sessions)
    assert keys_in(database) == keys_in(sealed.database)
    again = database.with_name("vault-again")
    write_vault(database, again)
    assert again.read_bytes() == sealed.vault
    assert stat.S_IMODE(again.stat().st_mode) == 0o600


def test_without_the_vault_no_key_is_there(sealed: Sealed, database: Path) -> None:
    assert b"wrapped" not in sealed.export
    import_log(database, exported(sealed.export), None, None)
    assert keys_in(database) == {}


def test_a_session_that_was_erased_since_stays_erased(sealed: Sealed, database: Path) -> None:
    erased = sealed.sessions[1]
    recorder = open_recorder(sealed.database)
    event = Erased(at=AT, instance=INSTANCE, session_id=erased, by=ErasedBy.HOLDER)
    recorder.insert_events([to_row(erased, 1, event)], destroyed_keys=[erased])
    recorder.datastore.close()
    later = b"".join(lines_of(rows_in(sealed.database)))
    assert import_log(database, exported(later), sealed.keys(), None) == len(sealed.sessions) - 1
    assert keys_in(database).keys() == {*sealed.sessions} - {erased}


def test_a_session_that_is_not_in_the_log_gets_no_key(sealed: Sealed, database: Path) -> None:
    earlier = b"".join(sealed.export.splitlines(keepends=True)[:2])
    assert import_log(database, exported(earlier), sealed.keys(), None) == 2
    assert keys_in(database).keys() == {*sealed.sessions[:2]}


def test_the_vault_of_another_key_is_refused(sealed: Sealed) -> None:
    with pytest.raises(StartError, match="another vault key"):
        WrappedKeys(io.BytesIO(sealed.vault), VAULT, "fedcba9876543210")


def lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda it: b"", "line 1: this is no vault file"),
        (lambda it: b"\xff" + it, "line 1: this is no vault file"),
        (lambda it: b"".join(lines(it)[1:]), "line 1: this is no vault file"),
        (lambda it: b"".join(lines(it)[:-1]), "has 3 keys and should have 4"),
        (lambda it: it + lines(it)[-1], "line 6 of the vault file is damaged"),
        (lambda it: it[:-10], "line 5 of the vault file is damaged"),
        (lambda it: it.replace(lines(it)[2], b"{}\n"), "line 3 of the vault file is damaged"),
        (lambda it: flipped(it, it.index(lines(it)[2]) + 80), "line 3 of the vault file is damaged"),
        (lambda it: flipped(it, it.index(lines(it)[2]) + 13), "line 3 of the vault file is damaged"),
    ],
)
def test_a_damaged_vault_is_refused_and_nothing_is_left(
    sealed: Sealed, database: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(DamagedVault, match=message):
        import_log(database, exported(sealed.export), sealed.keys(damage(sealed.vault)), None)
    assert not database.exists()
    assert not database.with_name("ouija.db.import").exists()


def test_a_vault_file_is_written_anew_and_nothing_else_is_overwritten(sealed: Sealed) -> None:
    write_vault(sealed.database, sealed.path)
    assert sealed.path.read_bytes() == sealed.vault
    (diary := sealed.path.with_name("diary")).write_text("dear diary")
    with pytest.raises(StartError, match="no vault file"):
        write_vault(sealed.database, diary)
    assert diary.read_text() == "dear diary"
