"""Groq and Ollama in one process, for tests and benchmarks: `python -m loadtests.stub_providers --port 0`.

Groq answers under /openai/v1/chat/completions, Ollama under /api/chat, /api/generate and /api/tags. Both are healthy
until told otherwise, on the command line or over HTTP:

    PUT /control/groq {"behaviour": "status", "code": 429, "headers": {"retry-after": "3"}}
    PUT /control/ollama ["reset", {"behaviour": "ok", "latency_ms": 200}]     one per call, the last stays
    GET /control        behaviour, calls and the last 50 requests of each
    DELETE /control     as at the start

Behaviours and their parameters are the functions of replies.py, faults.py and streams.py in loadtests/stubs.
"""

import argparse
import asyncio
import json
import os
import signal
import sys

import uvloop

from loadtests.stubs.behaviours import Spec
from loadtests.stubs.connection import Connection
from loadtests.stubs.groq import Groq
from loadtests.stubs.ollama import Ollama
from loadtests.stubs.provider import Provider
from loadtests.stubs.server import Stubs


async def serve(stubs: Stubs, port: int, *, with_stdin: bool = False) -> None:
    """Serves until SIGTERM or SIGINT, or the end of standard input."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_stdin:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    server = await loop.create_server(lambda: Connection(stubs, loop), "127.0.0.1", port, backlog=2048)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.stub_providers", description="Groq and Ollama, stubbed.")
    parser.add_argument("--port", type=int, default=0, help="0 (default) takes a free one")
    parser.add_argument("--groq", type=_spec, default="ok", metavar="BEHAVIOUR", help="a name, or JSON as for PUT")
    parser.add_argument("--ollama", type=_spec, default="ok", metavar="BEHAVIOUR")
    parser.add_argument(
        "--latency-ms", type=float, default=0, help="before each first byte, where a behaviour has none"
    )
    parser.add_argument("--with-stdin", action="store_true", help="also stop when standard input ends")
    args = parser.parse_args()
    try:
        groq, ollama = Provider(Groq(), args.groq, args.latency_ms), Provider(Ollama(), args.ollama, args.latency_ms)
    except ValueError as mistake:
        parser.error(str(mistake))
    uvloop.run(serve(Stubs(groq, ollama), args.port, with_stdin=args.with_stdin))


def _spec(text: str) -> Spec:
    return json.loads(text) if text[:1] in ("{", "[") else text


if __name__ == "__main__":
    main()
