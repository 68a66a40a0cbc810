"""What a scanner finds at the ports of a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from tests.support.authority import LEAF, Authority, key_pem, pem
from tests.support.processes import ChatServer, shared
from tests.support.scanner import Findings, scan
from tests.support.servers import free_port

OWN = "the certificate that the server made"
CHAIN = "a chain from an authority"
HOSTS = "a folder of hosts"
METRICS = "the metrics"

ACCEPTED = {
    "ssl_2_0": [],
    "ssl_3_0": [],
    "tls_1_0": [],
    "tls_1_1": [],
    "tls_1_2": [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ],
    "tls_1_3": [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ],
}
"""Cipher suites by version: forward secret and authenticated ones (RFC 9325, section 4.2; RFC 8446, section 9.1)."""

CURVES = ["X25519", "X448", "secp256r1", "secp384r1", "secp521r1"]
"""Those of TLS 1.3 (RFC 8446, section 4.2.7)."""

SOUND = {
    ("heartbleed", "is_vulnerable_to_heartbleed"): False,
    ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"): False,
    ("robot", "robot_result"): "NOT_VULNERABLE_RSA_NOT_SUPPORTED",
    ("session_renegotiation", "client_renegotiations_success_count"): 0,
    ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos"): False,
    ("session_renegotiation", "supports_secure_renegotiation"): True,
    ("tls_1_3_early_data", "supports_early_data"): False,
    ("tls_compression", "supports_compression"): False,
    ("tls_extended_master_secret", "supports_ems_extension"): True,
    ("tls_fallback_scsv", "supports_fallback_scsv"): True,
}
"""
Command, field, and the only value that is no finding.

sslyze takes the chat's greeting, which comes between, for a refused renegotiation: it can tell only at the metrics.
"""


class World:
    """A server with a port for each way to have a certificate, and what the scan of each found."""

    def __init__(self) -> None:
        ports = {port: free_port() for port in (OWN, CHAIN, HOSTS, METRICS)}
        self.server = ChatServer(
            *("--metrics", f"ssl:{ports[METRICS]}:interface=127.0.0.1"),
            ports=[
                f"ssl:{ports[OWN]}:interface=127.0.0.1",
                f"ssl:{ports[CHAIN]}:interface=127.0.0.1"
                ":privateKey=leaf.key:certKey=leaf.crt:extraCertChain=chain.crt",
                f"tls:hosts:port={ports[HOSTS]}:interface=127.0.0.1",
            ],
        )
        folder = self.server.folder
        try:
            root = Authority("root")
            _write_chain(folder, root)
            self.server.start()
            trusted = folder / "trusted.crt"
            trusted.write_bytes(Path(self.server.ca).read_bytes() + pem(root.certificate))
            self.findings = scan(ports, trusted)
        except BaseException:
            self.server.remove()
            raise


def _write_chain(folder: Path, root: Authority) -> None:
    between = Authority("between", root)
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = between.sign(LEAF, key.public_key(), False)
    chain = pem(between.certificate, root.certificate)
    (folder / "hosts").mkdir()
    for name, content in (
        ("leaf.key", key_pem(key)),
        ("leaf.crt", pem(leaf)),
        ("chain.crt", chain),
        ("hosts/localhost.pem", key_pem(key) + pem(leaf) + chain),
    ):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)


class ScanTests(SynchronousTestCase):
    def setUp(self) -> None:
        world = shared(type(self), World, lambda world: world.server.remove())
        self.server, self.findings = world.server, world.findings

    def certificate(self, port: str) -> dict[str, Any]:
        """What was found out about the only certificate, with its chain, that is sent at a port."""
        found = self.findings[port]["certificate_info"]
        (deployed,) = found["certificate_deployments"]
        unnamed = found["certificate_deployment_with_sni_disabled"]
        self.assertEqual(_subjects(unnamed), _subjects(deployed))
        return dict(deployed)

    def test_versions_and_ciphers(self) -> None:
        """A conversation could be read or altered, now, or later by whoever steals the key."""
        for port, findings in self.findings.items():
            self.assertEqual(
                {version: _accepted(findings, version) for version in ACCEPTED}, ACCEPTED, port
            )

    def test_known_attacks(self) -> None:
        """An attack on TLS that everybody can read about would work."""
        for port, findings in self.findings.items():
            found = {(command, field): findings[command][field] for command, field in SOUND}
            self.assertEqual(found, SOUND, port)

    def test_curves(self) -> None:
        """Keys could be agreed on over a curve that is too small or not trusted."""
        for port, findings in self.findings.items():
            found = findings["elliptic_curves"]["supported_curves"]
            self.assertEqual(sorted(curve["name"] for curve in found), CURVES, port)

    def test_tickets(self) -> None:
        """Each reconnect over TLS 1.2 would cost the server a whole handshake."""
        for port, findings in self.findings.items():
            found = findings["session_resumption"]
            self.assertEqual(found["tls_ticket_resumption_result"], "FULLY_SUPPORTED", port)

    def test_keys(self) -> None:
        """The server's key could be guessed, or its certificate forged."""
        for port in self.findings:
            received = self.certificate(port)["received_certificate_chain"]
            for certificate in received:
                self.assertEqual(certificate["public_key"]["ec_curve_name"], "secp256r1", port)
                self.assertEqual(certificate["signature_hash_algorithm"]["name"], "sha256", port)

    def test_whole_chain(self) -> None:
        """Clients that know only the root could not connect, or would put the chain in order themselves."""
        for port in (OWN, METRICS):
            self.assertEqual(_subjects(self.certificate(port)), ["CN=localhost"])
        for port in (CHAIN, HOSTS):
            chain = self.certificate(port)
            self.assertEqual(_subjects(chain), ["CN=leaf", "CN=between", "CN=root"])
            self.assertTrue(chain["received_chain_has_valid_order"])

    def test_trusted(self) -> None:
        """A client as strict as sslyze would refuse the certificate, though it knows whom to trust."""
        for port in self.findings:
            results = self.certificate(port)["path_validation_results"]
            (ours,) = (
                each for each in results if each["trust_store"]["name"] == "Supplied CA file"
            )
            self.assertTrue(ours["was_validation_successful"], f"{port}: {ours}")

    def test_log(self) -> None:
        """Whoever scans the port would fill the log."""
        self.assertEqual(self.server.tracebacks(), [])
        self.assertLess(self.server.log().count("\n"), 50)


def _accepted(findings: Findings, version: str) -> list[str]:
    accepted = findings[f"{version}_cipher_suites"]["accepted_cipher_suites"]
    return sorted(suite["cipher_suite"]["name"] for suite in accepted)


def _subjects(deployed: dict[str, Any]) -> list[str]:
    chain = deployed["received_certificate_chain"]
    return [certificate["subject"]["rfc4514_string"] for certificate in chain]
