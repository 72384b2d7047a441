"""Files of the package for browsers: gzipped, kept by their ETag, loaded from no other host."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import falcon
from falcon.asgi import Request, Response

HTML = "text/html; charset=utf-8"
CSS = "text/css; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
SVG = "image/svg+xml"

# Swagger UI draws its icons as data: images; nothing else is wanted beyond the package's own files.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The names carry no version, so a browser asks again after an hour; about what changes as a whole it asks each time.
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

    @classmethod
    def read(cls, media_type: str, folder: str, name: str) -> "Asset":
        """A file of a folder in `ouija_es/web`; it may lie there gzipped, as NAME.gz."""
        where = files("ouija_es") / "web" / folder
        packed = where / f"{name}.gz"
        if packed.is_file():
            return cls.of(media_type, packed.read_bytes())
        return cls.of(media_type, gzip.compress((where / name).read_bytes(), mtime=0))

    def send(self, req: Request, resp: Response, cache_control: str) -> None:
        """Writes the asset as the client takes it, or 304 if it has it (RFC 9110 §13.1.2)."""
        packed = accepts_gzip(req.get_header("accept-encoding"))
        etag = f'"{self.digest}-gzip"' if packed else f'"{self.digest}"'
        resp.set_header("ETag", etag)
        resp.set_header("Cache-Control", cache_control)
        resp.append_header("Vary", "Accept-Encoding")
        known = {tag.strip().removeprefix("W/") for tag in req.get_header("if-none-match", default="").split(",")}
        if known & {etag, "*"}:
            resp.status = 304
            return
        resp.content_type = self.media_type
        if packed:
            resp.set_header("Content-Encoding", "gzip")
        resp.data = self.packed if packed else gzip.decompress(self.packed)


class PageFilesResource:
    """What a page loads: these files of its folder, by name to media type, and nothing else there."""

    def __init__(self, folder: str, media_types: Mapping[str, str], cache_control: str) -> None:
        self._folder = folder
        self._media_types = media_types
        self._cache_control = cache_control
        self._assets: dict[str, Asset] = {}

    async def on_get(self, req: Request, resp: Response, file: str) -> None:
        """One file, read when it is first asked for."""
        if file not in self._media_types:
            raise falcon.HTTPNotFound
        if file not in self._assets:
            self._assets[file] = Asset.read(self._media_types[file], self._folder, file)
        self._assets[file].send(req, resp, self._cache_control)

    on_head = on_get


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether gzip is listed with a quality above zero (RFC 9110 §12.5.3)."""
    accepted: dict[str, bool] = {}
    for item in (accept_encoding or "").lower().split(","):
        coding, _, parameter = item.partition(";")
        accepted[coding.strip()] = parameter.replace(" ", "").rstrip("0.") != "q="
    return accepted.get("gzip", accepted.get("*", False))
