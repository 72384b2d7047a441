"""Grafana's dashboard is what its generator says, and asks for nothing that does not exist."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.observability.files import (
    OBSERVABILITY,
    ROOT,
    expressions,
    metrics_in,
    panels,
    recorded,
    rules,
)

GRAFANA = OBSERVABILITY / "grafana"


@pytest.fixture
def scraped(scraped_text: str) -> set[str]:
    """The names of all series."""
    return {sample.name for family in text_string_to_metric_families(scraped_text) for sample in family.samples}


def test_the_dashboard_is_what_its_generator_writes() -> None:
    command = [sys.executable, "-m", "observability.grafana.dashboard", "--check"]
    check = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_panel_has_a_unit_and_says_what_it_shows() -> None:
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles)) > 20
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


def test_every_expression_parses(tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    require("promtool (Debian: prometheus)", shutil.which("promtool") is not None)
    asked = [{"record": f"panel:{number}", "expr": it} for number, it in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}), encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(asked)} rules found" in done.stdout


def test_every_metric_asked_for_is_in_a_real_scrape(scraped: set[str]) -> None:
    asked = {name for it in expressions() for name in metrics_in(it)}
    asked |= {name for rule in rules() for name in metrics_in(rule["expr"])}
    recorded_names = {name for name in asked if ":" in name}
    assert recorded_names <= recorded()
    assert asked - recorded_names <= scraped


def test_every_metric_of_the_service_is_on_the_dashboard(scraped: set[str]) -> None:
    asked = {name for it in expressions() for name in metrics_in(it)}
    shown = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in asked}
    ours = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in scraped}
    # The first is a fact of the instance and gives its name; the others are alerts'.
    unseen = {"ouija_build_info", "ouija_projector_stopped", "ouija_ledger_mismatch"}
    assert {name for name in ours if name.startswith("ouija_")} - shown == unseen


def test_grafana_finds_its_sources_and_the_dashboard() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/sources.yml").read_text(encoding="utf-8"))
    known = {source["uid"]: source["type"] for source in sources["datasources"]}
    assert known == {"prometheus": "prometheus", "jaeger": "jaeger"}
    links = sources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"]
    assert [it["datasourceUid"] for it in links] == ["jaeger"]
