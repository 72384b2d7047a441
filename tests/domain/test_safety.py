"""Whom the help lines reach: questions about suicide and self-harm, and not those about death."""

import csv
import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouija_es.domain.categories import fold
from ouija_es.domain.safety import SafetyScreen, SafetyWords
from ouija_es.domain.vocabulary import Language
from seeds import load_safety_words

WORDS = load_safety_words()
SCREEN = SafetyScreen(WORDS)
QUESTIONS = Path(__file__).parents[2] / "loadtests" / "safety_questions.tsv"


@pytest.fixture
def screen() -> SafetyScreen:
    return SCREEN


@pytest.mark.parametrize(
    "question",
    [
        "quiero morirme",
        "¿Debería matarme?",
        "ya no aguanto mas la vida, acabar con todo",
        "no quiero vivir más",
        "should I kill myself",
        "I don't want to live anymore",
        "I don’t want to live anymore",
        "would anyone miss me if I died?",
    ],
)
def test_the_askers_own_wish_to_die_is_heard(screen: SafetyScreen, question: str) -> None:
    assert screen.at_risk(question)


@pytest.mark.parametrize(
    "question", ["tengo ganas de hacerme daño", "cortarme las venas", "I keep cutting myself", "self-harm"]
)
def test_self_harm_is_heard(screen: SafetyScreen, question: str) -> None:
    assert screen.at_risk(question)


@pytest.mark.parametrize(
    "question",
    [
        "mi amiga se quiere suicidar",
        "mi hijo piensa en matarse",
        "my friend wants to kill herself",
        "did he take his own life?",
    ],
)
def test_fear_for_somebody_else_is_heard(screen: SafetyScreen, question: str) -> None:
    assert screen.at_risk(question)


@pytest.mark.parametrize(
    "question", ["kms", "KYS", "unalive myself", "me quiero desvivir", "kiero morir", "suisidio", "quiero moriiiir"]
)
def test_slang_and_misspellings_are_heard(screen: SafetyScreen, question: str) -> None:
    assert screen.at_risk(question)


@pytest.mark.parametrize(
    "question",
    ["¿Cuándo voy a morir?", "when will I die", "did my grandma suffer", "no quiero morir", "I'm scared to die"],
)
def test_questions_about_death_are_left_to_the_spirit(screen: SafetyScreen, question: str) -> None:
    assert not screen.at_risk(question)


@pytest.mark.parametrize(
    "question",
    [
        "me muero de hambre",
        "muero por verte",
        "cortarme el pelo",
        "matar el tiempo",
        "I want to die laughing",
        "this job is killing me",
        "I don't want to live with my parents",
        "should I end it with him?",
    ],
)
def test_figures_of_speech_are_left_to_the_spirit(screen: SafetyScreen, question: str) -> None:
    assert not screen.at_risk(question)


@pytest.mark.parametrize(
    "question", ["¿Quién quiere hacerme daño?", "¿Alguien quiere matarme?", "does someone want to kill me?"]
)
def test_fear_of_others_is_left_to_the_spirit(screen: SafetyScreen, question: str) -> None:
    assert not screen.at_risk(question)


def test_a_harmless_phrase_does_not_hide_a_harmful_one(screen: SafetyScreen) -> None:
    assert not screen.at_risk("quiero morir de risa")
    assert screen.at_risk("quiero morir de risa y quiero matarme")
    assert screen.at_risk("I don't want to die alone but I want to kill myself")


def test_both_languages_are_heard_whichever_was_chosen() -> None:
    assert all(SafetyScreen(WORDS).at_risk(question) for question in ("quiero suicidarme", "I want to hang myself"))
    only_spanish = SafetyScreen({Language.ES: WORDS[Language.ES]})
    assert not only_spanish.at_risk("I want to hang myself")


@pytest.mark.parametrize("language", Language)
def test_the_answer_names_the_help_lines_in_few_words(screen: SafetyScreen, language: Language) -> None:
    answer = screen.answer(language)
    local = {Language.ES: "tu número local de emergencias", Language.EN: "your local emergency number"}[language]
    assert all(name in answer for name in ("024", "988", local))
    assert 25 <= len(answer.split()) <= 60


def test_answers_differ_by_language(screen: SafetyScreen) -> None:
    assert screen.answer(Language.ES) != screen.answer(Language.EN)


def test_the_labelled_questions_are_told_apart(screen: SafetyScreen) -> None:
    with QUESTIONS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    risky = {row["question"] for row in rows if row["at_risk"] == "yes"}
    heard = {row["question"] for row in rows if screen.at_risk(row["question"])}
    assert len(rows) >= 160
    assert 0.4 <= len(risky) / len(rows) <= 0.6
    assert len(risky & heard) >= 0.97 * len(risky), risky - heard
    assert len(risky & heard) >= 0.95 * len(heard), heard - risky


def test_trying_only_the_subjects_a_question_is_near_misses_nothing(screen: SafetyScreen) -> None:
    """The shortcut by the words' beginnings gives what trying every pattern gives."""
    beginnings = " ".join(subject["near"] for lists in WORDS.values() for subject in lists["risk"].values())
    everywhere: dict[Language, SafetyWords] = {
        language: {**lists, "risk": {name: {**subject, "near": beginnings} for name, subject in lists["risk"].items()}}
        for language, lists in WORDS.items()
    }
    slow = SafetyScreen(everywhere)
    with QUESTIONS.open(encoding="utf-8", newline="") as lines:
        questions = [row["question"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert [q for q in questions if slow.at_risk(q) != screen.at_risk(q)] == []


@pytest.mark.parametrize("language", Language)
def test_the_lists_are_written_as_questions_are_compared(language: Language) -> None:
    lists = WORDS[language]
    patterns = list(
        itertools.chain(
            lists["harmless"], *lists["words"].values(), *(subject["patterns"] for subject in lists["risk"].values())
        )
    )
    assert all(pattern.isascii() and pattern == pattern.strip() and "  " not in pattern for pattern in patterns)
    assert all(not re.search(r"[A-Z']", re.sub(r"\\[A-Za-z]", "", pattern)) for pattern in patterns)
    assert all(subject["near"].split() == fold(subject["near"]) for subject in lists["risk"].values())
    used = set(re.findall(r"\{([a-z_]+)\}", " ".join(patterns)))
    assert used == set(lists["words"])


@given(st.text(max_size=500))
def test_no_text_breaks_the_screen(text: str) -> None:
    assert SCREEN.at_risk(text) in {True, False}


@given(st.text(max_size=60), st.text(max_size=60))
def test_words_around_do_not_hide_a_cry_for_help(before: str, after: str) -> None:
    assert SCREEN.at_risk(f"{before} . suicidio . {after}")


def test_every_pattern_compiles_and_makes_no_difference_by_having_been_compiled_before() -> None:
    prepared, unprepared = SafetyScreen(WORDS), SafetyScreen(WORDS)
    for prepare_one in prepared.preparations():
        prepare_one()
    with QUESTIONS.open(encoding="utf-8", newline="") as lines:
        questions = [row["question"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert [prepared.at_risk(it) for it in questions] == [unprepared.at_risk(it) for it in questions]


def test_a_pattern_that_does_not_compile_is_told() -> None:
    subject = {"near": "morir", "patterns": ["quiero (morir"]}
    words = WORDS[Language.ES] | {"risk": {"death": subject}}
    first, *_ = SafetyScreen({Language.ES: words}).preparations()
    with pytest.raises(re.error):
        first()
