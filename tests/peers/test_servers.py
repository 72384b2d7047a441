import re
from collections.abc import Iterator

import groq
import ollama
import pytest

from tests.peers import servers

pytestmark = pytest.mark.deep

QUESTION = {"role": "user", "content": "Which city is the capital of France?"}


@pytest.fixture(scope="module")
def llama() -> Iterator[groq.Groq]:
    servers.require("groq_like_model")
    with servers.groq_like_model() as (url, key), client_of_groq(url, key) as client:
        yield client


@pytest.fixture(scope="module")
def ollama_client() -> Iterator[ollama.Client]:
    servers.require("ollama_server")
    with servers.ollama_server() as url, ollama.Client(url, trust_env=False) as client:
        yield client


def client_of_groq(url: str, key: str) -> groq.Groq:
    # The client adds /openai/v1 itself.
    return groq.Groq(base_url=url.removesuffix("/openai/v1"), api_key=key, max_retries=0)


def completion(client: groq.Groq, **parameters):
    asked = {"model": servers.GROQ_LIKE_NAME, "messages": [QUESTION], "max_tokens": 24, "temperature": 0}
    return client.chat.completions.create(**{**asked, **parameters})


def test_groq_s_client_gets_an_answer_that_only_a_model_can_give(llama: groq.Groq) -> None:
    answer = completion(llama)
    assert "Paris" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == servers.GROQ_LIKE_NAME
    assert answer.usage.prompt_tokens > 7
    assert 1 < answer.usage.completion_tokens < 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_longer_question_counts_more_tokens(llama: groq.Groq) -> None:
    longer = {"role": "user", "content": "Tell me, please: " + QUESTION["content"]}
    one, other = (completion(llama, messages=[message]).usage.prompt_tokens for message in (QUESTION, longer))
    assert 3 < other - one < 10


def test_groq_s_client_is_cut_at_max_tokens(llama: groq.Groq) -> None:
    answer = completion(llama, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert answer.choices[0].message.content


def test_groq_s_client_gets_an_answer_streamed(llama: groq.Groq) -> None:
    choices = [choice for chunk in completion(llama, stream=True) for choice in chunk.choices]
    deltas = [choice.delta.content for choice in choices if choice.delta.content]
    assert len(deltas) > 3
    assert "Paris" in "".join(deltas)
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + ["stop"]


def test_a_wrong_key_is_unauthorized(llama: groq.Groq) -> None:
    with client_of_groq(str(llama.base_url), "gsk_wrong") as client, pytest.raises(groq.AuthenticationError) as refusal:
        completion(client)
    assert refusal.value.status_code == 401


def test_a_prompt_that_does_not_fit_is_a_bad_request(llama: groq.Groq) -> None:
    with pytest.raises(groq.BadRequestError, match="exceeds the available context size"):
        completion(llama, messages=[{"role": "user", "content": "word " * 1_100}])


def test_ollama_s_client_gets_an_answer_that_only_a_model_can_give(ollama_client: ollama.Client) -> None:
    answer = ollama_client.chat(servers.OLLAMA_NAME, [QUESTION], options={"num_predict": 24, "temperature": 0})
    assert "Paris" in answer.message.content
    assert answer.done_reason == "stop"
    assert answer.prompt_eval_count > 7
    assert 1 < answer.eval_count < 24


def test_ollama_cuts_at_num_predict(ollama_client: ollama.Client) -> None:
    answer = ollama_client.chat(servers.OLLAMA_NAME, [QUESTION], options={"num_predict": 3})
    assert answer.done_reason == "length"
    assert answer.eval_count == 3
    assert answer.message.content


def test_ollama_s_client_gets_an_answer_streamed(ollama_client: ollama.Client) -> None:
    options = {"num_predict": 24, "temperature": 0}
    parts = list(ollama_client.chat(servers.OLLAMA_NAME, [QUESTION], options=options, stream=True))
    assert len(parts) > 3
    assert "Paris" in "".join(part.message.content for part in parts)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert 1 < parts[-1].eval_count < 24


def test_ollama_says_404_for_a_model_that_was_not_pulled(ollama_client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=re.escape("model 'no-such-model' not found")) as refusal:
        ollama_client.chat("no-such-model", [QUESTION])
    assert refusal.value.status_code == 404


def test_ollama_is_the_version_that_the_components_name(ollama_client: ollama.Client) -> None:
    version = ollama_client._client.get("/api/version").json()["version"]
    assert f"go github.com/ollama/ollama@v{version} " in servers.COMPONENTS.read_text(encoding="utf-8")
