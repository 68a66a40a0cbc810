"""TLS servers that are not what they seem, and the certificates that they show."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PATIENCE = 30
GREETING = "请登陆!".encode()
LURE = "tell me your password"
"""What nobody may be shown who does not trust the stranger."""

_DAY = datetime.timedelta(days=1)
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Papers:
    """A certificate and its key, in one PEM file."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """As the server logs it."""
        return f"SHA256:{self.certificate.fingerprint(hashes.SHA256()).hex(':').upper()}"


def papers(
    folder: Path,
    name: str,
    hosts: Sequence[str] = ("localhost",),
    *,
    issuer: Papers | None = None,
    authority: bool = False,
    starts: float = -1,
    ends: float = 1,
    for_clients: bool = False,
) -> Papers:
    """Make a certificate for ``hosts``; it begins and ends in so many days. Without an issuer it is self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts * _DAY)
        .not_valid_after(now + ends * _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    if not authority:
        usage = x509.ExtendedKeyUsage([_CLIENT if for_clients else _SERVER])
        builder = builder.add_extension(usage, critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    made = Papers(folder / f"{name}.pem", certificate, key)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    made.path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return made


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Listener:
    """Takes connections on a port of 127.0.0.1, a free one if it is 0, and does ``serve`` with one after the other."""

    def __init__(self, serve: Callable[[socket.socket], object], port: int = 0) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.connections = self.left = 0
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                with connection, suppress(OSError):
                    connection.settimeout(PATIENCE)
                    self._serve(connection)
                self.left += 1


class Stranger:
    """
    A TLS server that shows ``papers`` and speaks first: a greeting, and a lure. It welcomes whoever says hello.
    ``heard`` is what clients have said to it.
    """

    def __init__(self, papers: Papers, port: int = 0) -> None:
        self.papers = papers
        self.welcomes = True
        self.heard: list[dict[str, object]] = []
        self._current: socket.socket | None = None
        self._listener = Listener(self._serve, port)
        self.port = self._listener.port
        self.close = self._listener.close

    @property
    def connections(self) -> int:
        """How many there have been."""
        return self._listener.connections

    @property
    def left(self) -> int:
        """How many have ended."""
        return self._listener.left

    def hang_up(self) -> None:
        """Close the connection that there is."""
        assert self._current is not None
        socket.socket.shutdown(self._current, socket.SHUT_RD)  # wakes the thread, which closes

    def _serve(self, connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.papers.path)
        with context.wrap_socket(connection, server_side=True) as secured:
            self._current = secured
            _say(secured, GREETING)
            _say(secured, json.dumps({"type": "error", "code": "x", "text": LURE}).encode())
            self._answer(secured)
            secured.unwrap()

    def _answer(self, connection: ssl.SSLSocket) -> None:
        with suppress(OSError), connection.makefile("rb") as stream:
            while prefix := stream.read(2):
                frame = json.loads(stream.read(*struct.unpack("!H", prefix)))
                self.heard.append(frame)
                if frame["type"] == "hello" and self.welcomes:
                    _say(connection, _welcome(frame["n"]))


def _welcome(n: int) -> bytes:
    welcome = {"type": "welcome", "version": 1, "server": "x/1", "max_text": 8192}
    return json.dumps({**welcome, "registration": "open", "re": n}).encode()


def _say(connection: socket.socket, frame: bytes) -> None:
    connection.sendall(struct.pack("!H", len(frame)) + frame)
