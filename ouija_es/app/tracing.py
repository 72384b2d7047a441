"""The tracer, from the settings."""

from uuid import UUID

from ouija_es.config import Settings
from ouija_es.telemetry.tracing import Tracer


def build_tracer(settings: Settings, instance: UUID) -> Tracer | None:
    """None without an endpoint; then nothing of OpenTelemetry is imported."""
    if settings.traces_endpoint is None:
        return None
    from ouija_es.telemetry.traces import OtelTracer  # noqa: PLC0415 - it imports OpenTelemetry

    return OtelTracer(settings.traces_endpoint, instance)
