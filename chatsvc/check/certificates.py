"""Certificates: whether clients will accept them, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cryptography import x509

from chatsvc.check.finding import Finding, fail, ok, warn
from chatsvc.tls.certificates import CertificateFacts, facts_of

DAYS_TO_RENEW = 14
"""Fewer days than these are a problem: certificates for 90 days are renewed 30 before their end."""

_ABOUT = "certificate"


def judge(path: str, pem: bytes, now: float) -> list[Finding]:
    """
    Inspect the certificates in ``pem``, the content of ``path``; ``now`` is in seconds since the epoch.

    :raise ValueError: there are none.
    """
    chain = x509.load_pem_x509_certificates(pem)
    problems = [finding for one in chain for finding in _judge_time(path, facts_of(one), now)]
    problems += _judge_order(path, chain)
    first = facts_of(chain[0])
    if not first.names:
        problems.append(
            fail(_ABOUT, f"{path} names no host: clients look for theirs among its names")
        )
    if problems:
        return problems
    names, days = ", ".join(first.names), first.days_left(now)
    return [ok(_ABOUT, f"{path} is for {names}; {days} days left; {first.fingerprint}")]


def _judge_time(path: str, found: CertificateFacts, now: float) -> list[Finding]:
    days, end = found.days_left(now), f"{found.not_after:%Y-%m-%d}"
    what = f"{path}: {found.subject or found.fingerprint}"
    if found.not_before.timestamp() > now:
        return [fail(_ABOUT, f"{what} is valid only from {found.not_before:%Y-%m-%d %H:%M} UTC")]
    if found.not_after.timestamp() < now:
        return [fail(_ABOUT, f"{what} has expired on {end}: put a new one here and send SIGHUP")]
    if days < DAYS_TO_RENEW:
        return [fail(_ABOUT, f"{what} ends on {end}, in {days} days: renew it and send SIGHUP")]
    return []


def _judge_order(path: str, chain: Sequence[x509.Certificate]) -> list[Finding]:
    """Each certificate must be followed by that of its issuer (RFC 8446, section 4.4.2)."""
    for one, following in pairwise(chain):
        if _issued(one, following):
            continue
        what = one.subject.rfc4514_string()
        if any(_issued(one, other) for other in chain if other is not one):
            return [
                warn(
                    _ABOUT, f"{path}: let {what} be followed by its issuer, which stands elsewhere"
                )
            ]
        return [fail(_ABOUT, f"{path}: what follows {what} is not its issuer; put that there")]
    return []


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # of many kinds, for a name, a key or a signature that does not fit
        return False
    return True
