"""The default image under the limits of a free instance: small, soon there, and all of it works."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.collector import Collector
from tests.deploy.containers import LIMITS, PODMAN, Container, build, require_tools, run

LIMIT_MB = 180
ASKS = 2_000

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def image(require) -> str:
    require_tools(require)
    return build("production")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 10001, 10001)
    return folder


@pytest.fixture
def show(capsys):
    def show(text: str) -> None:
        with capsys.disabled():
            print(text)  # noqa: T201 - figures, for whoever runs it

    return show


def test_the_image_is_small(image) -> None:
    size = int(run("podman", "image", "inspect", "--format", "{{.Size}}", image))
    assert size <= LIMIT_MB * 1_000_000


def test_nothing_is_left_to_compile_at_a_start(image) -> None:
    """Where nothing may be written a module without bytecode is compiled at each start: the half of a second."""
    alone = [*PODMAN, "run", "--rm", *LIMITS, "--tmpfs", "/app/data:mode=1777", image]
    seen = run(*alone, "sh", "-c", "python -v -c 'import uvicorn.server, ouija_es.app, ouija_es.telemetry.traces' 2>&1")
    loaded = [line for line in seen.splitlines() if line.startswith("# code object from")]
    assert len(loaded) > 300
    assert [line for line in loaded if ".pyc'" not in line and "sitecustomize" not in line] == []


def test_it_starts_answers_ends_by_sigterm_and_keeps_its_data(image, data, show) -> None:
    with Container(image, data) as first:
        live, ready = first.wait_for("/health/live"), first.wait_for("/health/ready")
        show(f"\n0.1 CPU: /health/live after {live:.1f} s, ready after {ready:.1f} s, {first.peak_mb()} MB at rest")
        health = first.client.get("/health").json()
        assert (health["environment"], health["checks"]["database"]["status"]) == ("production", "ok")
        answer = first.client.post("/ouija/ask", json={"question": "¿Encontraré el amor?"}).raise_for_status().json()
        assert answer["source"] == "database"
        assert first.stop() == 0
        assert len([line for line in first.log.splitlines() if "no Ollama" in line]) == 1
    with Container(image, data) as second:
        second.wait_for("/health/ready")
        again = {"question": "¿Y cuándo?", "sessionId": answer["sessionId"]}
        assert second.client.post("/ouija/ask", json=again).status_code == 200
        assert "2 questions" in second.exec("ouija-es", "audit", "show", answer["sessionId"])
        assert second.stop() == 0


def test_its_health_check_tells_a_service_that_is_well_from_one_that_is_not(image, data) -> None:
    config = json.loads(run("podman", "image", "inspect", image))[0]
    kind, *check = (config.get("HealthCheck") or config["Config"].get("Healthcheck") or config["Healthcheck"])["Test"]
    assert kind == "CMD"
    with Container(image, data) as container:
        container.wait_for("/health/ready")
        assert container.exec(*check) == ""
        with pytest.raises(AssertionError):
            container.exec("env", "PORT=1", *check)
        assert container.stop() == 0


def test_the_memory_lasts_for_thousands_of_asks(image, data, show) -> None:
    """The container has 512 MB and no swap: more would end it."""
    with Container(image, data) as container, ThreadPoolExecutor(8) as visitors:
        container.wait_for("/health/ready")
        rest = container.peak_mb()

        def ask(number: int) -> int:
            return container.client.post("/ouija/ask", json={"question": f"¿Vendrá el número {number}?"}).status_code

        statuses = set(visitors.map(ask, range(ASKS)))
        peak = container.peak_mb()
        show(f"\n{rest} MB at rest, {peak} MB at most during {ASKS} asks")
        assert statuses == {200}
        assert peak < 512
        assert container.stop() == 0


def test_traces_leave_the_image(image, data) -> None:
    with Collector() as collector:
        with Container(image, data, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as container:
            container.wait_for("/health/ready")
            assert container.client.post("/ouija/ask", json={"question": "¿Quién es?"}).status_code == 200
            assert container.stop() == 0
        assert collector.raw


@pytest.mark.parametrize("cpus", ["1", "0.25"])
def test_more_processor_makes_it_start_sooner(image, data, show, cpus) -> None:
    """How soon, is told and not asserted."""
    with Container(image, data, cpus=cpus) as container:
        show(f"\n{cpus} CPU: /health/live after {container.wait_for('/health/live'):.1f} s")
        container.wait_for("/health/ready")
        assert container.stop() == 0


def test_nothing_of_the_image_is_the_users_to_write(image) -> None:
    search = (
        "id -u; find / -xdev \\( -path /proc -o -path /dev \\) -prune -o -writable ! -type l -print 2>/dev/null || :"
    )
    user, *writable = run(*PODMAN, "run", "--rm", *LIMITS, image, "sh", "-c", search).split()
    assert user == "10001"
    assert set(writable) <= {"/app/data", "/tmp", "/var/tmp", "/run/lock"}
