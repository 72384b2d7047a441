"""Figures are kept, and found again in the document where they belong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import report, results
from loadtests.latencies import Latencies
from tests.service import ROOT

BENCHES = sorted((ROOT / "loadtests").glob("bench_*.py"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "DOCUMENT", tmp_path / "document.md")
    return tmp_path


def keep(name: str) -> None:
    table = results.Table(name, "Asks", ["source", "asks/s", "p50 ms"])
    table.add("groq", 12_345, 1.234)
    table.note("in one run")
    table.keep()


def test_a_table_replaces_what_stood_between_its_marks(folder: Path) -> None:
    (folder / "document.md").write_text("# Figures\n<!-- asks: begin -->\nold\n<!-- asks: end -->\nthe end\n")
    keep("asks")

    assert report.main() == 0
    written = (folder / "document.md").read_text()
    assert "old" not in written
    assert "| source | asks/s | p50 ms |\n|---|---:|---:|\n| groq | 12,345 | 1.23 |\n" in written
    assert "In one run." in written
    assert written.endswith("<!-- asks: end -->\nthe end\n")
    assert report.main() == 0
    assert (folder / "document.md").read_text() == written


def test_a_table_without_a_place_is_told(folder: Path) -> None:
    (folder / "document.md").write_text("# Figures\n")
    keep("asks")

    assert report.main() == 1


def test_every_table_that_is_measured_has_a_place() -> None:
    document = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    places = re.findall(r"<!-- (\w+): begin -->\n(?:.*\n)*?<!-- \1: end -->", document)
    sources = [path.read_text(encoding="utf-8") for path in (*BENCHES, ROOT / "loadtests/peers.py")]
    tables = [name for source in sources for name in re.findall(r"\bTable\(\s*\"(\w+)\"", source)]

    assert sorted(tables) == sorted(places)


def test_percentiles_are_exact() -> None:
    latencies = Latencies()
    for ms in range(1000, 0, -1):
        latencies.add(ms / 1000)

    assert [round(latencies.ms(percent)) for percent in (50, 99, 99.9, 100)] == [500, 990, 999, 1000]
    assert latencies.share_over(900) == 0.1


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ([], None),
        (["HOST=https://ouija.example"], "https://ouija.example"),
        (["HOST=ouija.example"], "ouija.example"),
    ],
)
def test_make_load_takes_a_host(arguments: list[str], host: str | None) -> None:
    assert _asked(arguments, {}) == host


def test_make_load_leaves_a_shells_own_variable_alone() -> None:
    assert _asked([], {"HOST": "x86_64-linux-gnu"}) is None
    assert _asked([], {"HOST": "https://ouija.example"}) == "https://ouija.example"


def _asked(arguments: list[str], environment: dict[str, str]) -> str | None:
    command = ["make", "--dry-run", "load", *arguments]
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=path | environment)
    found = re.search(r"--host (\S+)", shown.stdout)
    return found[1] if found else None


@pytest.mark.deep
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bench", ["asks", "lag", "store", "growth"])
def test_a_benchmark_measures_and_keeps_its_figures(
    bench: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    argument = "2000" if bench == "growth" else "0.3"
    command = [sys.executable, "-m", f"loadtests.bench_{bench}", argument]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads((tmp_path / f"{bench}.json").read_text())
    assert table["rows"]
    assert "failed" not in json.dumps(table["rows"])
