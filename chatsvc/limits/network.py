"""Networks: the addresses that a limit counts as one."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network


@lru_cache(4096)
def network_of(address: str) -> str:
    """
    Return the network that an address counts as.

    An IPv6 address counts as its /64, for one customer has all of its addresses. IPv4 inside IPv6 counts as plain IPv4.
    Any other text, such as that of a UNIX socket, stands for itself.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ip_network((ip.packed, 64), strict=False))
