"""Which canned answer is chosen."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from ouija_es.domain.canned import CannedAnswer
from ouija_es.domain.vocabulary import Category, Language, Personality
from ouija_es.providers.canned import Canned
from ouija_es.providers.provider import Query


def answer(number: int, *keywords: str, category: Category = Category.LOVE) -> CannedAnswer:
    return CannedAnswer(
        f"{category}-{number}", Personality.WISE, Language.ES, category, f"Respuesta {number}", frozenset(keywords)
    )


def query(question: str, number: int = 0, previous: str | None = None, category: Category = Category.LOVE) -> Query:
    return Query(
        question_id=UUID(int=number),
        question=question,
        personality=Personality.WISE,
        language=Language.ES,
        category=category,
        previous_canned_id=previous,
    )


@pytest.fixture
def canned() -> Canned:
    answers = [answer(1, "ex", "volver"), answer(2, "boda"), answer(3), answer(1, category=Category.GENERAL)]
    return Canned(answers, {Language.ES: "ayuda"})


def test_the_most_keywords_in_common_win(canned: Canned) -> None:
    assert canned.choose(query("¿Mi EX quiere volver?")).id == "love-1"
    assert canned.choose(query("¿Habrá boda?")).id == "love-2"


def test_among_equals_the_question_s_id_decides_and_always_alike(canned: Canned) -> None:
    chosen = [canned.choose(query("¿me ama?", number)).id for number in range(30)]

    assert set(chosen) == {"love-1", "love-2", "love-3"}
    assert chosen == [canned.choose(query("¿me ama?", number)).id for number in range(30)]


def test_the_previous_answer_is_not_given_again(canned: Canned) -> None:
    chosen = {canned.choose(query("¿habrá boda?", number, previous="love-2")).id for number in range(30)}

    assert chosen == {"love-1", "love-3"}


def test_a_lone_answer_may_be_given_again(canned: Canned) -> None:
    again = query("¿qué?", previous="general-1", category=Category.GENERAL)

    assert canned.choose(again).id == "general-1"


def test_a_category_without_answers_falls_back_to_general(canned: Canned) -> None:
    assert canned.choose(query("¿cuánto?", category=Category.MONEY)).id == "general-1"


async def test_a_question_about_self_harm_gets_the_help(canned: Canned) -> None:
    reply = await canned.answer(replace(query("…"), at_risk=True), 1.0)

    assert (reply.text, reply.canned_id, reply.model) == ("ayuda", None, "sqlite-fallback")
