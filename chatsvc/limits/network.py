"""Networks: what a limit counts as one address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network


@lru_cache(4096)
def network_of(address: str) -> str:
    """
    What an address counts as: an IPv6 address its /64, which is what one customer has, IPv4 inside IPv6 plain IPv4.
    """
    try:
        ip = ip_address(address)
    except ValueError:  # a UNIX socket
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ip_network((ip.packed, 64), strict=False))
