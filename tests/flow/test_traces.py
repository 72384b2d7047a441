"""Traces, as a collector gets them over OTLP/HTTP."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector import Collector, attributes
from tests.flow.conftest import FAST, history
from tests.service import API_KEY, ROOT, RunningService, environment, providers
from tests.stubs import StubProviders

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
CALLER = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    stubs: StubProviders, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    variables = providers(
        stubs.groq_url, stubs.ollama_url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, LOG_FORMAT="json", **FAST, **SOON
    )
    with RunningService(tmp_path_factory.mktemp("data"), **variables) as running:
        yield running


def test_an_ask_is_a_server_span_with_its_attempts_below(
    traced: RunningService, stubs: StubProviders, collector: Collector
) -> None:
    stubs.behave("groq", "garbage")
    answer = traced.ask("¿Lloverá?").raise_for_status()
    trace_id = answer.headers["x-trace-id"]
    spans = collector.trace(trace_id)
    server = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    groq, ollama = (span for span in spans if span.kind == Span.SPAN_KIND_CLIENT)

    assert server.name == "POST /ouija/ask"
    assert attributes(server) == {
        "http.request.method": "POST",
        "http.route": "/ouija/ask",
        "http.response.status_code": 200,
        "ouija.question_id": answer.json()["questionId"],
    }
    assert {span.parent_span_id for span in spans if span is not server} == {server.span_id}
    assert groq.name == "chat llama-3.1-8b-instant"
    assert groq.status.code == Status.STATUS_CODE_ERROR
    assert attributes(groq)["error.type"] == "malformed_response"
    told = attributes(ollama)
    assert ollama.status.code == Status.STATUS_CODE_UNSET
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "ollama")
    assert told["gen_ai.response.model"] == answer.json()["model"]
    assert told["gen_ai.usage.output_tokens"] > 0
    assert [span.name for span in spans].count("record") == 3  # before each call, and the answer
    asked = history(traced, answer.json()["questionId"])[0][1]
    assert asked["traceId"] == trace_id
    line = next(line for line in traced.log.splitlines() if answer.json()["questionId"] in line)
    assert f'"trace_id":"{trace_id}"' in line
    assert f'"span_id":"{server.span_id.hex()}"' in line


def test_what_is_folded_after_a_commit_is_a_span_of_its_own(traced: RunningService, collector: Collector) -> None:
    traced.ask("¿Y después?").raise_for_status()
    recorded = traced.client.get("/dashboard").json()["position"]
    while not (found := [it for it in collector.spans if attributes(it).get("ouija.position") == recorded]):
        time.sleep(0.02)

    assert [span.name for span in found] == ["project"]
    assert found[0].parent_span_id == b""
    assert 0 < attributes(found[0])["ouija.events"] <= recorded


def test_the_caller_s_trace_goes_on_to_the_provider(
    traced: RunningService, stubs: StubProviders, collector: Collector
) -> None:
    stubs.behave("groq", "ok")
    headers = {"traceparent": f"00-{CALLER}-b7ad6b7169203331-01", "tracestate": "congo=t61rcWkgMzE"}
    answer = traced.client.post("/ouija/ask", json={"question": "¿Sí?"}, headers=headers)
    assert answer.headers["x-trace-id"] == CALLER
    spans = collector.trace(CALLER)
    server = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    client = next(span for span in spans if span.kind == Span.SPAN_KIND_CLIENT)

    assert server.parent_span_id.hex() == "b7ad6b7169203331"
    assert server.trace_state == "congo=t61rcWkgMzE"
    sent = stubs.requests("groq")[-1]["headers"]
    assert sent["traceparent"] == f"00-{CALLER}-{client.span_id.hex()}-01"
    assert "tracestate" not in sent


def test_a_refusal_has_the_trace_id_of_its_span(traced: RunningService, collector: Collector) -> None:
    refused = traced.ask("")
    missing = traced.client.get("/nope/Leocadia")

    assert refused.status_code == 422
    for answer, name in ((refused, "POST /ouija/ask"), (missing, "GET")):
        assert answer.json()["traceId"] == answer.headers["x-trace-id"]
        (span,) = collector.trace(answer.headers["x-trace-id"])
        assert span.name == name
        assert attributes(span)["http.response.status_code"] == answer.status_code


def test_a_stream_s_span_ends_with_the_stream(
    traced: RunningService, stubs: StubProviders, collector: Collector
) -> None:
    stubs.behave("groq", "ok")
    with traced.client.stream(
        "POST", "/ouija/ask", json={"question": "¿Ya?"}, headers={"accept": "text/event-stream"}
    ) as answer:
        assert "event: answer" in "".join(answer.iter_text())
    spans = collector.trace(answer.headers["x-trace-id"])
    server = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)

    assert len(spans) == 4
    assert server.end_time_unix_nano >= max(span.end_time_unix_nano for span in spans)


def test_no_span_tells_a_secret_or_a_path(traced: RunningService, stubs: StubProviders, collector: Collector) -> None:
    stubs.behave("groq", [{"behaviour": "ok", "text": "Zascandil vuelve."}, "garbage", "html"])
    key = "idempotency-key-Ramona"
    answers = [
        traced.client.post(
            "/ouija/ask",
            json={"question": "¿Volverá Leocadia?"},
            headers={"idempotency-key": f"{key}-{number}", "x-forwarded-for": "203.0.113.77"},
        )
        for number in range(3)
    ]
    session = answers[0].json()["sessionId"]
    last = traced.client.get(f"/audit/sessions/{session}?q=Leocadia", headers={"Authorization": "Bearer wr0ng-t0ken"})
    for answer in (*answers, last):
        collector.trace(answer.headers["x-trace-id"])
    exported = b"".join(collector.raw)

    for secret in ("Leocadia", "Zascandil", "Ramona", "203.0.113.77", "127.0.0.1", session, API_KEY, "wr0ng"):
        assert secret.encode() not in exported
        assert secret == "127.0.0.1" or secret not in traced.log


def test_the_resource_names_the_service(traced: RunningService, collector: Collector) -> None:
    collector.trace(traced.client.get("/health/live").headers["x-trace-id"])
    told = attributes(collector.requests[0].resource_spans[0].resource)

    assert told["service.name"] == "ouija_es"
    assert told.keys() >= {"service.version", "service.instance.id"}


def test_sampling_is_the_standard_variable_s(tmp_path: Path, collector: Collector) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces",
        "OTEL_TRACES_SAMPLER": "always_off",
    }
    with RunningService(tmp_path, **variables) as service:
        trace_id = service.ask("¿Sí?").raise_for_status().headers["x-trace-id"]
        assert service.stop() == 0

    assert len(trace_id) == 32
    assert trace_id.strip("0")
    assert trace_id not in {span.trace_id.hex() for span in collector.spans}


def test_what_is_left_is_exported_at_the_end(tmp_path: Path, collector: Collector) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    with RunningService(tmp_path, **variables) as service:
        trace_id = service.ask("¿Sí?").raise_for_status().headers["x-trace-id"]
        assert service.stop() == 0

    assert collector.trace(trace_id)


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refuses"])
def test_a_dead_collector_fails_no_ask_and_no_end(tmp_path: Path, hangs: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead:
        url = f"http://127.0.0.1:{dead.getsockname()[1]}"
        if not hangs:
            dead.close()
        with RunningService(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, **SOON) as service:
            for _ in range(5):
                assert service.ask("¿Sí?").status_code == 200
            assert service.stop() == 0


@pytest.mark.parametrize(
    ("variables", "imported"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
    ],
)
def test_nothing_of_opentelemetry_is_imported_without_an_endpoint(
    tmp_path: Path, variables: dict[str, str], imported: bool
) -> None:
    code = (
        "import sys, ouija_es.asgi as it; it.create(); print(any(n.startswith('opentelemetry') for n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(tmp_path, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == str(imported)
