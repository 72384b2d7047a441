"""GET /: an index with links for API clients, a plain page for browsers."""

from importlib.resources import files

import falcon
from falcon.asgi import Request, Response

from ouija_es import __version__

LINKS = {
    "ask": "/ouija/ask",
    "health": "/health",
    "dashboard": "/dashboard",
    "metrics": "/metrics",
    "proof": "/audit/proof",
    "docs": "/api/docs",
    "openapi": "/api/openapi.json",
}


class IndexResource:
    """What this is, and where to go."""

    def __init__(self) -> None:
        self._page = (files("ouija_es") / "web" / "index.html").read_bytes()

    async def on_get(self, req: Request, resp: Response) -> None:
        """JSON unless the client prefers HTML."""
        if req.client_prefers((falcon.MEDIA_JSON, falcon.MEDIA_HTML)) == falcon.MEDIA_HTML:
            resp.content_type = falcon.MEDIA_HTML
            resp.data = self._page
            resp.set_header("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'")
            return
        resp.media = {"name": "ouija_es", "version": __version__, "links": LINKS}

    on_head = on_get
