"""GET /audit/proof: the head of the ledger and its last seal, for everybody who wants to keep them."""

from typing import Any

import falcon
import msgspec
from falcon.asgi import Request, Response

from ouija_es.projections.projector import Projector
from ouija_es.projections.state import State


class ProofResource:
    """Public: hashes and positions tell nothing of what was asked."""

    def __init__(self, projector: Projector, public_key: str) -> None:
        self._projector = projector
        self._public_key = public_key

    async def on_get(self, req: Request, resp: Response) -> None:
        """As far as the log is folded."""
        resp.data = msgspec.json.encode(proof_body(self._projector.state, self._public_key))
        resp.content_type = falcon.MEDIA_JSON

    on_head = on_get


def proof_body(state: State, public_key: str) -> dict[str, Any]:
    """What somebody has to note to know this log again; `seal` is null before the first one."""
    seal = state.sealed
    return {
        "position": state.position,
        "hash": state.link.hex(),
        "seal": None
        if seal is None
        else {
            "position": seal.position,
            "hash": seal.hash,
            "sealedAt": seal.at,
            "signature": seal.signature,
        },
        "publicKey": public_key,
    }
