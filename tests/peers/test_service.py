"""The service on real models: it answers with a text that nobody wrote, and records its tokens."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ouija_es.domain.vocabulary import Language
from tests.flow.conftest import history
from tests.peers.servers import GROQ_LIKE_NAME, OLLAMA_NAME, groq_like_model, ollama_server, require
from tests.service import RunningService
from tests.test_cli import run

pytestmark = pytest.mark.deep

# A small model on one thread of a busy machine takes longer than the defaults allow.
PATIENT = {"GROQ_TIMEOUT_SECONDS": "60", "OLLAMA_TIMEOUT_SECONDS": "60", "ANSWER_DEADLINE_SECONDS": "130"}
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def canned() -> set[str]:
    import seeds

    return {answer.text for answer in seeds.load_answers()}


@pytest.fixture(scope="module")
def groq() -> Iterator[dict[str, str]]:
    require("groq_like_model")
    with groq_like_model() as (url, key):
        yield {"GROQ_URL": url, "GROQ_API_KEY": key}


@pytest.fixture(scope="module")
def ollama() -> Iterator[dict[str, str]]:
    require("ollama_server")
    with ollama_server() as url:
        yield {"OLLAMA_URL": url, "OLLAMA_MODEL": OLLAMA_NAME}


def check(body: dict[str, Any], events: list[tuple[str, dict[str, Any]]], source: str, canned: set[str]) -> None:
    assert body["source"] == source, body["attempts"]
    assert body["response"]
    assert body["response"] not in canned
    succeeded = dict(events)["AttemptSucceeded"]
    assert succeeded["inputTokens"] > 50
    assert succeeded["outputTokens"] > 0
    assert dict(events)["Answered"]["texts"]["response"] == body["response"]


@pytest.mark.parametrize("language", list(Language))
def test_a_model_in_groq_s_place_answers(
    tmp_path: Path, groq: dict[str, str], canned: set[str], language: Language
) -> None:
    with RunningService(tmp_path, **PATIENT, **groq) as service:
        body = service.ask("Will I find love?", language=language.value).raise_for_status().json()

        assert body["model"] == GROQ_LIKE_NAME
        check(body, history(service, body["questionId"]), "groq", canned)
        shown = run(tmp_path, "audit", "show", body["sessionId"]).stdout
        assert "groq answered after" in shown
        assert "tokens" in shown


def test_the_real_ollama_answers_when_groq_is_away(tmp_path: Path, ollama: dict[str, str], canned: set[str]) -> None:
    groq = {"GROQ_URL": NOBODY, "GROQ_API_KEY": "k" * 20}
    with RunningService(tmp_path, **PATIENT, **groq, **ollama) as service:
        body = service.ask("Will I find love?", language="en").raise_for_status().json()

        assert [(it["provider"], it["outcome"], it["reason"]) for it in body["attempts"]] == [
            ("groq", "failed", "connection"),
            ("ollama", "answered", body["attempts"][1]["reason"]),
        ]
        check(body, history(service, body["questionId"]), "ollama", canned)


def test_a_wrong_key_and_an_unknown_model_are_told_apart(
    tmp_path: Path, groq: dict[str, str], ollama: dict[str, str]
) -> None:
    wrong = groq | ollama | {"GROQ_API_KEY": "gsk_wrong", "OLLAMA_MODEL": "nobody"}
    with RunningService(tmp_path, **PATIENT, **wrong) as service:
        body = service.ask("hola").raise_for_status().json()

        assert [(it["provider"], it["reason"]) for it in body["attempts"]] == [
            ("groq", "unauthorized"),
            ("ollama", "bad_request"),
            ("database", None),
        ]


def test_when_the_model_dies_the_next_tier_goes_on_in_the_session(tmp_path: Path, canned: set[str]) -> None:
    require("groq_like_model")
    with ExitStack() as model:
        url, key = model.enter_context(groq_like_model())
        with RunningService(tmp_path, **PATIENT, GROQ_URL=url, GROQ_API_KEY=key) as service:
            first = service.ask("Will I find work?", language="en").raise_for_status().json()
            model.close()
            second = service.ask("and when?", language="en", sessionId=first["sessionId"]).raise_for_status().json()

    assert (first["source"], second["source"]) == ("groq", "database")
    assert second["response"] in canned
