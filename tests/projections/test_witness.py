"""A fold looks at every link and at every seal, wherever it is taken up again."""

import random
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ouija_es.domain.events import Event, Sealed
from ouija_es.projections import catching_up
from ouija_es.projections.folding import Folding, PoisonEvent
from ouija_es.projections.projector import Projector
from ouija_es.projections.state import State
from ouija_es.projections.views import open_views
from ouija_es.projections.witness import Witness
from ouija_es.store.ledger import GENESIS, LogRow, link
from ouija_es.store.mapper import to_row
from ouija_es.store.seals import REACH_ROWS, LedgerKey, Links
from tests.log_rows import to_log_row
from tests.projections.test_folding import question, write

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY, OTHER = LedgerKey(bytes(32)), LedgerKey(bytes([1]) * 32)


class Log:
    """A log that grows, chained as the recorder chains it."""

    def __init__(self) -> None:
        self.rows: list[LogRow] = []

    @property
    def head(self) -> bytes:
        return self.rows[-1].link if self.rows else GENESIS

    def add(self, event: Event, stream: UUID | None = None, version: int = 1) -> None:
        stream = stream or uuid4()
        row = to_row(stream, version, event)
        own = link(self.head, len(self.rows) + 1, stream.hex, version, row.topic, row.state)
        self.rows.append(to_log_row(len(self.rows) + 1, row, own))

    def ask(self, times: int = 1) -> None:
        for number in range(times):
            stream = uuid4()
            for version, event in enumerate(question(random.Random(number), AT), 1):
                self.add(event, stream, version)

    def seal(self, key: LedgerKey = KEY, position: int | None = None) -> Sealed:
        position = position or len(self.rows)
        seal = key.seal(position, self.rows[position - 1].link, AT, uuid4())
        self.add(seal)
        return seal


def folded(rows: list[LogRow]) -> State:
    folding = Folding(State(), Witness({KEY.public}, Links()))
    folding.fold(rows)
    return folding.state


def test_a_good_log_has_no_mismatch_and_keeps_its_last_seal() -> None:
    log = Log()
    log.ask(3)
    log.seal()
    assert folded(log.rows).unsealed == 0
    log.ask(2)
    last = log.seal()
    log.ask()
    state = folded(log.rows)
    assert state.mismatch is None
    assert state.sealed == last
    assert state.unsealed == len(log.rows) - last.position


def test_a_seal_may_come_late() -> None:
    log = Log()
    log.ask(5)
    log.seal(position=4)
    state = folded(log.rows)
    assert (state.mismatch, state.sealed_position) == (None, 4)
    assert state.unsealed > 0


@pytest.mark.parametrize("position", [3, 4])
def test_a_seal_does_not_speak_of_itself_or_of_the_future(position: int) -> None:
    log = Log()
    log.ask()
    del log.rows[2:]
    log.add(KEY.seal(position, bytes(32), AT, uuid4()))
    mismatch = folded(log.rows).mismatch
    assert mismatch is not None
    assert mismatch.position == 3


def test_a_seal_speaks_of_nothing_out_of_its_reach() -> None:
    log = Log()
    log.ask(REACH_ROWS // 3 + 10)
    assert folded(log.rows).mismatch is None
    log.seal(position=5)
    assert folded(log.rows).mismatch is not None


def test_what_is_wrong_first_is_noted_and_no_later_seal_counts() -> None:
    log = Log()
    log.ask(3)
    good = log.seal()
    log.ask(3)
    wrong = len(log.rows)
    log.rows[-1] = log.rows[-1]._replace(version=77)
    log.seal()
    log.ask()
    log.seal(OTHER)
    state = folded(log.rows)
    assert state.mismatch is not None
    assert state.mismatch.position == wrong
    assert state.sealed == good


def test_a_chain_that_was_made_anew_is_found_by_the_next_seal() -> None:
    log, forged = Log(), Log()
    log.ask(4)
    log.seal()
    log.ask()
    for row in log.rows:
        version = row.version + (row.position == 2)
        own = link(forged.head, row.position, row.stream, version, row.topic, row.state)
        forged.rows.append(row._replace(version=version, link=own))
    state = folded(forged.rows)
    assert state.mismatch is not None
    assert forged.rows[state.mismatch.position - 1].topic == "ouija.Sealed.v1"
    assert state.sealed is None


def test_a_seal_of_another_key_or_with_another_signature_does_not_count() -> None:
    for forge in (lambda log: log.seal(OTHER), _with_the_signature_of_another):
        log = Log()
        log.ask()
        forge(log)
        state = folded(log.rows)
        assert state.sealed is None
        assert state.mismatch is not None


def _with_the_signature_of_another(log: Log) -> None:
    right = KEY.seal(2, log.rows[1].link, AT, uuid4())
    wrong = OTHER.seal(2, log.rows[1].link, AT, uuid4())
    for signature in (wrong.signature, "é", ""):
        log.add(Sealed(**{name: getattr(right, name) for name in right.__struct_fields__} | {"signature": signature}))


def test_a_stream_that_is_no_uuid_stops_the_fold() -> None:
    log = Log()
    log.ask()
    log.rows[1] = log.rows[1]._replace(stream="no uuid")
    with pytest.raises(PoisonEvent):
        folded(log.rows)


@pytest.mark.parametrize(("row", "stream"), [(1, "no uuid"), (3, "ab")])
def test_a_row_that_stops_the_fold_has_changed_nothing(row: int, stream: str) -> None:
    log = Log()
    log.ask(2)
    folding = Folding(State(), Witness({KEY.public}, Links()))
    with pytest.raises(PoisonEvent):
        folding.fold([*log.rows[:row], log.rows[row]._replace(stream=stream)])
    assert folding.state == folded(log.rows[:row])


async def test_a_restart_between_a_position_and_its_seal_checks_the_seal(tmp_path: Path) -> None:
    log = Log()
    log.ask(10)
    for change in ("none", "another key"):
        database = tmp_path / change / "ouija.db"
        before = Log()
        before.rows = list(log.rows)
        database.parent.mkdir()
        write(database, before.rows)
        projector = Projector(database, {KEY.public})
        await projector.start()
        await projector.close()
        before.seal(KEY if change == "none" else OTHER, position=7)
        write(database, before.rows[-1:])
        again = Projector(database, {KEY.public})
        await again.start()
        assert (again.state.mismatch is None) == (change == "none")
        assert again.state.sealed_position == (7 if change == "none" else 0)
        await again.close()


def test_a_mismatch_outlives_a_restart_and_a_rebuild_of_a_mended_log_ends_it(tmp_path: Path) -> None:
    database = tmp_path / "ouija.db"
    log = Log()
    log.ask(4)
    broken = [*log.rows[:5], log.rows[5]._replace(link=bytes(32)), *log.rows[6:]]
    write(database, broken)
    state = catching_up.rebuild(database, {KEY.public})
    assert state.mismatch is not None
    views = open_views(database)
    assert views.read() == state
    views.close()
    database.unlink()
    write(database, log.rows)
    assert catching_up.rebuild(database, {KEY.public}).mismatch is None
