"""Checks a running service from outside: `python scripts/smoke.py URL [--commit SHA] [--wait SECONDS]`.

Waits until /health is well (and, with --commit, tells that commit), then asks one question and reads the pages a
deployment must have. Exit code 0, or 1 with one line for what is wrong. Needs nothing but Python's own library.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

TRY_SECONDS = 15
PAUSE_SECONDS = 2
PAGES = ("/health/live", "/health/ready", "/api/openapi.json")
SOURCES = ("groq", "ollama", "database")


class Unwell(Exception):
    """The service is not there, or does not do what it should."""


def main() -> int:
    """Exit code 0, or 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where the service is, such as https://NAME.koyeb.app")
    parser.add_argument("--commit", help="wait for the deployment of this commit")
    parser.add_argument("--wait", type=float, default=0, help="seconds to wait for it")
    options = parser.parse_args()
    url = options.url.rstrip("/")
    try:
        health = wait_until_well(url, options.commit, options.wait)
        print(f"/health: {health['status']}, version {health['version']}, commit {health.get('commit')}")
        for page in PAGES:
            call(f"{url}{page}")
            print(f"{page}: 200")
        source = ask(url)
        print(f"/ouija/ask: answered by {source}")
    except Unwell as problem:
        print(f"smoke: {problem}", file=sys.stderr)
        return 1
    return 0


def wait_until_well(url: str, commit: str | None, seconds: float) -> dict[str, Any]:
    """What /health says once it is well, and of this commit. Raises Unwell with the last finding when time is up."""
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            return well(url, commit)
        except Unwell:
            if time.monotonic() + PAUSE_SECONDS > give_up_at:
                raise
            time.sleep(PAUSE_SECONDS)


def well(url: str, commit: str | None) -> dict[str, Any]:
    """What /health says. Raises Unwell if it is not well, or not of this commit."""
    health = call(f"{url}/health")
    if health.get("status") != "ok" or "version" not in health:
        raise Unwell(f"/health says {health.get('status')!r}")
    if commit is not None and health.get("commit") != commit:
        raise Unwell(f"/health tells commit {health.get('commit')!r}, not {commit!r}")
    return health


def ask(url: str) -> str:
    """The tier that answered one question. Raises Unwell."""
    body = {"question": "¿Hay alguien ahí?", "personality": "wise", "language": "es"}
    answer = call(f"{url}/ouija/ask", body)
    if not answer.get("response") or answer.get("source") not in SOURCES:
        raise Unwell("/ouija/ask gave 200 without an answer")
    return str(answer["source"])


def call(url: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON object that a GET, or a POST if there is a body, is answered with. Raises Unwell."""
    if not url.startswith(("http://", "https://")):
        raise Unwell(f"{url} is no http:// or https:// URL")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, data=data, headers={"Content-Type": "application/json", "Accept": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TRY_SECONDS) as response:  # noqa: S310 - as above
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        error.close()
        raise Unwell(f"{url}: status {error.code}") from None
    except (OSError, ValueError) as error:
        raise Unwell(f"{url}: {error}") from None
    if not isinstance(answer, dict):
        raise Unwell(f"{url}: not a JSON object")
    return answer


if __name__ == "__main__":
    raise SystemExit(main())
