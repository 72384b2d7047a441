"""The hand-written answers: enough of them, each its own, printable on a card."""

import re
import sqlite3
import threading
from collections import Counter
from contextlib import closing

import seeds
from ouija_es.domain.categories import fold
from ouija_es.domain.vocabulary import Category, Language, Personality
from ouija_es.store.answers import seed_database
from ouija_es.store.sqlite import BUSY_TIMEOUT_SECONDS

ANSWERS = seeds.load_answers()


def test_every_cell_has_at_least_four() -> None:
    cells = Counter((it.personality, it.language, it.category) for it in ANSWERS)

    assert len(cells) == len(Personality) * len(Language) * len(Category)
    assert min(cells.values()) >= 4
    assert len(ANSWERS) >= 288


def test_no_two_are_the_same() -> None:
    assert len({it.id for it in ANSWERS}) == len(ANSWERS)
    assert len({" ".join(fold(it.text)) for it in ANSWERS}) == len(ANSWERS)


def test_each_fits_on_a_card() -> None:
    for it in ANSWERS:
        assert 15 <= len(it.text.split()) <= 45, it.id
        assert it.text == it.text.strip()
        assert it.text[-1] in ".!?…”»", it.id
        assert not re.search(r"\s\s|[\x00-\x1f]", it.text), it.id


def test_keywords_are_folded_words() -> None:
    for it in ANSWERS:
        assert len(it.keywords) >= 3, it.id
        assert all(fold(word) == [word] for word in it.keywords), it.id


def test_ids_say_where_an_answer_belongs() -> None:
    for it in ANSWERS:
        assert re.fullmatch(rf"{it.language}-{it.personality}-{it.category}-\d+", it.id)


def test_spanish_marks_are_paired() -> None:
    for it in ANSWERS:
        if it.language is Language.ES:
            assert it.text.count("¿") == it.text.count("?"), it.id
            assert it.text.count("¡") == it.text.count("!"), it.id


def test_a_start_waits_for_a_program_that_holds_the_file_longer_than_a_write_would(tmp_path) -> None:
    """So Litestream does, which prepares the file at the same moment."""
    path = tmp_path / "ouija.db"
    with closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as other:
        other.execute("CREATE TABLE held (at TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(BUSY_TIMEOUT_SECONDS + 1, lambda: other.execute("COMMIT"))
        release.start()
        written, answers = seed_database(path, ANSWERS)
        release.join()
    assert written
    assert len(answers) == len(ANSWERS)
