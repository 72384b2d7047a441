"""The dashboard's page as a person meets it, in Debian's Chromium."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.service import AUDIT_TOKEN, RunningService, providers
from tests.stubs import StubProviders

pytestmark = pytest.mark.deep

METRICS_TOKEN = "metrics-token-of-the-tests"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGUMENTS += ["--disable-sync", "--no-first-run", "--disable-dev-shm-usage"]
PHONE = {"width": 360, "height": 740}
QUESTIONS = ["¿Encontraré el amor?", "¿Me darán el trabajo?", "¿Tendré dinero?", "¿Está en paz mi abuela?"]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LEAVE = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
SHAPES = """async () => {
  const { words } = await import("/dashboard/words.js");
  const members = (it) => Object.fromEntries(Object.keys(it).sort().map((name) => [name, shape(it[name])]));
  const shape = (it) => typeof it === "object" ? members(it) : typeof it === "function" ? it.length : typeof it;
  const used = [...document.querySelectorAll("[data-word], [data-label]")];
  return [shape(words.es), shape(words.en), used.map((it) => it.dataset.word ?? it.dataset.label)];
}"""


DAY = """async width => {
  const { bars } = await import("/dashboard/timeline.js");
  const slot = (at, groq, database) => ({ at, groq, ollama: 0, database });
  const slots = [
    slot("2026-01-30T11:00:00Z", 9, 9), slot("2026-01-30T12:05:00Z", 1, 0), slot("2026-01-31T11:55:00Z", 2, 1),
    slot("2026-01-31T12:00:00Z", 3, 0),
  ];
  const found = bars(slots, ["groq", "ollama", "database"], "2026-01-31T12:03:00.000Z", width);
  return [found.minutes, found.bars.map((bar) => [new Date(bar.at).toISOString(), bar.groq, bar.database, bar.all])];
}"""


@pytest.fixture(scope="module")
def browser(require: Callable[[str, bool], None]) -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    require("chromium", chromium is not None)
    with (
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)) as launched,
    ):
        yield launched


@pytest.fixture(scope="module")
def stubs() -> Iterator[StubProviders]:
    with StubProviders() as running:
        yield running


@pytest.fixture(scope="module")
def service(stubs: StubProviders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """With a day's troubles behind it: every source has answered, and something has failed, twice over."""
    variables = providers(stubs.groq_url, stubs.ollama_url, GROQ_MAX_ATTEMPTS="1", BREAKER_FAILURES="2")
    with RunningService(tmp_path_factory.mktemp("data"), **variables) as running:
        for number in range(12):
            stubs.behave("groq", "ok") if number < 4 else stubs.behave("groq", "status", code=500)
            stubs.behave("ollama", "ok") if number < 7 else stubs.behave("ollama", "status", code=404)
            personality = ("wise", "cryptic", "dark", "playful")[number % 4]
            running.ask(QUESTIONS[number % 4], personality=personality).raise_for_status()
        yield running


@contextmanager
def opened(browser: Browser, url: str, path: str = "/dashboard", **options: Any) -> Iterator[Page]:
    """The page in a profile of its own; at its end nothing must have gone wrong in it, nor anything left the service.

    What the browser itself says about a refused or failed request is no fault of the page.
    """
    said: list[str] = []
    elsewhere: list[str] = []
    context = browser.new_context(**{"locale": "es-ES", **options})
    with closing(context):
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda it: said.append(it.text) if not it.text.startswith("Failed to load") else None)
        page.on("request", lambda it: elsewhere.append(it.url) if not it.url.startswith(url) else None)
        page.goto(f"{url}{path}")
        yield page
    assert (said, elsewhere) == ([], [])


def drawn(page: Page) -> Page:
    """The page once it shows numbers."""
    expect(page.locator("#numbers")).to_be_visible()
    return page


def figure(page: Page, name: str) -> int:
    """A whole number of the page, without what its language puts between the digits."""
    return int(re.sub(r"\D", "", page.locator(f'[data-figure="{name}"]').first.inner_text()))


def numbers(service: RunningService, **parameters: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
    found: dict[str, Any] = service.client.get("/dashboard", params=parameters, headers=headers).json()
    return found


def paused(page: Page, service: RunningService) -> dict[str, Any]:
    """Stops the page, as a seal may lengthen the log at any moment, and gives the JSON of the position it shows."""
    page.locator("#pause").click()
    return numbers(service, as_of=page.locator("body").get_attribute("data-position"))


def shown(page: Page) -> dict[str, int]:
    """What the page says about the totals."""
    names = ("answers", "answers.groq", "answers.ollama", "answers.database", "questions", "sessions", "withdrawn")
    return {name: figure(page, name) for name in (*names, "abandoned", "erasures", "projected", "sealed", "position")}


def expected(told: dict[str, Any]) -> dict[str, int]:
    """The same of the JSON."""
    totals = told["totals"]
    return {
        "answers": sum(totals["answers"].values()),
        **{f"answers.{source}": count for source, count in totals["answers"].items()},
        **{name: totals[name] for name in ("questions", "sessions", "withdrawn", "abandoned", "erasures")},
        "projected": told["eventStore"]["projected"],
        "sealed": told["eventStore"]["sealedPosition"],
        "position": told["position"],
    }


def test_the_numbers_are_those_of_the_json(browser: Browser, service: RunningService) -> None:
    with opened(browser, service.url) as page:
        told = paused(drawn(page), service)
        assert shown(page) == expected(told)
        for name in ("groq", "ollama"):
            for outcome, reasons in told["services"][name]["attempts"].items():
                assert figure(page, f"{name}.{outcome}") == sum(reasons.values())
                for reason, count in reasons.items():
                    if reason != "none":
                        assert figure(page, f"{name}.{outcome}.{reason}") == count
        page.locator("#latency-details summary").click()
        for name, milliseconds in told["answers"]["latency"].items():
            assert figure(page, f"latency.whole.{name.removesuffix('Ms')}") == milliseconds
        page.locator("#timeline-details summary").click()
        rows = page.locator("#timeline-table tbody tr")
        columns = [[int(it) for it in row.locator("td").all_inner_texts()] for row in rows.all()]
        assert [sum(column) for column in zip(*columns, strict=True)] == [
            *told["totals"]["answers"].values(),
            sum(told["totals"]["answers"].values()),
        ]
        assert page.locator("#recent > li").count() == 10
        page.locator("#more").click()
        assert page.locator("#recent > li").count() == len(told["recent"]) > 10
        path = page.locator("#recent > li").first.locator(".path").inner_text()
        assert re.findall("Groq|Ollama|La tabla", path) == ["Groq", "Ollama", "La tabla"]


def test_an_answer_appears_without_a_reload(browser: Browser, service: RunningService) -> None:
    with opened(browser, service.url) as page:
        before = figure(drawn(page), "questions")
        page.locator("#recent summary").first.click()
        newest = service.ask("¿Y ahora?").json()["questionId"]
        expect(page.locator("[data-figure=questions]")).to_have_text(str(before + 1))
        assert newest in page.locator("#recent > li").first.locator("details").text_content()
        assert page.locator("#recent details[open]").count() == 1  # what the reader had opened stays so


def test_nothing_is_asked_while_nobody_looks(browser: Browser, service: RunningService) -> None:
    with opened(browser, service.url) as page:
        before = figure(drawn(page), "questions")
        asked: list[str] = []
        page.on("request", lambda it: asked.append(it.url))
        page.evaluate(LEAVE, True)
        asked.clear()
        page.wait_for_timeout(3500)  # longer than from one look at the numbers to the next
        assert asked == []
        service.ask("¿Y ahora?")
        page.evaluate(LEAVE, False)
        expect(page.locator("[data-figure=questions]")).to_have_text(str(before + 1))
        page.get_by_role("button", name="Pausar").click()
        expect(page.locator("#pulse")).to_contain_text("En pausa")
        page.get_by_role("button", name="Seguir").click()
        expect(page.locator("#pulse")).to_contain_text("En directo")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["es-ES", "en-GB"])
def test_it_keeps_nothing_from_people_with_disabilities(
    browser: Browser, service: RunningService, scheme: str, locale: str
) -> None:
    with opened(browser, service.url, color_scheme=scheme, locale=locale) as page:
        drawn(page)
        for summary in page.locator("main summary").all():
            summary.click()
        findings(page)
        travel(page, "20")  # wants a token
        expect(page.locator("#token-form")).to_be_visible()
        findings(page)
        enter(page, AUDIT_TOKEN)
        expect(page.locator("#past-text")).not_to_be_empty()
        findings(page)


def findings(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("locale", ["es-ES", "en-GB"])
def test_it_fits_a_phone(browser: Browser, service: RunningService, locale: str) -> None:
    with opened(browser, service.url, viewport=PHONE, locale=locale) as page:
        drawn(page)
        page.locator("#more").click()
        for summary in page.locator("main summary").all():
            summary.click()
        assert page.evaluate(OVERFLOW) == 0
        travel(page, "x" * 80)
        expect(page.locator("#token-form")).to_be_visible()
        assert page.evaluate(OVERFLOW) == 0


def test_its_language_is_the_reader_s_and_can_be_changed(browser: Browser, service: RunningService) -> None:
    with opened(browser, service.url, locale="fr-FR") as page:
        expect(drawn(page).locator("html")).to_have_attribute("lang", "es")  # as the service answers
    with opened(browser, service.url, locale="en-GB") as page:
        expect(drawn(page).get_by_role("heading", level=1)).to_have_text("The board")
        page.get_by_role("button", name="Español").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("El tablero")
        assert page.locator("html").get_attribute("lang") == "es"
        page.reload()
        expect(drawn(page).get_by_role("heading", level=1)).to_have_text("El tablero")


def test_every_text_is_there_in_both_languages(browser: Browser, service: RunningService) -> None:
    with opened(browser, service.url) as page:
        spanish, english, used = page.evaluate(SHAPES)
    assert spanish == english
    assert set(used) <= spanish.keys()


@pytest.mark.parametrize(
    ("width", "minutes", "latest"),
    [
        (2000, 5, [["2026-01-31T11:55:00.000Z", 2, 1, 3], ["2026-01-31T12:00:00.000Z", 3, 0, 3]]),
        (1000, 10, [["2026-01-31T11:55:00.000Z", 5, 1, 6]]),
    ],
)
def test_answers_stand_where_their_time_is_and_what_is_older_than_a_day_does_not(
    browser: Browser, service: RunningService, width: int, minutes: int, latest: list[Any]
) -> None:
    with opened(browser, service.url) as page:
        assert page.evaluate(DAY, width) == [minutes, [["2026-01-30T12:05:00.000Z", 1, 0, 1], *latest]]


def test_it_asks_for_the_token_and_keeps_it_in_the_tab(browser: Browser, tmp_path: Path) -> None:
    with RunningService(tmp_path, METRICS_TOKEN=METRICS_TOKEN) as service:
        service.ask("¿Encontraré el amor?")
        with opened(browser, service.url) as page:
            expect(page.get_by_role("alert")).to_have_text("Estas cifras piden un token.")
            expect(page.locator("#numbers")).to_be_hidden()
            enter(page, "a-token-that-is-wrong")
            expect(page.get_by_role("alert")).to_have_text("El servicio ha rechazado ese token (401).")
            expect(page.locator("#numbers")).to_be_hidden()
            enter(page, METRICS_TOKEN)
            assert figure(drawn(page), "questions") == 1
            expect(page.locator("#token-form")).to_be_hidden()
            assert METRICS_TOKEN not in page.url + page.content()
            page.reload()
            assert figure(drawn(page), "questions") == 1
            page.get_by_role("button", name="Olvidar el token").click()
            expect(page.locator("#token-form")).to_be_visible()
            expect(page.locator("#numbers")).to_be_hidden()
        assert METRICS_TOKEN not in service.log


def enter(page: Page, token: str) -> None:
    page.locator("#token").fill(token)
    page.locator("#token-form button").click()


def travel(page: Page, to: str) -> None:
    page.locator("#as-of").fill(to)
    page.locator("#past-form button").click()


def test_it_shows_how_the_numbers_stood(browser: Browser, service: RunningService) -> None:
    told = numbers(service, as_of=20)
    with opened(browser, service.url) as page:
        live = shown(drawn(page))
        expect(page.locator("#past")).to_be_hidden()
        travel(page, "20")
        enter(page, AUDIT_TOKEN)
        expect(page.locator("#past-text")).to_contain_text("Posición 20")
        assert shown(drawn(page)) == expected(told) != live
        expect(page.locator('[data-figure="groq.available"]')).to_have_text("entonces, no se sabe")
        assert page.url.endswith("/dashboard?as_of=20")
        page.reload()
        expect(page.locator("#past-text")).to_contain_text("Posición 20")
        travel(page, "the day before yesterday")
        expect(page.get_by_role("alert")).to_have_text("Eso no es una posición ni una hora que se pueda consultar.")
        travel(page, (datetime.now() - timedelta(days=1)).isoformat(" ", "minutes"))  # noqa: DTZ005 - the reader's time
        expect(page.locator("#past-text")).to_contain_text("Posición 0")
        page.get_by_role("button", name="Volver al directo").click()
        expect(page.locator("#pulse")).to_contain_text("En directo")
        told = paused(page, service)
        assert shown(page) == expected(told)
        assert page.url.endswith("/dashboard")


def test_without_any_token_it_says_why_there_is_no_past(browser: Browser, tmp_path: Path) -> None:
    with RunningService(tmp_path, AUDIT_TOKEN=None) as service, opened(browser, service.url) as page:
        travel(drawn(page), "1")
        expect(page.get_by_role("alert")).to_contain_text("este servicio no tiene ninguno")


def test_it_says_when_it_cannot_reach_the_service_and_goes_on_when_it_can(browser: Browser, tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        port = service.url.rpartition(":")[2]
        service.ask("¿Encontraré el amor?")
        with opened(browser, service.url) as page:
            assert figure(drawn(page), "questions") == 1
            service.kill()
            expect(page.get_by_role("alert")).to_contain_text("No se puede llegar al servicio. Lo que ves es de las")
            assert figure(page, "questions") == 1  # what was known stays
            findings(page)
            with RunningService(tmp_path, PORT=port) as again:
                again.ask("¿Y el trabajo?")
                expect(page.locator("[data-figure=questions]")).to_have_text("2", timeout=30_000)
                expect(page.get_by_role("alert")).to_be_empty()
