"""Who asks: the client's address, and the key its allowance is kept under."""

import ipaddress
from functools import lru_cache

from falcon.asgi import Request

UNKNOWN = "unknown"
IPV6_PREFIX = 64


def client_address(req: Request, proxy_hops: int) -> str | None:
    """The client's IP address; behind proxies, that many entries from the right of `X-Forwarded-For`.

    What stands further left was written by whoever asked and is not believed.
    """
    # Not Falcon's remote_addr: that reads the headers first, and takes who comes by a Unix socket for 127.0.0.1.
    client = req.scope.get("client")
    address: str | None = client[0] if client else None
    if proxy_hops:
        entries = [entry.strip() for entry in req.get_header("x-forwarded-for", default="").split(",")]
        address = entries[-proxy_hops] if len(entries) >= proxy_hops else None
    return _parsed(address or "")


@lru_cache(maxsize=4_096)
def _parsed(address: str) -> str | None:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def limit_key(address: str | None) -> str:
    """What shares an allowance: an IPv4 address, an IPv6 /64, all whose address is unknown.

    A /64 is what one subscriber gets (RFC 6177, RFC 7421); an IPv4 address in IPv6 form (`::ffff:192.0.2.1`, as a
    dual-stack listener sees it) is that IPv4 address.
    """
    if address is None:
        return UNKNOWN
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - IPV6_PREFIX):x}/{IPV6_PREFIX}"
