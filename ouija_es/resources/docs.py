"""GET /api/openapi.json, and Swagger UI at /api/docs: files of the package, made or read at the first request."""

import asyncio
import gzip

import falcon
from falcon.asgi import Request, Response

from ouija_es.resources.asset import CSS, HTML, KEEP, PAGE_POLICY, REVALIDATE, SCRIPT, Asset

FOLDER = "swagger_ui"
FILES = {"swagger-ui-bundle.js": SCRIPT, "swagger-ui.css": CSS, "start.js": SCRIPT}
"""What the page loads, and as what."""


class OpenApiResource:
    """The description of this API."""

    def __init__(self) -> None:
        self._asset: Asset | None = None

    async def on_get(self, req: Request, resp: Response) -> None:
        """OpenAPI 3.1 as JSON."""
        if self._asset is None:
            # In a thread, as it takes longer than an answer may wait; twice at once does no harm.
            self._asset = await asyncio.to_thread(_document)
        self._asset.send(req, resp, REVALIDATE)

    on_head = on_get


class DocsResource:
    """The page that shows the description to people."""

    def __init__(self) -> None:
        self._page: Asset | None = None

    async def on_get(self, req: Request, resp: Response) -> None:
        """HTML."""
        if self._page is None:
            self._page = Asset.read(HTML, FOLDER, "index.html")
        self._page.send(req, resp, KEEP)
        resp.set_header("Content-Security-Policy", PAGE_POLICY)

    on_head = on_get


def _document() -> Asset:
    # Here, as the service starts sooner without it.
    from ouija_es.resources.openapi.document import document_json  # noqa: PLC0415

    return Asset.of(falcon.MEDIA_JSON, gzip.compress(document_json(), mtime=0))
