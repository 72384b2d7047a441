"""The compose stack is one piece: what is named in one of its files is there in another."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.observability.files import OBSERVABILITY, PROMETHEUS, ROOT


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """The service with Ollama, and what it includes."""
    top, watching = load(ROOT / "compose.yaml"), load(OBSERVABILITY / "compose.yaml")
    assert top["include"] == ["observability/compose.yaml"]
    assert not top["services"].keys() & watching["services"].keys()  # included services are not merged
    return top["services"] | watching["services"]


def test_every_image_has_a_version_and_every_port_is_this_machine_s_own() -> None:
    ports = []
    for name, service in services().items():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        for mapping in service.get("ports", []):
            address, port, _ = mapping.split(":")
            assert address == "127.0.0.1", name
            ports.append(port)
    assert len(ports) == len(set(ports))


def test_every_mount_is_a_file_of_the_repository_or_a_volume() -> None:
    stack = load(OBSERVABILITY / "compose.yaml")
    for name, service in stack["services"].items():
        for source in (it.split(":")[0] for it in service.get("volumes", [])):
            assert (OBSERVABILITY / source).exists() if source.startswith("./") else source in stack["volumes"], name


def test_who_is_called_by_name_is_in_the_stack() -> None:
    prometheus = load(PROMETHEUS / "prometheus.yml")
    groups = [it for job in prometheus["scrape_configs"] for it in job["static_configs"]]
    groups += prometheus["alerting"]["alertmanagers"][0]["static_configs"]
    hosts = {target.split(":")[0] for group in groups for target in group["targets"]}
    sources = load(OBSERVABILITY / "grafana/provisioning/datasources/sources.yml")["datasources"]
    urls = [source["url"] for source in sources]
    urls += [exporter["endpoint"] for exporter in load(OBSERVABILITY / "collector/collector.yml")["exporters"].values()]
    urls += [services()["ouija"]["environment"][name] for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OLLAMA_URL")]
    hosts |= {re.fullmatch(r"http://([\w.]+):\d+", url)[1] for url in urls}
    assert hosts - {"localhost"} <= services().keys()


def test_the_collector_s_pipelines_are_of_what_it_has() -> None:
    collector = load(OBSERVABILITY / "collector/collector.yml")
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in collector["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            used[kind] |= set(names)
    assert used == {kind: set(collector[kind]) for kind in used}
