"""The views are one fold of the log: however it is cut, wherever it is taken up again."""

import asyncio
import contextlib
import random
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouija_es.domain.events import Abandoned, Answered, Asked, AttemptFailed, AttemptSkipped, AttemptSucceeded, Event
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider, Reason
from ouija_es.errors import StoreUnreadable
from ouija_es.projections import catching_up, folding
from ouija_es.projections import projector as projector_module
from ouija_es.projections.as_of import AsOf
from ouija_es.projections.folding import Folding, PoisonEvent
from ouija_es.projections.projector import Projector
from ouija_es.projections.state import Gap, State, decode, encode
from ouija_es.projections.views import open_views, read_sessions, rebuilt_path, views_path
from ouija_es.store import rows as rows_module
from ouija_es.store.ledger import GENESIS, LogRow, link, link_of
from ouija_es.store.mapper import to_row
from ouija_es.store.rows import log_rows
from ouija_es.store.sqlite import open_recorder
from tests.log_rows import to_log_row

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
INSTANCE = UUID(int=7)


def question(rng: random.Random, at: datetime) -> list[Event]:
    moment = {"at": at, "instance": INSTANCE}
    provider = rng.choice([Provider.GROQ, Provider.OLLAMA])
    ends: list[Event] = [
        AttemptSucceeded(
            **moment,
            provider=provider,
            attempt=1,
            reason=None,
            duration_ms=rng.randrange(9_000),
            model="m",
            input_tokens=rng.randrange(300),
            output_tokens=rng.randrange(60),
        ),
        Answered(**moment, source=provider, model="m", duration_ms=rng.randrange(9_000), texts=b"sealed"),
    ]
    if rng.random() < 0.3:
        failed = AttemptFailed(
            **moment,
            provider=provider,
            attempt=1,
            reason=rng.choice([Reason.TIMEOUT, Reason.RATE_LIMITED]),
            duration_ms=rng.randrange(4_000),
            time_left_ms=1_000,
        )
        skipped = AttemptSkipped(**moment, provider=Provider.OLLAMA, reason=Reason.SATURATED, time_left_ms=1_000)
        ends = [failed, skipped, Abandoned(**moment)]
    asked = Asked(
        **moment,
        session_id=uuid4(),
        opens_session=True,
        personality=rng.choice(list(Personality)),
        language=rng.choice(list(Language)),
        category=rng.choice(list(Category)),
        exchanges=0,
        deadline_ms=8_000,
        trace_id="0" * 32,
        texts=b"sealed",
    )
    return [asked, *ends]


def rows(count: int, seed: int = 1) -> list[LogRow]:
    rng = random.Random(seed)
    found: list[LogRow] = []
    for number in range(count):
        stream = uuid4()
        for version, event in enumerate(question(rng, START + timedelta(seconds=number)), 1):
            row = to_row(stream, version, event)
            before = found[-1].link if found else GENESIS
            own = link(before, len(found) + 1, stream.hex, version, row.topic, row.state)
            found.append(to_log_row(len(found) + 1, row, own))
    return found


def write(database: Path, log: list[LogRow]) -> None:
    recorder = open_recorder(database)
    with recorder.datastore.transaction(commit=True) as cursor:
        for row in log:
            cursor.execute("INSERT INTO stored_events VALUES (?,?,?,?,?,?)", row)
    recorder.datastore.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ouija.db"


@pytest.fixture
def small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "CHECKPOINT_EVENTS", 50)


LOG = rows(60)
WHOLE = Folding(State())
WHOLE.fold(LOG)


@given(cuts=st.lists(st.integers(0, len(LOG)), max_size=8))
@settings(max_examples=50, deadline=None)
def test_any_split_and_any_restart_gives_the_same_state(cuts: list[int]) -> None:
    state, done = State(), 0
    for cut in [*sorted(cuts), len(LOG)]:
        part = Folding(decode(encode(state)))  # as after a restart
        part.fold(LOG[done:cut])
        state, done = part.state, cut
    assert state == WHOLE.state


def test_the_link_is_the_chain_over_all_rows() -> None:
    expected = GENESIS
    for ordinal, row in enumerate(LOG, 1):
        expected = link_of(expected, ordinal, row)
    assert WHOLE.state.link == expected
    assert WHOLE.state.ordinal == len(LOG)


def test_a_row_is_never_folded_twice() -> None:
    part = Folding(State())
    part.fold(LOG[:5])
    with pytest.raises(Gap):
        part.fold(LOG[4:6])


def test_a_poison_event_stops_the_fold_where_it_stands() -> None:
    part = Folding(State())
    with pytest.raises(PoisonEvent) as raised:
        part.fold([*LOG[:5], LOG[5]._replace(state=b"{"), *LOG[6:]])
    assert raised.value.position == 6
    assert part.state.position == 5


def test_the_totals_are_those_that_sql_counts(database: Path) -> None:
    write(database, LOG)
    with sqlite3.connect(database) as connection:
        counted = dict(connection.execute("SELECT topic, COUNT(*) FROM stored_events GROUP BY topic"))
    connection.close()
    totals = WHOLE.state.totals
    assert sum(totals.questions.values()) == totals.sessions == counted["ouija.Asked.v1"]
    assert sum(totals.answers.values()) == counted["ouija.Answered.v1"]
    assert totals.abandoned == counted["ouija.Abandoned.v1"]
    tries = sum(counted[f"ouija.Attempt{end}.v1"] for end in ("Succeeded", "Failed", "Skipped"))
    assert sum(totals.attempts.values()) == tries
    assert WHOLE.state.recent.open == {}


async def test_the_projector_catches_up_follows_and_goes_on_after_a_restart(database: Path) -> None:
    write(database, LOG[:100])
    projector = Projector(database)
    await projector.start()
    assert projector.state.position == 100
    projector.feed(LOG[100:150])
    assert projector.state.position == 150
    write(database, LOG[100:150])
    await projector.close()
    write(database, LOG[150:])
    again = Projector(database)
    await again.start()
    assert again.state == WHOLE.state
    assert again.lag_events == 0
    await again.close()


async def test_what_is_fed_is_folded_once_somebody_looks_or_it_has_become_much(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "FED_EVENTS", 40)
    folds: list[tuple[int, int]] = []

    def watch(events: int, position: int) -> contextlib.AbstractContextManager[None]:
        folds.append((events, position))
        return contextlib.nullcontext()

    write(database, LOG[:0])
    projector = Projector(database, watch=watch)
    await projector.start()
    for start in range(0, 90, 3):
        projector.feed(LOG[start : start + 3])
    assert folds == [(42, 42), (42, 84)]
    assert projector.lag_events == 0
    assert folds == [(42, 42), (42, 84), (6, 90)]
    whole = Folding(State())
    whole.fold(LOG[:90])
    assert projector.state == whole.state
    await projector.close()


async def test_each_commit_must_go_on_from_the_one_before_also_if_both_are_folded_at_once(database: Path) -> None:
    write(database, LOG[:0])
    projector = Projector(database)
    await projector.start()
    projector.feed(LOG[:10])
    projector.feed([LOG[10]._replace(link=bytes(32)), *LOG[11:20]])
    mismatch = projector.state.mismatch
    assert mismatch is not None
    assert mismatch.position == LOG[10].position
    await projector.close()


async def test_the_tail_that_a_kill_took_from_the_views_is_folded_again(database: Path) -> None:
    write(database, LOG)
    projector = Projector(database)
    await projector.start()
    del projector  # nothing is closed, nothing of what was only in memory is written
    again = Projector(database)
    await again.start()
    assert again.state == WHOLE.state
    await again.close()


async def test_a_feed_that_does_not_follow_is_fetched_from_the_log(database: Path) -> None:
    write(database, LOG[:10])
    projector = Projector(database)
    await projector.start()
    write(database, LOG[10:30])
    projector.feed(LOG[20:30])
    assert projector.lag_events == 20
    await projector._catch_up()
    assert (projector.state.position, projector.lag_events) == (30, 0)
    await projector.close()


async def test_views_of_another_log_are_made_anew(database: Path) -> None:
    write(database, LOG)
    projector = Projector(database)
    await projector.start()
    await projector.close()
    for file in database.parent.glob("ouija.db*"):
        if "views" not in file.name:
            file.unlink()
    other = rows(60, seed=2)
    write(database, other)
    again = Projector(database)
    await again.start()
    expected = Folding(State())
    expected.fold(other)
    assert again.state == expected.state
    await again.close()


async def test_damaged_views_are_made_anew(database: Path) -> None:
    write(database, LOG)
    views_path(database).write_bytes(b"no database" * 1_000)
    projector = Projector(database)
    await projector.start()
    assert projector.state == WHOLE.state
    await projector.close()


async def test_a_rebuild_gives_the_live_numbers_and_is_taken_over(database: Path, small_checkpoints: None) -> None:
    write(database, LOG)
    projector = Projector(database)
    await projector.start()
    rebuilt = catching_up.rebuild(database)
    assert rebuilt == projector.state
    assert rebuilt_path(database).exists()
    await projector._take_over()
    assert not rebuilt_path(database).exists()
    assert projector.state == WHOLE.state
    await projector.close()


async def test_a_poison_event_in_the_log_stops_the_projector_and_keeps_what_came_before(database: Path) -> None:
    write(database, [*LOG[:40], LOG[40]._replace(topic="ouija.Unheard.v1"), *LOG[41:]])
    projector = Projector(database)
    await projector.start()
    assert projector.stopped_at == 41
    assert projector.state.position == 40
    assert projector.lag_events == len(LOG) - 40
    await projector.close()


async def test_as_of_gives_the_numbers_of_then(database: Path, small_checkpoints: None) -> None:
    write(database, LOG)
    projector = Projector(database)
    await projector.start()
    await projector.close()
    as_of = AsOf(database)
    for position in [0, 1, 49, 50, 51, *random.Random(3).sample(range(len(LOG)), 20), len(LOG), len(LOG) + 5]:
        then = Folding(State())
        then.fold(LOG[:position])
        assert await as_of.position(position) == then.state
    for seconds in (-1, 0, 17, 31.5, 59, 600):
        at = START + timedelta(seconds=seconds)
        state = await as_of.time(at)
        # All events of a question have one time here.
        assert sum(state.totals.questions.values()) == max(0, min(60, int(seconds) + 1))


async def test_as_of_behind_a_poison_event_is_refused_and_before_it_is_not(database: Path) -> None:
    write(database, [*LOG[:40], LOG[40]._replace(topic="ouija.Unheard.v1"), *LOG[41:]])
    as_of = AsOf(database)
    assert (await as_of.position(40)).position == 40
    with pytest.raises(StoreUnreadable):
        await as_of.position(41)


async def test_a_row_that_nobody_told_of_is_found_by_a_look(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector_module, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(projector_module, "LOOK_SECONDS", 0.01)
    write(database, LOG[:10])
    projector = Projector(database)
    await projector.start()
    running = asyncio.create_task(projector.run())
    write(database, LOG[10:20])
    for _ in range(1_000):
        await asyncio.sleep(0.01)
        if projector.state.position == 20:
            break
    assert projector.state.position == 20
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await projector.close()


async def test_views_that_were_lost_while_running_are_opened_again(database: Path) -> None:
    write(database, LOG[:10])
    projector = Projector(database)
    await projector.start()
    assert projector._views is not None
    projector._views.close()  # as good as a disk that went away
    write(database, LOG[10:])
    with pytest.raises(sqlite3.Error):
        await projector._catch_up()
    await projector._take_over()
    assert projector.state == WHOLE.state
    await projector.close()


async def test_a_stop_in_the_middle_of_catching_up_counts_no_session_twice(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "BATCH", 7)
    write(database, LOG)
    for pause in range(12):
        projector = Projector(database)
        starting = asyncio.create_task(projector.start())
        await asyncio.sleep(pause * 0.002)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await projector.close()
    last = Projector(database)
    await last.start()
    await last.close()
    assert last.state == WHOLE.state
    assert sum(row.questions for row in read_sessions(database, 2**62, 1_000)) == 60


def test_sessions_are_counted_over_writes(database: Path) -> None:
    write(database, LOG)
    views = open_views(database)
    part = Folding(State())
    with log_rows(database) as log:
        catching_up.catch_up(part, views, log)
    page = read_sessions(database, 2**62, 10)
    assert [row.opened_position for row in page] == sorted((row.opened_position for row in page), reverse=True)
    assert len(read_sessions(database, 2**62, 1_000)) == 60
    assert {row.questions for row in page} == {1}
    views.close()


async def test_the_newest_sessions_are_there_before_the_views_are_written_anyway(database: Path) -> None:
    write(database, LOG[:100])
    projector = Projector(database)
    await projector.start()
    running = asyncio.create_task(projector.run())
    write(database, LOG[100:])
    for end in range(101, len(LOG) + 1):
        projector.feed(LOG[end - 1 : end])
        asked = [row.position for row in LOG[:end] if row.topic == "ouija.Asked.v1"]
        page = await projector.sessions(2**62, 5)
        assert [row.opened_position for row in page] == asked[:-6:-1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await projector.close()


async def test_sessions_of_views_that_cannot_be_written_are_not_told(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "CURRENT_SECONDS", 0.05)
    write(database, LOG[:100])
    projector = Projector(database)
    await projector.start()
    write(database, LOG[100:])
    projector.feed(LOG[100:])  # and nobody writes the views
    with pytest.raises(StoreUnreadable):
        await projector.sessions(2**62, 5)
    await projector.close()
