"""The documentation page and what it loads: from the package, kept by clients, and nothing from another host."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from ouija_es.resources.asset import accepts_gzip
from ouija_es.resources.docs import FILES
from tests.service import RunningService

FOLDER = files("ouija_es") / "web" / "swagger_ui"
PATHS = ["/api/openapi.json", "/api/docs", *(f"/api/docs/{name}" for name in FILES)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("data")) as running:
        yield running


def get(service: RunningService, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A response as it comes, still encoded."""
    sent = {"Accept-Encoding": "identity", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return service.client.request(method, path, headers=sent)


@pytest.mark.parametrize("path", PATHS)
def test_it_comes_gzipped_to_those_who_take_that_and_plain_to_others(service: RunningService, path: str) -> None:
    plain = get(service, path)
    with service.client.stream("GET", path, headers={"Accept-Encoding": "br, gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(raw) == int(packed.headers["Content-Length"]) < len(plain.content)
    assert gzip.decompress(raw) == plain.content
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != packed.headers["ETag"]


@pytest.mark.parametrize("path", PATHS)
def test_who_has_it_is_told_so(service: RunningService, path: str) -> None:
    etag = get(service, path).headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = get(service, path, If_None_Match=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
    assert get(service, path, If_None_Match='"other"').status_code == 200
    assert get(service, path, If_None_Match=etag, Accept_Encoding="gzip").status_code == 200  # another representation


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(service: RunningService, path: str) -> None:
    head, full = get(service, path, "HEAD"), get(service, path)
    assert head.content == b""
    differing = {"date", "x-trace-id"}
    assert {it for it in head.headers.items() if it[0] not in differing} == {
        it for it in full.headers.items() if it[0] not in differing
    }


def test_files_are_kept_an_hour_and_the_document_is_asked_about_each_time(service: RunningService) -> None:
    kept = {path: get(service, path).headers["Cache-Control"] for path in PATHS}
    assert kept.pop("/api/openapi.json") == "no-cache"
    assert set(kept.values()) == {"public, max-age=3600"}


@pytest.mark.parametrize("name", ["index.html", "README.md", "swagger-ui.css.gz", "..%2f..%2fapp.py", "%00"])
def test_nothing_else_in_the_folder_is_served(service: RunningService, name: str) -> None:
    assert get(service, f"/api/docs/{name}").status_code == 404


def test_the_page_may_load_from_this_service_only(service: RunningService) -> None:
    page = get(service, "/api/docs")
    policy = dict(part.split(maxsplit=1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'", "'self' data:"}
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {path for path in loaded if path != "data:,"} == set(PATHS) - {"/api/docs"}
    assert "<script>" not in page.text


def test_the_files_of_swagger_ui_are_the_ones_the_readme_names() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `([\w.-]+)` \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    packed = {name for name in FILES if (FOLDER / f"{name}.gz").is_file()}
    assert named == {
        name: hashlib.sha256(gzip.decompress((FOLDER / f"{name}.gz").read_bytes())).hexdigest() for name in packed
    }
    version = re.search(r"`swagger-ui-dist` (\d+\.\d+\.\d+)", readme)
    assert version
    assert version[1].encode() in gzip.decompress((FOLDER / "swagger-ui-bundle.js.gz").read_bytes())


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip; q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0, gzip;q=1.0", True),
        ("br, identity", False),
    ],
)
def test_gzip_is_accepted_where_its_quality_is_above_zero(header: str | None, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.deep
def test_a_browser_shows_every_operation_without_an_error_or_a_request_elsewhere(
    service: RunningService, tmp_path: Path, require: Callable[[str, bool], None]
) -> None:
    require("chromium", shutil.which("chromium") is not None)
    page, said, requests = browse(f"{service.url}/api/docs", tmp_path)
    operations = {
        operation["operationId"]
        for item in get(service, "/api/openapi.json").json()["paths"].values()
        for operation in item.values()
    }
    shown = set(re.findall(r'id="operations-(?!tag-)[a-z]+-(\w+)"', page))
    assert shown == operations
    assert said == []
    assert sorted(requests) == sorted(f"{service.url}{path}" for path in PATHS)


def browse(url: str, folder: Path) -> tuple[str, list[str], list[str]]:
    """The page as Chromium has drawn it, what stands on its console, and the URLs that it asked for."""
    log = folder / "net.json"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", f"--log-net-log={log}", "--virtual-time-budget=20000", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, said, list(requested(json.loads(log.read_text(encoding="utf-8")), url))


def requested(log: dict[str, Any], url: str) -> Iterator[str]:
    """The URLs of a net log that the page asked for, first the page itself; the browser's own have no origin."""
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    for event in log["events"]:
        parameters = event.get("params", {})
        if event["type"] == start and (
            parameters.get("initiator") == url.removesuffix("/api/docs") or parameters.get("url") == url
        ):
            yield parameters["url"]
