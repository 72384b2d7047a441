"""The dashboard's page: who gets it, what it may load, and that it holds no numbers of its own."""

import gzip
import re
from collections.abc import Iterator
from importlib.resources import files

import httpx
import pytest

from ouija_es.resources.dashboard_page import FILES
from tests.service import RunningService

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
TOKEN = "metrics-token-of-the-tests"
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function")
FOLDER = files("ouija_es") / "web" / "dashboard"
ADDRESSES = {"/dashboard": BROWSER, **{f"/dashboard/{name}": "*/*" for name in FILES}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("data"), METRICS_TOKEN=TOKEN) as running:
        yield running


def get(service: RunningService, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """A response as it comes, still encoded."""
    sent = {"Accept": ADDRESSES.get(path, "*/*"), "Accept-Encoding": "identity"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.request(method, path, headers=sent)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", "text/csv", "nonsense"])
def test_programs_get_json(service: RunningService, accept: str) -> None:
    answer = get(service, "/dashboard", Accept=accept, Authorization=f"Bearer {TOKEN}")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["totals"]["questions"] >= 0
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "application/json;q=0.5, text/html"])
def test_browsers_get_the_page_without_a_token(service: RunningService, accept: str) -> None:
    page = get(service, "/dashboard", Accept=accept)
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Vary"] == "Accept, Accept-Encoding"
    assert page.text == (FOLDER / "index.html").read_text(encoding="utf-8")


def test_the_numbers_want_the_token_all_the_same(service: RunningService) -> None:
    for query in ("", "?as_of=1"):
        refused = get(service, f"/dashboard{query}", Accept="application/json")
        assert refused.status_code == 401
        assert refused.headers["Vary"] == "Accept"
        assert get(service, f"/dashboard{query}", Accept=BROWSER).status_code == 200


@pytest.mark.parametrize("path", ADDRESSES)
def test_it_comes_gzipped_to_those_who_take_that_and_is_kept_by_its_tag(service: RunningService, path: str) -> None:
    plain = get(service, path)
    with service.client.stream("GET", path, headers={"Accept": ADDRESSES[path], "Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content)
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert plain.headers["Cache-Control"] == "no-cache"  # page and files change together
    again = get(service, path, If_None_Match=plain.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Vary"] == plain.headers["Vary"]
    assert get(service, path, If_None_Match='"other"').status_code == 200


@pytest.mark.parametrize("accept", [BROWSER, "application/json"])
def test_head_is_get_without_the_body(service: RunningService, accept: str) -> None:
    sent = {"Accept": accept, "Authorization": f"Bearer {TOKEN}"}
    head, full = get(service, "/dashboard", "HEAD", **sent), get(service, "/dashboard", **sent)
    assert head.content == b""
    differing = {"date", "x-trace-id"}
    assert {it for it in head.headers.items() if it[0] not in differing} == {
        it for it in full.headers.items() if it[0] not in differing
    }


def test_the_page_may_load_from_this_service_only(service: RunningService) -> None:
    page = get(service, "/dashboard")
    policy = dict(part.split(maxsplit=1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert set(policy.values()) == {"'none'", "'self'", "'self' data:"}
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert re.findall(r"<script(?! type=\"module\" src=\")|<style| style=| on[a-z]+=", page.text) == []


def test_everything_the_page_loads_is_served_and_nothing_else(service: RunningService) -> None:
    page = get(service, "/dashboard").text
    loaded = {path.removeprefix("/dashboard/") for path in re.findall(r'(?:src|href)="(/dashboard/[^"]+)"', page)}
    found: set[str] = set()
    while loaded - found:
        name = (loaded - found).pop()
        found.add(name)
        if name.endswith(".js"):
            loaded |= set(re.findall(r' from "\./([\w.]+)"', get(service, f"/dashboard/{name}").text))
    assert found == FILES.keys() == {it.name for it in FOLDER.iterdir()} - {"index.html"}
    for name in ("index.html", "..%2findex.html", "%00"):
        assert get(service, f"/dashboard/{name}").status_code == 404


def test_no_script_makes_markup_of_data_or_calls_another_host() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert MARKUP.findall(text) == [], name
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, name  # the namespace of SVG
        assert len(text.splitlines()) <= 300, name
