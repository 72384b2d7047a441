"""Whatever is done to the file is found, and the position is the right one."""

import random
from pathlib import Path
from uuid import uuid4

import pytest

from ouija_es.domain.events import Sealed
from ouija_es.errors import StartError
from ouija_es.store.ledger import GENESIS, LogRow, link
from ouija_es.store.mapper import to_event
from ouija_es.verification.database import opened
from ouija_es.verification.findings import Head, Kind, Wrong
from ouija_es.verification.verifier import Verifier
from tests.verification.independent import check
from tests.verification.logs import KEY, OTHER, SEALED, Copy, copied, make_log, rechained

TIMES = 25
COLUMNS = ["position", "originator_id", "originator_version", "topic", "state", "link"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "ouija.db"
    make_log(path, 45)
    with opened(path) as it:
        Verifier({KEY.public}).verify(it.batches())
    return path


@pytest.fixture(scope="module")
def log(database: Path) -> list[LogRow]:
    with opened(database) as it:
        return [row for batch in it.batches() for row in batch]


def found(copy: Copy, *expected: Head, trusted=frozenset({KEY.public})) -> Wrong:
    with pytest.raises(Wrong) as raised, opened(copy.path) as it:
        Verifier(trusted, expected).verify(it.batches())
    return raised.value


def head(log: list[LogRow]) -> Head:
    return Head(log[-1].position, log[-1].link.hex())


def flipped(value: bytes, rng: random.Random) -> bytes:
    bit = rng.randrange(8 * len(value))
    return bytes(byte ^ (1 << bit % 8 if at == bit // 8 else 0) for at, byte in enumerate(value))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_bit_in_any_column(database: Path, log: list[LogRow], column: str) -> None:
    rng = random.Random(column)
    for _ in range(TIMES):
        row = rng.choice(log)
        with copied(database) as copy:
            where = f"UPDATE stored_events SET {column}=? WHERE position=?"
            if column == "position":
                copy.execute(where, row.position | 1 << rng.randrange(9, 62), row.position)
            elif column == "originator_version":
                copy.execute(where, row.version ^ 1 << rng.randrange(8, 62), row.position)
            elif column in {"state", "link"}:
                copy.execute(where, flipped(getattr(row, column), rng), row.position)
            else:
                text = flipped((row.stream if column == "originator_id" else row.topic).encode(), rng)
                copy.execute(where.replace("?", "CAST(? AS TEXT)", 1), text, row.position)
            wrong = found(copy)
            assert check(copy.path)[0] == row.position or column == "position"
        assert wrong.position == row.position, wrong
        assert wrong.kind in ({Kind.MISSING, Kind.TRUNCATED} if column == "position" else {Kind.EDITED}), wrong


def test_another_type_of_value(database: Path, log: list[LogRow]) -> None:
    for column, value in [("state", "text"), ("link", "text"), ("topic", b"\xff"), ("originator_version", -1)]:
        with copied(database) as copy:
            copy.execute(f"UPDATE stored_events SET {column}=? WHERE position=9", value)
            assert found(copy).position == 9


@pytest.mark.parametrize("renumbered", [False, True])
def test_a_row_that_is_gone(database: Path, log: list[LogRow], renumbered: bool) -> None:
    rng = random.Random(2)
    for _ in range(TIMES):
        at, count = rng.randrange(len(log) - 4), rng.choice([1, 1, 1, 2])
        left = log[:at] + log[at + count :]
        if renumbered:
            left = [row._replace(position=number) for number, row in enumerate(left, 1)]
        with copied(database) as copy:
            copy.replace(left)
            wrong = found(copy)
        assert (wrong.kind, wrong.position) == (Kind.MISSING, at + 1), wrong


def test_the_last_row_that_is_gone_is_remembered_by_the_file(database: Path, log: list[LogRow]) -> None:
    with copied(database) as copy:
        copy.execute("DELETE FROM stored_events WHERE position=?", log[-1].position)
        wrong = found(copy)
    assert (wrong.kind, wrong.position) == (Kind.TRUNCATED, len(log))


def test_a_row_that_was_put_in(database: Path, log: list[LogRow]) -> None:
    rng = random.Random(3)
    for _ in range(TIMES):
        at, like = rng.randrange(len(log) + 1), rng.choice(log)
        before = log[at - 1].link if at else GENESIS
        stream = uuid4().hex
        own = link(before, at + 1, stream, 1, like.topic, like.state) if rng.random() < 0.5 else like.link
        rows = [*log[:at], like._replace(stream=stream, version=1, link=own), *log[at:]]
        with copied(database) as copy:
            copy.replace([row._replace(position=number) for number, row in enumerate(rows, 1)])
            if at == len(log) and own != like.link:
                continue  # that is what appending is
            wrong = found(copy)
        assert wrong.position == at + 1, wrong
        if at < len(log):
            # An old seal that comes again is no longer among the rows that it may speak of, or may as well be good.
            assert wrong.kind is Kind.INSERTED or like.topic == SEALED, wrong


@pytest.mark.deep
def test_two_rows_that_changed_places(database: Path, log: list[LogRow]) -> None:
    rng = random.Random(4)
    for number in range(TIMES):
        one, two = sorted(rng.sample(range(len(log)), 2)) if number % 2 else (number, number + 1)
        rows = list(log)
        rows[one], rows[two] = rows[two], rows[one]
        with copied(database) as copy:
            copy.replace([row._replace(position=number) for number, row in enumerate(rows, 1)])
            wrong = found(copy)
        assert wrong.position == one + 1, wrong
        assert wrong.kind is Kind.REORDERED or two == len(log) - 1, wrong


@pytest.mark.parametrize("remembered", [True, False])
def test_an_end_that_was_cut_off(database: Path, log: list[LogRow], remembered: bool) -> None:
    rng = random.Random(5)
    for _ in range(TIMES):
        kept = rng.randrange(len(log))
        with copied(database) as copy:
            copy.replace(log[:kept], remember=remembered)
            wrong = found(copy, *([] if remembered else [head(log)]))
        assert (wrong.kind, wrong.position) == (Kind.TRUNCATED, kept + 1), wrong


def test_a_chain_that_was_made_anew_without_the_key(database: Path, log: list[LogRow]) -> None:
    rng = random.Random(6)
    for _ in range(TIMES):
        at = rng.choice([row.position for row in log if row.topic != SEALED])
        rows = list(log)
        rows[at - 1] = rows[at - 1]._replace(state=rows[at - 1].state.replace(b"2026", b"2025"))
        with copied(database) as copy:
            copy.replace(rechained(rows, at))
            wrong = found(copy, head(log))
            seals = [row.position for row in log if row.topic == SEALED and sealed(row).position >= at]
            good = [sealed(row).position for row in log if row.topic == SEALED and sealed(row).position < at]
            assert check(copy.path)[0] == (seals[0] if seals else len(log))
        if seals:
            assert (wrong.kind, wrong.position) == (Kind.BAD_SEAL, seals[0]), wrong
            assert f"behind position {good[-1]}:" in wrong.what if good else "nothing before it is sealed" in wrong.what
        else:
            assert (wrong.kind, wrong.position) == (Kind.HEAD_NOT_FOUND, len(log)), wrong


def sealed(row: LogRow) -> Sealed:
    event = to_event(_stored(row))
    assert isinstance(event, Sealed)
    return event


def _stored(row: LogRow):
    from eventsourcing.persistence import StoredEvent

    return StoredEvent(row.stream, row.version, row.topic, row.state)


def test_a_seal_that_was_replaced(database: Path, log: list[LogRow]) -> None:
    rng = random.Random(7)
    from ouija_es.store.mapper import to_row

    for number in range(TIMES):
        row = rng.choice([row for row in log if row.topic == SEALED])
        old = sealed(row)
        link_there = log[old.position - 1].link
        if number % 2:
            new = OTHER.seal(old.position, link_there, old.at, old.instance)
        else:
            new = KEY.seal(old.position - 1, link_there, old.at, old.instance)
        rows = list(log)
        rows[row.position - 1] = row._replace(state=to_row(uuid4(), 1, new).state)
        with copied(database) as copy:
            copy.replace(rechained(rows, row.position))
            wrong = found(copy)
            assert check(copy.path, KEY.public)[0] == row.position
        assert (wrong.kind, wrong.position) == (Kind.BAD_SEAL, row.position), wrong


def test_a_log_that_was_made_and_sealed_anew_is_found_by_the_public_key_alone(
    database: Path, log: list[LogRow]
) -> None:
    forged: list[LogRow] = []
    from ouija_es.store.mapper import to_row

    for row in log:
        if row.topic == SEALED:
            old = sealed(row)
            new = OTHER.seal(old.position, forged[old.position - 1].link, old.at, old.instance)
            row = row._replace(state=to_row(uuid4(), 1, new).state)  # noqa: PLW2901
        else:
            row = row._replace(state=row.state.replace(b"2026", b"2025"))  # noqa: PLW2901
        forged = rechained([*forged, row], row.position)
    with copied(database) as copy:
        copy.replace(forged)
        with opened(copy.path) as it:
            assert Verifier().verify(it.batches()).public_keys == {OTHER.public}
        wrong = found(copy)
        assert found(copy, head(log), trusted=None).kind is Kind.HEAD_NOT_FOUND
    assert (wrong.kind, wrong.position) == (Kind.BAD_SEAL, next(row.position for row in log if row.topic == SEALED))


def test_an_older_copy_of_the_file(tmp_path: Path) -> None:
    rng = random.Random(8)
    for number in range(5):
        older = make_log(tmp_path / f"{number}.db", rng.randrange(1, 20), seed=number)
        with opened(tmp_path / f"{number}.db") as it:
            Verifier({KEY.public}, [head(older)]).verify(it.batches())
        wrong = found(Copy(tmp_path / f"{number}.db"), Head(len(older) + 3, "0" * 64))
        assert (wrong.kind, wrong.position) == (Kind.TRUNCATED, len(older) + 1)


@pytest.mark.deep
def test_a_bit_anywhere_in_the_file_is_found_or_is_none_of_the_log(database: Path, log: list[LogRow]) -> None:
    rng, raw, outcomes = random.Random(9), database.read_bytes(), set()
    spoiled = database.with_name("spoiled.db")
    for _ in range(150):
        spoiled.write_bytes(flipped(raw, rng))
        try:
            with opened(spoiled) as it:
                outcomes.add("ok")
                assert Verifier({KEY.public}).verify(it.batches()).head == head(log)
        except Wrong as wrong:
            outcomes.add(wrong.kind)
        except StartError:
            outcomes.add("damaged")
    assert {"ok", Kind.EDITED} <= outcomes
