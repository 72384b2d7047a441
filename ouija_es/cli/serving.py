"""`ouija-es serve`."""

import argparse
import gc
import os
import signal
import sys
from types import FrameType

from ouija_es.config import Settings


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until a signal comes, then finishes what is in flight."""
    # What a start makes stays: nothing of it is worth looking through for garbage more than once.
    gc.set_threshold(10_000, 1_000, 1_000)
    # The providers' HTTP client brings an allocator (mimalloc) that asks for huge pages: two megabytes for a handful of
    # objects, nine in all. It reads this when it is loaded, below.
    os.putenv("MIMALLOC_ALLOW_THP", "0")
    # Imported here: the other commands do not need a web server, and are there sooner.
    import uvicorn

    from ouija_es.app import create_app
    from ouija_es.readiness import Readiness
    from ouija_es.telemetry.logs import configure_logs

    del options
    # Once stopped, uvicorn raises the signal again for whoever handled it before: that is here, and means success.
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    configure_logs(settings.log_level, settings.effective_log_format)
    readiness = Readiness()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            readiness.draining = True
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            create_app(settings, readiness),
            host=settings.host,
            port=settings.port,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=round(settings.answer_deadline_seconds) + 1,
        )
    )
    gc.freeze()
    # Thousands of objects live as long as an ask does: the default thresholds look through them again and again.
    gc.set_threshold(10_000, 20, 50)
    server.run()
    return 0 if server.started else 1


def _end(*_: object) -> None:
    # The interpreter takes its handlers away as it ends: a second signal then would look like a kill.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(0)
