"""The OpenAPI document is valid, complete, and what the service does."""

import copy
import json
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from falcon import inspect
from falcon.testing import ASGIConductor, create_asgi_req
from hypothesis import example, given
from hypothesis import strategies as st
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from ouija_es.app import create_app
from ouija_es.config import Settings
from ouija_es.errors import RequestError
from ouija_es.readiness import Readiness
from ouija_es.resources.ask import BODY_LIMIT_BYTES, BODY_SECONDS, QUESTION_LIMIT, idempotency_key, parse
from ouija_es.resources.openapi.document import document, document_json
from ouija_es.resources.openapi.fields import FIELDS
from ouija_es.resources.openapi.headers import IDEMPOTENCY_KEY, RATE_LIMIT
from ouija_es.resources.openapi.schemas import wire_names
from tests.flow.events import events
from tests.service import AUDIT_TOKEN, RunningService, providers
from tests.store.rows import locked
from tests.stubs import StubProviders

DOCUMENT: dict[str, Any] = json.loads(document_json())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
OPERATIONS = {
    (method, path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
AUDITOR = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"
STREAM = "text/event-stream"
STREAMED = OPERATIONS["post", "/ouija/ask"]["responses"]["200"]["content"][STREAM]
UNKNOWN = "0190a0a0-0000-7000-8000-000000000000"


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every object of a document with the keys that lead to it."""
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, (*path, str(index)))


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The object a reference leads to."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with no room for properties it does not name."""
    strict = copy.deepcopy(document)
    for _, node in walk(strict["components"]["schemas"]):
        if node.get("type") == "object" and "properties" in node:
            node["additionalProperties"] = False
    return strict


CLOSED = closed(DOCUMENT)["components"]


def mistakes(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value, undocumented properties among it."""
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": CLOSED}, validate_formats=True)
    return [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)]


def response_mistakes(method: str, path: str, response: httpx.Response) -> list[str]:
    """What in a real response is not as the document says."""
    described = OPERATIONS[method, path]["responses"].get(str(response.status_code))
    if described is None:
        return [f"status {response.status_code} is not described"]
    described = resolved(described)
    found = []
    for name, header in described.get("headers", {}).items():
        schema = resolved(header)["schema"]
        value: Any = response.headers.get(name)
        if value is None and not resolved(header).get("required"):
            continue
        if schema.get("type") == "integer" and value is not None:
            value = int(value)
        found += [f"{name} {mistake}" for mistake in mistakes(schema, value)]
    content = described.get("content", {})
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if content and media_type not in content:
        return [*found, f"{media_type} is not described"]
    if content and media_type.endswith("ndjson"):
        line = content[media_type]["schema"]["contentSchema"]["items"]
        found += [mistake for it in response.text.splitlines() for mistake in mistakes(line, json.loads(it))]
    elif content and media_type.endswith("json"):
        found += mistakes(content[media_type]["schema"], response.json())
    if media_type == STREAM:
        found += stream_mistakes(response.text)
    return found


def stream_mistakes(text: str) -> list[str]:
    """What in a stream is not as the document says."""
    event = STREAMED["schema"]["contentSchema"]["items"]
    kinds = resolved(event)["discriminator"]["mapping"]
    seen = list(events(httpx.Response(200, text=text)))
    found = [] if text.startswith(":") else ["it does not begin with a comment"]
    for name, data in seen:
        found += mistakes(event, {"event": name, "data": json.dumps(data)})
        if name in kinds:
            found += mistakes(resolved({"$ref": kinds[name]})["properties"]["data"]["contentSchema"], data)
    if [name for name, _ in seen if name in ("answer", "error")] != [name for name, _ in seen[-1:]]:
        found.append("it does not end with the answer or the error")
    return found


def leaves(error: type[RequestError]) -> list[type[RequestError]]:
    below = error.__subclasses__()
    return [leaf for it in below for leaf in leaves(it)] if below else [error]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("data"), ANSWER_DEADLINE_SECONDS="1") as running:
        yield running


@pytest.fixture(scope="module")
def stubs() -> Iterator[StubProviders]:
    with StubProviders() as running:
        yield running


@pytest.fixture(scope="module")
def prompted(stubs: StubProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """With a Groq that does as it is told, and no Ollama."""
    with RunningService(tmp_path_factory.mktemp("data"), **groq_only(stubs)) as running:
        yield running


def groq_only(stubs: StubProviders, **variables: str) -> dict[str, str]:
    stubs.reset()
    fast = {"GROQ_TIMEOUT_SECONDS": "0.6", "ANSWER_DEADLINE_SECONDS": "4", "BREAKER_FAILURES": "1000"}
    return providers(stubs.groq_url, "", **(fast | variables))


def app_settings(folder: Path) -> Settings:
    return Settings(database_url=f"file:{folder / 'ouija.db'}", ollama_url="", audit_token=AUDIT_TOKEN)


# -- the document ---------------------------------------------------------------------------------------------------


def test_it_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)
    for schema in SCHEMAS.values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it.pop("info"),
        lambda it: it["paths"]["/health"]["get"].update(summary=1),
        lambda it: it["paths"]["/ouija/ask"]["post"]["responses"].update({"0": {"description": "none"}}),
        lambda it: it["components"]["securitySchemes"]["auditToken"].pop("scheme"),
    ],
)
def test_an_invalid_document_is_found(spoil: Callable[[dict[str, Any]], object]) -> None:
    spoiled = copy.deepcopy(DOCUMENT)
    spoil(spoiled)
    assert not OPENAPI_31_VALIDATOR.is_valid(spoiled)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = {node["$ref"] for _, node in walk(DOCUMENT) if isinstance(node.get("$ref"), str)}
    used |= {ref for path, node in walk(DOCUMENT) if path[-1:] == ("mapping",) for ref in node.values()}
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "headers")
        for name in DOCUMENT["components"][kind]
    }
    assert used == there


async def test_every_route_is_described_with_every_method_and_nothing_else(tmp_path: Path) -> None:
    app = create_app(app_settings(tmp_path), Readiness())
    async with ASGIConductor(app):  # starts it, and closes what it opened
        served = {
            (method.method.lower(), _as_documented(route.path))
            for route in inspect.inspect_routes(app)
            for method in route.methods
            if not method.internal
        }
    assert served == OPERATIONS.keys()


def _as_documented(template: str) -> str:
    """`/{session_id:uuid}` as `/{sessionId}`."""
    parts = [
        f"{{{wire_names('`' + part.strip('{}').partition(':')[0] + '`').strip('`')}}}" if part.startswith("{") else part
        for part in template.split("/")
    ]
    return "/".join(parts)


def test_every_operation_has_a_name_a_summary_a_tag_and_its_path_parameters() -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    for (_, path), operation in OPERATIONS.items():
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        parameters = operation["parameters"]
        assert {f"{{{it['name']}}}" for it in parameters if it["in"] == "path"} == {
            part for part in path.split("/") if part.startswith("{")
        }
        assert all(it["description"] for it in parameters)
        assert ("security" in operation) == (path in ("/metrics", "/dashboard") or path.startswith("/audit/"))


def test_every_field_is_described_and_no_description_is_left_over() -> None:
    properties = {(name, field): it for name, schema in SCHEMAS.items() for field, it in _properties(schema)}
    assert [key for key, it in properties.items() if not it.get("description")] == []
    assert all(schema.get("description") for schema in SCHEMAS.values())
    needed = {f"{name}.{field}" for name, field in properties}
    needed |= {field for name, field in properties if f"{name}.{field}" not in FIELDS}
    assert FIELDS.keys() <= needed


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, node in walk(schema):
        if isinstance(node.get("properties"), dict):
            yield from node["properties"].items()


def test_every_error_is_described_and_belongs_to_an_operation() -> None:
    types = {
        (status, type_, name)
        for operation in OPERATIONS.values()
        for status, response in operation["responses"].items()
        if PROBLEM in resolved(response).get("content", {})
        for content in [resolved(response)["content"][PROBLEM]]
        for type_, name in zip(
            content["schema"]["allOf"][1]["properties"]["type"]["enum"], content["examples"], strict=True
        )
    }
    for leaf in leaves(RequestError):
        assert (str(leaf.status), f"urn:ouija-es:problem:{leaf.type}", leaf.__name__) in types


def _examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    for path, node in walk(DOCUMENT):
        if "schema" in node:
            schema = node["schema"]
            given_ = [it["value"] for it in node.get("examples", {}).values()] + schema.get("examples", [])
            given_ += [node["example"]] if "example" in node else []
            yield from (("/".join(path), schema, value) for value in given_)


def test_every_example_is_as_its_schema_says() -> None:
    found = list(_examples())
    assert len(found) > 40
    assert [(path, wrong) for path, schema, value in found if (wrong := mistakes(schema, value))] == []


def test_a_wrong_example_is_found() -> None:
    answer = OPERATIONS["post", "/ouija/ask"]["responses"]["200"]["content"]["application/json"]
    right = answer["examples"]["groq"]["value"]
    assert mistakes(answer["schema"], right) == []
    for wrong in ({"source": "oracle"}, {"questionId": "1"}, {"mood": "dark"}, {"attempts": [{}]}):
        assert mistakes(answer["schema"], right | wrong)


@pytest.mark.parametrize("it", STREAMED["examples"].values(), ids=STREAMED["examples"])
def test_every_example_stream_is_as_its_schema_says_and_adds_up(it: dict[str, Any]) -> None:
    assert stream_mistakes(it["value"]) == []
    *before, (name, last) = events(httpx.Response(200, text=it["value"]))
    shown = ""
    for kind, data in before:
        shown = "" if kind == "discard" else shown + data.get("text", "")
    assert shown == last.get("response", "")
    if name == "answer":
        assert [data for kind, data in before if kind == "attempt"] == last["attempts"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (": ping", "data: {}\n\n: ping"),
        ("event: delta", "event: piece"),
        ('{"text":', '{"words":'),
        ('"reason":"timeout"', '"reason":"late"'),
        ("event: answer", "event: attempt"),
    ],
)
def test_a_wrong_stream_is_found(right: str, wrong: str) -> None:
    stream = STREAMED["examples"]["discarded"]["value"]
    assert right in stream
    assert stream_mistakes(stream.replace(right, wrong)) != []


def test_every_json_body_has_an_example() -> None:
    bare = [
        path
        for path, node in walk(DOCUMENT)
        if path[-1:] == ("application/json",) and "/api/openapi.json" not in path and not node.get("examples")
    ]
    assert bare == []


def test_it_names_no_other_host() -> None:
    # The specification's own example addresses and the licence's page are not in it either.
    assert b"//" not in document_json()
    assert DOCUMENT["servers"][0]["url"] == "/"


def test_it_is_the_same_every_time() -> None:
    assert document() == document()


def test_the_service_starts_without_it() -> None:
    code = "import sys, ouija_es.app; print([name for name in sys.modules if name.startswith('ouija_es.resources.o')])"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout == "[]\n"


@given(
    st.text(st.characters(codec="utf-8"), max_size=40)
    | st.text("a \n\t\r\x00\x1f\x85\xa0\u2028\u180e\ufeff", max_size=8)
)
@example("\n")
@example("¿Sí?\n")
@example(" \x1c¿Sí?\x85")
@example("a\x07b")
def test_the_question_s_pattern_is_the_rule_that_is_applied(question: str) -> None:
    body = {"question": question}
    fits = not mistakes({"$ref": "#/components/schemas/AskRequest"}, body)
    assert fits == _accepted(body)


@pytest.mark.parametrize(
    "body",
    [
        {"question": "?" * QUESTION_LIMIT},
        {"question": "\f\n" + "?" * QUESTION_LIMIT + " "},
        {"question": "?" * (QUESTION_LIMIT + 1)},
        {"question": "?" + " " * QUESTION_LIMIT + "?"},
        {"question": "?", "personality": None, "language": None, "sessionId": None},
        {"question": "?", "personality": "dark", "language": "en", "sessionId": UNKNOWN},
        {"question": None},
        {"question": "?", "personality": "Dark"},
        {"question": "?", "language": "es-ES"},
        {"question": "?", "sessionId": "me"},
        {"question": "?", "session_id": UNKNOWN},
        {"personality": "dark"},
    ],
)
def test_the_request_s_schema_is_the_rule_that_is_applied(body: dict[str, Any]) -> None:
    assert _accepted(body) == (not mistakes({"$ref": "#/components/schemas/AskRequest"}, body))


def _accepted(body: dict[str, Any]) -> bool:
    try:
        parse(json.dumps(body).encode())
    except RequestError:
        return False
    return True


@given(st.text(st.characters(min_codepoint=0x1F, max_codepoint=0x80), min_size=12, max_size=20).map(str.strip))
@example("k" * 255)
@example("k" * 256)
@example("k" * 14 + " k")
@example("")
def test_the_key_s_pattern_is_the_rule_that_is_applied(key: str) -> None:
    try:
        accepted = idempotency_key(create_asgi_req(headers={"idempotency-key": key})) is not None
    except RequestError:
        accepted = False
    assert (not mistakes(IDEMPOTENCY_KEY["schema"], key)) == accepted


# -- the service ----------------------------------------------------------------------------------------------------


def test_the_examples_of_questions_are_answered_as_the_examples_of_answers_say(service: RunningService) -> None:
    ask = OPERATIONS["post", "/ouija/ask"]
    requests = ask["requestBody"]["content"]["application/json"]["examples"]
    said = {
        it["value"]["question"]: it["value"]
        for it in ask["responses"]["200"]["content"]["application/json"]["examples"].values()
    }
    assert said.keys() == {it["value"]["question"] for it in requests.values()}
    for it in requests.values():
        response = service.client.post("/ouija/ask", json={**it["value"], "sessionId": None})
        assert response_mistakes("post", "/ouija/ask", response) == []
        answer, expected = response.json(), said[it["value"]["question"]]
        assert [answer[key] for key in ("personality", "language", "category")] == [
            expected[key] for key in ("personality", "language", "category")
        ]
        if expected["attempts"] == [{**expected["attempts"][0], "provider": "database"}]:
            assert answer["response"] == expected["response"]


def test_what_is_found_is_as_described(service: RunningService) -> None:
    answer = service.ask("¿Encontraré el amor?").json()
    for path, address in {
        "/": "/",
        "/health": "/health",
        "/health/live": "/health/live",
        "/health/ready": "/health/ready",
        "/audit/proof": "/audit/proof",
        "/audit/sessions": "/audit/sessions?limit=1",
        "/audit/events": "/audit/events?limit=1000",
        "/audit/sessions/{sessionId}": f"/audit/sessions/{answer['sessionId']}",
        "/audit/questions/{questionId}": f"/audit/questions/{answer['questionId']}",
        "/api/openapi.json": "/api/openapi.json",
        "/api/docs": "/api/docs",
        "/api/docs/{file}": "/api/docs/swagger-ui.css",
        "/dashboard": "/dashboard",
        "/dashboard/{file}": "/dashboard/dashboard.css",
    }.items():
        response = service.client.get(address, headers=AUDITOR)
        assert response.status_code == 200
        assert response_mistakes("get", path, response) == []


ERRORS: dict[str, tuple[int, str, str, str, dict[str, Any]]] = {
    "malformed": (400, "post", "/ouija/ask", "/ouija/ask", {"content": b"{", "headers": JSON}),
    "no object": (400, "post", "/ouija/ask", "/ouija/ask", {"content": b"[]", "headers": JSON}),
    "no session": (404, "post", "/ouija/ask", "/ouija/ask", {"json": {"question": "?", "sessionId": UNKNOWN}}),
    "not acceptable": (
        406, "post", "/ouija/ask", "/ouija/ask", {"json": {"question": "?"}, "headers": {"Accept": "text/csv"}}
    ),
    "too large": (
        413, "post", "/ouija/ask", "/ouija/ask", {"content": b" " * (BODY_LIMIT_BYTES + 1), "headers": JSON}
    ),
    "no JSON": (415, "post", "/ouija/ask", "/ouija/ask", {"content": b"question=?"}),
    "invalid": (422, "post", "/ouija/ask", "/ouija/ask", {"json": {"question": "", "personality": "x", "mood": 1}}),
    "no token": (401, "get", "/audit/sessions/{sessionId}", f"/audit/sessions/{UNKNOWN}", {}),
    "wrong token": (
        401, "get", "/audit/questions/{questionId}", f"/audit/questions/{UNKNOWN}",
        {"headers": {"Authorization": "Bearer no"}},
    ),
    "too many sessions": (422, "get", "/audit/sessions", "/audit/sessions?limit=201", {"headers": AUDITOR}),
    "no cursor": (422, "get", "/audit/sessions", "/audit/sessions?cursor=7", {"headers": AUDITOR}),
    "too many events": (422, "get", "/audit/events", "/audit/events?limit=1001", {"headers": AUDITOR}),
    "no position": (422, "get", "/audit/events", "/audit/events?after=-1", {"headers": AUDITOR}),
    "no token for events": (401, "get", "/audit/events", "/audit/events", {}),
    "no such session": (
        404, "get", "/audit/sessions/{sessionId}", f"/audit/sessions/{UNKNOWN}", {"headers": AUDITOR}
    ),
    "no such question": (
        404, "get", "/audit/questions/{questionId}", f"/audit/questions/{UNKNOWN}", {"headers": AUDITOR}
    ),
    "no id": (404, "get", "/audit/questions/{questionId}", "/audit/questions/1", {"headers": AUDITOR}),
    "no such file": (404, "get", "/api/docs/{file}", "/api/docs/index.html", {}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "method", "path", "address", "request_"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_as_described(
    service: RunningService, status: int, method: str, path: str, address: str, request_: dict[str, Any]
) -> None:
    response = service.client.request(method, address, **request_)
    assert response.status_code == status
    assert response_mistakes(method, path, response) == []
    assert _as_an_example(method, path, response)


def _as_an_example(method: str, path: str, response: httpx.Response) -> bool:
    """Whether type, title and status are those of an example."""
    content = resolved(OPERATIONS[method, path]["responses"][str(response.status_code)])["content"][PROBLEM]
    keys = ("type", "title", "status")
    said = [[it["value"][key] for key in keys] for it in content["examples"].values()]
    return [response.json()[key] for key in keys] in said


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_another_method_is_refused_as_described(service: RunningService, method: str, path: str) -> None:
    address = path.replace("{file}", "start.js").replace("{sessionId}", UNKNOWN).replace("{questionId}", UNKNOWN)
    for other in {"PUT", "DELETE", "PATCH", "TRACE"} - {known.upper() for known, of in OPERATIONS if of == path}:
        response = service.client.request(other, address)
        assert response.status_code == 405
        assert response_mistakes(method, path, response) == []
        assert _as_an_example(method, path, response)
        assert method.upper() in response.headers["Allow"].split(", ")


@pytest.mark.deep  # waits as long as a body may take
def test_a_slow_body_is_refused_as_described(service: RunningService) -> None:
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port), timeout=BODY_SECONDS + 10) as connection:
        connection.sendall(
            b"POST /ouija/ask HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
        )
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    status, *lines = head.decode().splitlines()
    response = httpx.Response(int(status.split()[1]), headers=[line.split(": ", 1) for line in lines], content=body)
    assert response.status_code == 408
    assert response_mistakes("post", "/ouija/ask", response) == []


def test_an_answer_that_cannot_be_recorded_is_refused_as_described(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        other = sqlite3.connect(service.database)
        other.execute("CREATE TRIGGER broken BEFORE INSERT ON stored_events BEGIN SELECT json('{'); END")
        other.close()
        response = service.ask("?")
        health = service.client.get("/health")
    assert response.status_code == health.status_code == 503
    assert response_mistakes("post", "/ouija/ask", response) == []
    assert _as_an_example("post", "/ouija/ask", response)
    assert response_mistakes("get", "/health", health) == []
    assert health.json()["status"] == "critical"


def test_a_bug_is_told_as_described(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        question = service.ask("?").json()["questionId"]
        other = sqlite3.connect(service.database)
        other.execute("UPDATE stored_events SET topic='nonsense' WHERE topic='ouija.Answered.v1'")
        other.commit()
        other.close()
        response = service.client.get(f"/audit/questions/{question}", headers=AUDITOR)
    assert response.status_code == 500
    assert response_mistakes("get", "/audit/questions/{questionId}", response) == []
    assert _as_an_example("get", "/audit/questions/{questionId}", response)


async def test_not_being_ready_is_told_as_described(tmp_path: Path) -> None:
    readiness = Readiness()
    async with ASGIConductor(create_app(app_settings(tmp_path), readiness)) as conductor:
        readiness.draining = True
        result = await conductor.simulate_get("/health/ready")
    response = httpx.Response(result.status_code, headers=dict(result.headers), content=result.content)
    assert response.status_code == 503
    assert response.json() == {"status": "draining"}
    assert response_mistakes("get", "/health/ready", response) == []


# -- a question's way -----------------------------------------------------------------------------------------------


def ask(service: RunningService, accept: str = "*/*", key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"Accept": accept} | ({"Idempotency-Key": key} if key else {})
    return service.client.post("/ouija/ask", json={"question": "¿Volverá?"} | fields, headers=headers)


def assert_refused_as_described(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert response_mistakes("post", "/ouija/ask", response) == []
    assert _as_an_example("post", "/ouija/ask", response)


def course(stream: str) -> list[Any]:
    """What happens in a stream, whatever the words and times; deltas in a row are one."""
    seen = [
        (name, [data.get(key) for key in ("provider", "outcome", "reason", "type")])
        for name, data in events(httpx.Response(200, text=stream))
    ]
    return [it for it, _ in groupby(seen)]


@pytest.mark.parametrize(
    ("name", "behaviour"), [("groq", "ok"), ("discarded", "stall_after_delta"), ("notRecorded", "ok")]
)
def test_a_stream_takes_the_course_of_its_example(
    stubs: StubProviders, tmp_path: Path, name: str, behaviour: str
) -> None:
    with RunningService(tmp_path, **groq_only(stubs)) as service:
        stubs.behave("groq", behaviour)
        if name == "notRecorded":
            refuse(service, "NEW.topic='ouija.Answered.v1'")
        response = ask(service, STREAM)
    assert response.headers["content-type"].startswith(STREAM)
    assert response_mistakes("post", "/ouija/ask", response) == []
    assert course(response.text) == course(STREAMED["examples"][name]["value"])


def refuse(service: RunningService, what: str) -> None:
    """No such event can be written any more."""
    with closing(sqlite3.connect(service.database)) as other:
        other.execute(f"CREATE TRIGGER broken BEFORE INSERT ON stored_events WHEN {what} BEGIN SELECT json('{{'); END")


def test_an_answer_in_json_tells_how_long_it_took(prompted: RunningService) -> None:
    response = ask(prompted, "application/json")
    assert response_mistakes("post", "/ouija/ask", response) == []
    assert response.headers["Server-Timing"].startswith("groq;dur=")


@pytest.mark.parametrize("accept", ["application/json", STREAM])
def test_a_stored_answer_is_sent_again_as_described(prompted: RunningService, accept: str) -> None:
    key = secrets.token_urlsafe()
    first, again = ask(prompted, accept, key), ask(prompted, accept, key)
    assert [response_mistakes("post", "/ouija/ask", it) for it in (first, again)] == [[], []]
    assert [it.headers.get("Idempotency-Replayed") for it in (first, again)] == [None, "true"]


def test_a_key_that_cannot_be_used_is_refused_as_described(prompted: RunningService, stubs: StubProviders) -> None:
    key = secrets.token_urlsafe()
    stubs.behave("groq", "ok", latency_ms=500)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, prompted, key=key)
        while not stubs.state()["groq"]["in_flight"]:
            assert not first.done()
        assert_refused_as_described(ask(prompted, key=key), 409)
        session = first.result().raise_for_status().json()["sessionId"]
    stubs.reset()
    assert_refused_as_described(ask(prompted, key=key, question="¿Y ahora?"), 422)
    assert_refused_as_described(ask(prompted, key="short"), 400)
    with closing(sqlite3.connect(prompted.database)) as other:  # as an erasure does
        assert other.execute("DELETE FROM session_keys WHERE session_id=?", [session.replace("-", "")]).rowcount == 1
        other.commit()
    assert_refused_as_described(ask(prompted, key=key), 410)


def test_too_many_questions_are_refused_as_described(tmp_path: Path) -> None:
    with RunningService(tmp_path, CLIENT_REQUESTS_PER_MINUTE="2") as service:
        answered, invalid, refused = ask(service), ask(service, question=""), ask(service)
    assert answered.status_code == 200
    assert response_mistakes("post", "/ouija/ask", answered) == []
    assert_refused_as_described(invalid, 422)
    assert_refused_as_described(refused, 429)
    for response in (answered, invalid, refused):
        described = OPERATIONS["post", "/ouija/ask"]["responses"][str(response.status_code)]["headers"]
        assert set(RATE_LIMIT) <= described.keys()
        assert all(name in response.headers for name in RATE_LIMIT)


def test_too_many_wrong_tokens_are_refused_as_described(tmp_path: Path) -> None:
    guess = {"Authorization": "Bearer no"}
    guarded = {
        ("get", "/audit/sessions"): "/audit/sessions",
        ("get", "/audit/events"): "/audit/events",
        ("get", "/audit/questions/{questionId}"): f"/audit/questions/{UNKNOWN}",
        ("get", "/dashboard"): "/dashboard?as_of=1",
    }
    with RunningService(tmp_path) as service:
        while service.client.get("/audit/events", headers=guess).status_code == 401:
            pass
        for (method, path), address in guarded.items():
            for _ in range(3):  # on a machine that stands still for seconds one passes now and then
                response = service.client.request(method, address, headers=guess)
                if response.status_code == 429:
                    break
            assert response.status_code == 429
            assert response_mistakes(method, path, response) == []
            assert _as_an_example(method, path, response)
            assert all(name in response.headers for name in (*RATE_LIMIT, "Retry-After"))


def test_an_ask_that_is_shed_is_refused_as_described(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service, ThreadPoolExecutor(40) as pool, locked(service.database):
        asks = [pool.submit(ask, service)]
        while not asks[-1].done():
            assert len(asks) < 40
            asks.append(pool.submit(ask, service))
            time.sleep(0.25)
        assert_refused_as_described(asks[-1].result(), 503)
        assert asks[-1].result().json()["type"].endswith(":overloaded")


def test_a_record_that_cannot_be_read_is_told_as_described(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        answer = ask(service).json()
        with closing(sqlite3.connect(service.database)) as other:
            other.execute("ALTER TABLE session_keys RENAME TO lost_keys")
        assert_refused_as_described(ask(service, sessionId=UNKNOWN), 503)
        for path, id_ in (
            ("/audit/sessions/{sessionId}", answer["sessionId"]),
            ("/audit/questions/{questionId}", answer["questionId"]),
        ):
            response = service.client.get(f"{path.rpartition('/')[0]}/{id_}", headers=AUDITOR)
            assert response.status_code == 503
            assert response_mistakes("get", path, response) == []
            assert _as_an_example("get", path, response)


def test_histories_of_all_kinds_are_as_described(stubs: StubProviders, tmp_path: Path) -> None:
    with RunningService(tmp_path, **groq_only(stubs, BREAKER_FAILURES="1")) as service:
        session = ask(service, key=secrets.token_urlsafe()).json()["sessionId"]
        stubs.behave("groq", "ok", text="uno dos tres cuatro cinco", delta_ms=400)
        asked = {"json": {"question": "¿Volverá?", "sessionId": session}, "headers": {"Accept": STREAM}}
        with service.client.stream("POST", "/ouija/ask", **asked) as response:
            next(name for name, _ in events(response) if name == "delta")
        stubs.behave("groq", "status", code=500)
        for _ in range(2):
            ask(service, sessionId=session).raise_for_status()
        give_up_at = time.monotonic() + 10
        while True:
            response = service.client.get(f"/audit/sessions/{session}", headers=AUDITOR)
            if "ouija.Withdrawn.v1" in response.text:
                break
            assert time.monotonic() < give_up_at, response.text
            time.sleep(0.05)
        instance = response.json()["questions"][0]["events"][0]["data"]["instance"]
        of_the_process = service.client.get(f"/audit/questions/{instance}", headers=AUDITOR)
    assert response_mistakes("get", "/audit/sessions/{sessionId}", response) == []
    data = [event["data"] for question in response.json()["questions"] for event in question["events"]]
    assert any(it.get("idempotencyKeyHash") and it.get("requestHash") for it in data)
    assert any(it.get("reason") == "breaker_open" and it["seen"]["breaker"] == "open" for it in data)
    assert of_the_process.status_code == 404
