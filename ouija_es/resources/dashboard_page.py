"""The dashboard for people: a page that holds no numbers and asks GET /dashboard for them."""

from falcon.asgi import Request, Response

from ouija_es.resources.asset import CSS, HTML, PAGE_POLICY, REVALIDATE, SCRIPT, SVG, Asset

FOLDER = "dashboard"
SCRIPTS = (
    *("dashboard", "panels", "providers", "recent", "timeline", "latency", "arc", "bars", "scale"),
    *("source", "reader", "words", "es", "en", "figures", "elements"),
)
FILES = {"dashboard.css": CSS, "planchette.svg": SVG, **{f"{name}.js": SCRIPT for name in SCRIPTS}}
"""What the page loads, and as what."""


class DashboardPage:
    """The HTML, read when a browser first asks for it. It and its files change together, so none is kept unasked."""

    def __init__(self) -> None:
        self._page: Asset | None = None

    def send(self, req: Request, resp: Response) -> None:
        """Writes the page, or 304 if the client has it."""
        if self._page is None:
            self._page = Asset.read(HTML, FOLDER, "index.html")
        self._page.send(req, resp, REVALIDATE)
        resp.set_header("Content-Security-Policy", PAGE_POLICY)
