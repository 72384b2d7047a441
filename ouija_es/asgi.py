"""The ASGI entry point for any server, one process: `uvicorn --factory ouija_es.asgi:create`."""

from typing import Any

import falcon.asgi
from falcon.asgi import Request

from ouija_es.app import create_app
from ouija_es.config import read_settings
from ouija_es.readiness import Readiness
from ouija_es.telemetry.logs import configure_logs


def create() -> falcon.asgi.App[Request, Any]:
    """The application with settings from the environment. Raises ConfigError, StartError."""
    settings = read_settings()
    configure_logs(settings.log_level, settings.effective_log_format)
    return create_app(settings, Readiness())
