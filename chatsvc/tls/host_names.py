"""Names of hosts, and addresses, in the form that certificates have them in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

import idna
from cryptography import x509

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
"""A label of a host's name (RFC 1123, section 2.1; RFC 1035, section 2.3.4), with the underscore of some intranets."""

_LONGEST = 253
"""Characters of a name: RFC 1035 allows 255 bytes with the lengths of the labels, that of the root included."""

_A_LABEL = "xn--"
_DIGITS = re.compile(r"[0-9.]*\.[0-9.]*")


def general_name(name: str) -> x509.DNSName | x509.IPAddress | None:
    """
    Make the form that a host's name or an address has in certificates; None: it cannot be in one.

    A host's name is in lower case, without a dot at the end, an international one in A-labels (RFC 5891).
    """
    try:
        address = ip_address(name)
    except ValueError:
        host = _host(name)
        return x509.DNSName(host) if host else None
    return None if getattr(address, "scope_id", None) else x509.IPAddress(address)


def general_names(names: Iterable[str]) -> list[x509.DNSName | x509.IPAddress]:
    """Give the forms of names, each once; a name that no certificate can have is left out."""
    found = map(general_name, names)
    return list(dict.fromkeys(name for name in found if name is not None))


def covers(names: Iterable[str], name: str) -> bool:
    """Return whether a certificate's ``names`` cover one in that form; ``*`` is for one label (RFC 6125, 6.4.3)."""
    wildcard = f"*.{name.partition('.')[2]}"
    return any(one.lower() in (name, wildcard) for one in names)


def _host(name: str) -> str | None:
    """Return the name in lower case and ASCII, None if no host can have it."""
    if not name.isascii() or _A_LABEL in name.lower():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError:
            return None
    host = name.lower().removesuffix(".")
    if len(host) > _LONGEST or _DIGITS.fullmatch(host):  # 300.1.1.1 is a mistyped address
        return None
    return host if all(map(_LABEL.fullmatch, host.split("."))) else None
