"""Questions find their category, however they are typed."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouija_es.domain.categories import Classifier, Level, fold
from ouija_es.domain.vocabulary import Category, Language
from seeds import load_category_words

ES, EN = Language.ES, Language.EN
WORDS = load_category_words()
CLASSIFIER = Classifier(WORDS)


def small(**categories: dict[str, list[str]]) -> Classifier:
    """A classifier that knows these lists in Spanish and only the word `gold` (money) in English."""
    rules = {
        "spellings": {"q": "que"},
        "function_words": ["el", "que"],
        "classes": {"kin": ["madre"]},
        "inflections": {"ito": ["o"], "ando": ["ar"]},
    }
    english = {"spellings": {}, "function_words": ["the", "that"], "classes": {}, "inflections": {}}
    return Classifier({ES: {**categories, **rules}, EN: {"money": {"strong": ["gold"]}, **english}})


@pytest.mark.parametrize(
    ("question", "language", "category"),
    [
        ("¿Me casaré algún día?", ES, Category.LOVE),
        ("mi jefe me ama?", ES, Category.LOVE),
        ("¿Perderé mi trabajo?", ES, Category.CAREER),
        ("will I pass my exam?", EN, Category.CAREER),
        ("mi madre se curara del cancer?", ES, Category.HEALTH),
        ("tendre hijos?", ES, Category.FAMILY),
        ("am I pregnant?", EN, Category.FAMILY),
        ("my dog died", EN, Category.DEATH),
        ("mi abuela que murio me escucha?", ES, Category.DEATH),
        ("que me depara el destino", ES, Category.FUTURE),
        ("what will happen to me next year", EN, Category.FUTURE),
        ("heredare dinero de mi padre?", ES, Category.MONEY),
        ("Will I be rich in the future?", EN, Category.MONEY),
        ("hay fantasmas en mi casa?", ES, Category.SPIRITUALITY),
        ("is my house haunted?", EN, Category.SPIRITUALITY),
        ("¿De qué color es el cielo?", ES, Category.GENERAL),
        ("will it rain tomorrow?", EN, Category.GENERAL),
    ],
)
def test_a_question_is_about_its_subject_and_not_about_its_tense(
    question: str, language: Language, category: Category
) -> None:
    assert CLASSIFIER.classify(question, language) is category


@pytest.mark.parametrize(
    ("carefully", "hastily"),
    [
        ("¿Encontraré el AMOR?", "encontrare el amor"),
        ("¿Tendré éxito en mi profesión?", "tendre exito en mi profesion"),
        ("¿Cuántos años viviré?", "cuantos anos vivire"),
        ("¿Cua\u0301ntos an\u0303os vivire\u0301?", "CUANTOS AÑOS VIVIRÉ"),
        ("¿Qué me depara el año próximo?", "q me depara el año proximo"),
    ],
)
def test_accents_case_and_marks_change_nothing(carefully: str, hastily: str) -> None:
    assert CLASSIFIER.classify(carefully, ES) is CLASSIFIER.classify(hastily, ES) is not Category.GENERAL


@pytest.mark.parametrize("apostrophe", ["'", "’", "`", "´", ""])
def test_an_apostrophe_may_be_typed_in_any_way_or_left_out(apostrophe: str) -> None:
    assert fold(f"I don{apostrophe}t") == ["i", "dont"]


@pytest.mark.parametrize(
    "question",
    [
        "¿Se enamorará de mí?",
        "estoy enamorado",
        "nos enamoramos",
        "dos novias",
        "¿Te casas?",
        "se casaron",
        "mis amores",
    ],
)
def test_plurals_and_conjugations_of_love_are_love(question: str) -> None:
    assert CLASSIFIER.classify(question, ES) is Category.LOVE


@pytest.mark.parametrize(
    ("idiom", "language", "never"),
    [
        ("me muero de hambre", ES, Category.DEATH),
        ("I would die for pizza", EN, Category.DEATH),
        ("por el amor de dios", ES, Category.LOVE),
        ("does this work?", EN, Category.CAREER),
        ("thank god it is friday", EN, Category.SPIRITUALITY),
        ("every single day", EN, Category.LOVE),
        ("vale la pena?", ES, Category.MONEY),
        ("¿Cuáles son los planetas?", ES, Category.FAMILY),
    ],
)
def test_an_idiom_is_not_about_its_words(idiom: str, language: Language, never: Category) -> None:
    assert CLASSIFIER.classify(idiom, language) is not never


def test_calling_the_spirit_does_not_make_a_question_spiritual() -> None:
    assert CLASSIFIER.classify("Oh spirit, will I find a new job?", EN) is Category.CAREER
    assert CLASSIFIER.classify("espiritu, que pasara mañana", ES) is Category.FUTURE
    assert CLASSIFIER.classify("¿Hay algún espíritu en esta casa?", ES) is Category.SPIRITUALITY


def test_a_question_in_the_other_language_is_understood() -> None:
    assert CLASSIFIER.classify("Will I ever find love?", ES) is Category.LOVE
    assert CLASSIFIER.classify("¿Ganaré la lotería?", EN) is Category.MONEY


def test_what_matches_nothing_is_general() -> None:
    for question in ("", "asdf qwer", "42", "🔮🔮", "?!", "שלום"):
        assert CLASSIFIER.classify(question, ES) is Category.GENERAL


def test_the_higher_level_wins_however_many_lower_ones_match() -> None:
    classifier = small(
        love={"strong": ["amor"]}, family={"medium": ["padre", "madre", "hijo"]}, death={"weak": ["fin"]}
    )
    assert classifier.classify("padre madre hijo fin amor", ES) is Category.LOVE


def test_a_decisive_entry_wins_over_a_more_specific_category() -> None:
    lists = {"death": {"strong": ["muerte"]}, "money": {"decisive": ["herencia"]}}
    assert small(**lists).classify("herencia y muerte", ES) is Category.MONEY


def test_a_tie_goes_to_the_more_specific_category() -> None:
    classifier = small(future={"strong": ["futuro"]}, love={"strong": ["amor"]}, death={"strong": ["muerte"]})
    assert classifier.classify("futuro amor", ES) is Category.LOVE
    assert classifier.classify("futuro amor muerte", ES) is Category.DEATH


def test_the_words_of_a_phrase_do_not_count_again() -> None:
    classifier = small(love={"strong": ["amor"]}, general={"neutral": ["amor prop*"]}, death={"weak": ["propio"]})
    assert classifier.classify("amor propio", ES) is Category.GENERAL


def test_a_whole_word_is_an_exception_to_a_stem() -> None:
    classifier = small(
        love={"strong": ["extran*"]}, future={"weak": ["extranjer*", "*ara"]}, general={"neutral": ["para"]}
    )
    assert classifier.classify("extrañar", ES) is Category.LOVE
    assert classifier.classify("extranjero", ES) is Category.FUTURE
    assert classifier.classify("cambiará", ES) is Category.FUTURE
    assert classifier.classify("para", ES) is Category.GENERAL


def test_phrases_may_hold_the_ends_of_the_question() -> None:
    classifier = small(spirituality={"strong": ["espiritu"]}, general={"neutral": ["^ espiritu"]})
    assert classifier.classify("Espíritu, ven", ES) is Category.GENERAL
    assert classifier.classify("ven, espíritu", ES) is Category.SPIRITUALITY


def test_a_class_stands_for_each_of_its_words_and_their_plurals() -> None:
    classifier = small(family={"medium": ["@kin"]}, death={"strong": ["perdi a mi @kin", "mis @kin ya no estan"]})
    assert classifier.classify("perdí a mi madre", ES) is Category.DEATH
    assert classifier.classify("mis madres ya no están", ES) is Category.DEATH
    assert classifier.classify("mi madre", ES) is Category.FAMILY
    assert classifier.classify("perdí a mi gato", ES) is Category.GENERAL


def test_the_longest_start_wins_and_one_letter_is_a_start() -> None:
    classifier = small(love={"strong": ["a los 8*"]}, money={"strong": ["a los 80*"]}, death={"strong": ["a los 8"]})
    assert classifier.classify("a los 85", ES) is Category.LOVE
    assert classifier.classify("a los 800", ES) is Category.MONEY
    assert classifier.classify("a los 8", ES) is Category.DEATH


def test_any_one_word_may_stand_where_a_phrase_leaves_a_gap() -> None:
    classifier = small(love={"strong": ["volver con _ otra vez"]})
    assert classifier.classify("volver con Zoraida otra vez", ES) is Category.LOVE
    assert classifier.classify("volver con otra vez", ES) is Category.GENERAL


def test_the_most_literal_of_equally_long_phrases_wins() -> None:
    classifier = small(love={"strong": ["mi @kin"]}, death={"strong": ["mi mad*"]}, career={"strong": ["mi madre"]})
    assert classifier.classify("mi madre", ES) is Category.CAREER
    assert classifier.classify("mi madres", ES) is Category.DEATH


def test_an_unlisted_form_is_taken_for_the_listed_word() -> None:
    classifier = small(health={"strong": ["curar"]}, money={"strong": ["dinero"]})
    assert classifier.classify("se está curando", ES) is Category.HEALTH
    assert classifier.classify("mi dinerito", ES) is Category.MONEY
    assert classifier.classify("dineroooo", ES) is Category.MONEY
    assert classifier.classify("andando", ES) is Category.GENERAL


def test_a_story_is_about_what_it_asks_at_its_end() -> None:
    story = "My dad has been very ill. I sat with him for weeks and the boss was kind. Will I lose my job?"
    assert CLASSIFIER.classify(story, EN) is Category.CAREER


def test_the_other_language_is_not_asked_where_the_stated_one_is_plain() -> None:
    classifier = small(love={"strong": ["amor"]})
    assert classifier.classify("gold", ES) is Category.MONEY
    assert classifier.classify("el gold que", ES) is Category.GENERAL


@given(st.text(max_size=500), st.sampled_from(Language))
def test_no_text_breaks_it(text: str, language: Language) -> None:
    assert CLASSIFIER.classify(text, language) in Category


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(" ".join(fold(text))) == fold(text)


@given(st.text(st.characters(max_codepoint=0xFF)))
def test_a_text_in_western_letters_is_folded_like_any_other(text: str) -> None:
    assert fold(f"{text} ω") == [*fold(text), "ω"]


def levels_of(language: Language) -> dict[str, dict[str, list[str]]]:
    return {name: part for name, part in WORDS[language].items() if name in set(Category)}


@pytest.mark.parametrize("language", Language)
class TestLists:
    def test_every_category_has_at_least_25_entries_that_count(self, language: Language) -> None:
        for category in Category:
            levels = levels_of(language)[category]
            assert sum(len(entries) for level, entries in levels.items() if level != "neutral") >= 25, category

    def test_entries_are_folded(self, language: Language) -> None:
        for levels in levels_of(language).values():
            for entries in levels.values():
                for entry in entries:
                    words = [
                        word.strip("*") for word in entry.split() if word not in ("^", "$", "_") and word[0] != "@"
                    ]
                    assert fold(" ".join(words)) == words, entry

    def test_the_classes_of_the_entries_exist_and_a_gap_does_not_begin_one(self, language: Language) -> None:
        classes = {f"@{name}" for name in WORDS[language]["classes"]}
        for levels in levels_of(language).values():
            for entries in levels.values():
                for entry in entries:
                    assert not entry.startswith("_"), entry
                    assert {word for word in entry.split() if word[0] == "@"} <= classes, entry

    def test_no_entry_is_a_clear_sign_of_two_categories(self, language: Language) -> None:
        levels = levels_of(language).values()
        signs = Counter(
            entry
            for part in levels
            for level in (Level.MEDIUM, Level.STRONG, Level.DECISIVE)
            for entry in part.get(level, [])
        )
        assert [entry for entry, count in signs.items() if count > 1] == []

    def test_no_entry_is_written_twice_in_a_category(self, language: Language) -> None:
        for levels in levels_of(language).values():
            entries = Counter(entry for part in levels.values() for entry in part)
            assert [entry for entry, count in entries.items() if count > 1] == []

    def test_spellings_lead_to_words_and_not_to_other_spellings(self, language: Language) -> None:
        spellings: dict[str, Any] = WORDS[language]["spellings"]
        assert set(spellings) & set(spellings.values()) == set()


def test_an_unknown_level_or_category_is_refused() -> None:
    with pytest.raises(ValueError, match="certain"):
        small(love={"certain": ["amor"]}).prepare()
    with pytest.raises(ValueError, match="weather"):
        small(weather={"strong": ["lluvia"]}).prepare()
