"""Searches files for bytes and texts, in whatever form they may lie there."""

import base64
from collections.abc import Iterator
from pathlib import Path


def base64_inside(raw: bytes, offset: int) -> bytes:
    """The base64 of `raw` that begins `offset` bytes into a group of three, without what depends on its neighbours."""
    encoded = base64.b64encode(bytes(offset) + raw)
    return encoded[(0, 2, 3)[offset] : (len(encoded), -3, -2)[(offset + len(raw)) % 3]]


def forms(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes as they are, in hex (small letters) and in base64 (both alphabets)."""
    yield "bytes", raw
    yield "hex", raw.hex().encode()
    for offset in range(3):
        encoded = base64_inside(raw, offset)
        yield f"base64 at {offset}", encoded
        yield f"base64url at {offset}", encoded.translate(bytes.maketrans(b"+/", b"-_"))


def text_forms(text: str) -> Iterator[tuple[str, bytes]]:
    """A text in its encodings, and each of those as `forms` has it."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        for form, raw in forms(text.encode(encoding)):
            yield f"{encoding} as {form}", raw


def texts_found(folder: Path, texts: list[str]) -> list[str]:
    """Where any of the texts, which are in lower case, lies in any file, in whatever case: `… in FILE as …`."""
    return _found(folder, {text: list(text_forms(text)) for text in texts})


def bytes_found(folder: Path, *needles: bytes) -> list[str]:
    """Where any of these bytes lie in any file: `… in FILE as …`."""
    return _found(folder, {needle.hex(): list(forms(needle)) for needle in needles})


def _found(folder: Path, needles: dict[str, list[tuple[str, bytes]]]) -> list[str]:
    hits = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        small = content.lower()
        for name, written in needles.items():
            hits += [
                f"{name} in {path.name} as {form}"
                for form, raw in written
                if raw in (content if "base64" in form or form == "bytes" else small)
            ]
    return hits
