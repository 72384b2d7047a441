"""The targets with more in them: a model of their own, and a copy of the database elsewhere."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from ouija_es.store.keys import new_key
from tests.deploy.containers import BASE, Container, build, require_tools, run
from tests.peers.servers import MODEL_FILE, OLLAMA
from tests.peers.servers import require as require_peer

MODEL = "smollm2"
OLLAMA_IMAGE = "docker.io/ollama/ollama:0.7.1"
PATIENCE_SECONDS = 120

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1200)]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 10001, 10001)
    return folder


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def make_model(folder: Path) -> None:
    """Ollama's store of models in `folder`, with MODEL in it."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder.parent), "OLLAMA_MODELS": str(folder)}
    environment["OLLAMA_HOST"] = f"127.0.0.1:{free_port()}"
    modelfile = folder.parent / "Modelfile"
    modelfile.write_text(f"FROM {MODEL_FILE}\nPARAMETER num_thread 1\n")
    with subprocess.Popen([OLLAMA, "serve"], env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            create = [OLLAMA, "create", MODEL, "-f", modelfile]
            give_up_at = time.monotonic() + PATIENCE_SECONDS
            while subprocess.run(create, env=environment, capture_output=True, check=False).returncode:
                assert time.monotonic() < give_up_at
                time.sleep(0.5)
        finally:
            server.terminate()


@pytest.fixture
def ollama_image(require, tmp_path) -> None:
    """Stands for Ollama's image, which comes from a registry: the real program, compiled here, and a small model."""
    require_tools(require)
    require_peer("ollama_server")
    build("base")  # the base under its name
    context = tmp_path / "ollama"
    (context / "models").mkdir(parents=True)
    make_model(context / "models")
    shutil.copy(OLLAMA, context / "ollama")
    (context / "none.so").touch()
    (context / "Dockerfile").write_text(
        f"FROM {BASE}\nCOPY ollama /usr/bin/ollama\nCOPY none.so /usr/lib/ollama/\nCOPY models /models\n"
    )
    run("buildah", "bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "-t", OLLAMA_IMAGE, context)


def test_the_image_with_a_model_answers_by_itself(ollama_image, data) -> None:
    image = build("with-ollama", "--build-arg", f"OLLAMA_MODEL={MODEL}")
    address = f"127.0.0.1:{free_port()}"
    patient = {"OLLAMA_TIMEOUT_SECONDS": "300", "ANSWER_DEADLINE_SECONDS": "320", "OLLAMA_WAIT_SECONDS": "100"}
    told = {"OLLAMA_HOST": address, "OLLAMA_URL": f"http://{address}", **patient}
    with Container(image, data, "--memory", "1g", "--memory-swap", "1g", cpus="2", **told) as container:
        container.wait_for("/health/ready")
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while "start: Ollama answers" not in container.log:
            assert time.monotonic() < give_up_at, container.log
            time.sleep(0.2)
        answer = container.client.post("/ouija/ask", json={"question": "Who?", "language": "en"}, timeout=330)
        assert (answer.json()["source"], answer.json()["model"]) == ("ollama", MODEL), container.log
        assert container.stop() == 0


def test_the_image_with_litestream_brings_an_empty_disk_its_events_back(require, data, tmp_path) -> None:
    require_tools(require)
    image = build("with-litestream")
    copies = tmp_path / "copies"
    copies.mkdir()
    os.chown(copies, 10001, 10001)
    keys = {"VAULT_KEY": new_key(), "LEDGER_KEY": new_key(), "LITESTREAM_REPLICA_URL": "file:///copies"}
    mount = ("-v", f"{copies}:/copies")
    with Container(image, data, *mount, **keys) as container:
        container.wait_for("/health/ready")
        asked = container.client.post("/ouija/ask", json={"question": "¿Encontraré el amor?"}).json()
        assert container.stop() == 0
    shutil.rmtree(data)
    data.mkdir()
    os.chown(data, 10001, 10001)
    with Container(image, data, *mount, **keys) as again:
        again.wait_for("/health/ready")
        assert "¿Encontraré el amor?" in again.exec("ouija-es", "audit", "show", asked["sessionId"])
        assert again.stop() == 0
