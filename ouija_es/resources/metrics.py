"""GET /metrics: the fold of the log and what only the process knows, as Prometheus text or OpenMetrics."""

from falcon.asgi import Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ouija_es.resources.tokens import OperatorTokens


class MetricsResource:
    """For Prometheus."""

    def __init__(self, registry: CollectorRegistry, tokens: OperatorTokens) -> None:
        self._registry = registry
        self._tokens = tokens

    async def on_get(self, req: Request, resp: Response) -> None:
        """All series; their number is bounded by closed sets of labels."""
        self._tokens.check(req)
        encode, content_type = choose_encoder(req.get_header("accept") or "")
        resp.data = encode(self._registry)
        resp.content_type = content_type
