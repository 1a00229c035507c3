"""Who the client is, when requests come through proxies.

A proxy appends what it saw, so the list is read from the right: each address that belongs to a trusted proxy is
believed about the one to its left; the first that does not is the client. What stands further left is hearsay.
`Forwarded` is RFC 7239, `X-Forwarded-For` its forerunner; where both are sent, `Forwarded` counts.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDED_FOR = re.compile(r'(?:^|[;,\s])for="?\[?([0-9A-Fa-f.:]+?)\]?(?::\d{1,5})?"?(?=$|[;,\s])', re.IGNORECASE)
_FORWARDED_PROTO = re.compile(r'(?:^|[;,\s])proto="?(https?|wss?)"?(?=$|[;,\s])', re.IGNORECASE)
_MAX_HOPS = 20


class Origin(NamedTuple):
    """Where a request came from."""

    client: str
    """The client's address."""
    secure: bool | None
    """Whether the client spoke TLS to the outermost trusted proxy; None where no proxy says so."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that `texts` name: an address, or an address and prefix length. Raises ValueError."""
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip())


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Whether `address` lies in one of the trusted networks; anything that is no address does not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in trusted)


def origin(
    peer: str, trusted: Sequence[Network], forwarded: str, x_forwarded_for: str, x_forwarded_proto: str
) -> Origin:
    """The origin of a request that arrived from `peer`; the headers are believed only through trusted proxies."""
    if not is_trusted(peer, trusted):
        return Origin(peer, None)
    if forwarded:
        hops, protos = _FORWARDED_FOR.findall(forwarded), _FORWARDED_PROTO.findall(forwarded)
    else:
        hops = [hop for hop in (_bare(part) for part in x_forwarded_for.split(",")) if hop]
        protos = [part.strip() for part in x_forwarded_proto.split(",") if part.strip()]
    client, position = peer, len(hops)
    for hop in reversed(hops[-_MAX_HOPS:]):
        if not _is_address(hop):
            break
        client, position = hop, position - 1
        if not is_trusted(hop, trusted):
            break
    proto = protos[position] if len(protos) == len(hops) and position < len(protos) else (protos or [""])[-1]
    return Origin(client, proto.lower() in {"https", "wss"} if proto else None)


def _bare(hop: str) -> str:
    """The address in `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1` or `[2001:db8::1]:5678`."""
    hop = hop.strip().strip('"')
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
