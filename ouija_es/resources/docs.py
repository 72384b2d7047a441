"""GET /api/openapi.json, and Swagger UI at /api/docs: files of the package, made or read at the first request."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files

import falcon
from falcon.asgi import Request, Response

FILES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
"""What the page loads, and as what."""

# Swagger UI draws its icons as data: images; nothing else is wanted beyond the package's own files.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The names carry no version, so a browser asks again after an hour; the document it asks about each time.
KEEP = "public, max-age=3600"
REVALIDATE = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """Bytes that stay the same while the process runs, gzipped."""

    media_type: str
    packed: bytes
    digest: str

    @classmethod
    def of(cls, media_type: str, packed: bytes) -> "Asset":
        """The asset of gzipped bytes."""
        return cls(media_type, packed, hashlib.sha256(packed).hexdigest()[:32])

    def send(self, req: Request, resp: Response, cache_control: str) -> None:
        """Writes the asset as the client takes it, or 304 if it has it (RFC 9110 §13.1.2)."""
        packed = accepts_gzip(req.get_header("accept-encoding"))
        etag = f'"{self.digest}-gzip"' if packed else f'"{self.digest}"'
        resp.set_header("ETag", etag)
        resp.set_header("Cache-Control", cache_control)
        resp.set_header("Vary", "Accept-Encoding")
        known = {tag.strip().removeprefix("W/") for tag in req.get_header("if-none-match", default="").split(",")}
        if known & {etag, "*"}:
            resp.status = 304
            return
        resp.content_type = self.media_type
        if packed:
            resp.set_header("Content-Encoding", "gzip")
        resp.data = self.packed if packed else gzip.decompress(self.packed)


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
            self._page = Asset.of("text/html; charset=utf-8", _packed("index.html"))
        self._page.send(req, resp, KEEP)
        resp.set_header("Content-Security-Policy", PAGE_POLICY)

    on_head = on_get


class DocsFileResource:
    """What the page loads."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}

    async def on_get(self, req: Request, resp: Response, file: str) -> None:
        """One of FILES."""
        if file not in FILES:
            raise falcon.HTTPNotFound
        if file not in self._assets:
            self._assets[file] = Asset.of(FILES[file], _packed(file))
        self._assets[file].send(req, resp, KEEP)

    on_head = on_get


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is listed with a quality above zero (RFC 9110 §12.5.3)."""
    accepted: dict[str, bool] = {}
    for item in (accept_encoding or "").lower().split(","):
        coding, _, parameter = item.partition(";")
        accepted[coding.strip()] = parameter.replace(" ", "").rstrip("0.") != "q="
    return accepted.get("gzip", accepted.get("*", False))


def _document() -> Asset:
    # Here, as the service starts sooner without it.
    from ouija_es.resources.openapi.document import document_json  # noqa: PLC0415

    return Asset.of(falcon.MEDIA_JSON, gzip.compress(document_json(), mtime=0))


def _packed(name: str) -> bytes:
    folder = files("ouija_es") / "web" / "swagger_ui"
    packed = folder / f"{name}.gz"
    return packed.read_bytes() if packed.is_file() else gzip.compress((folder / name).read_bytes(), mtime=0)
