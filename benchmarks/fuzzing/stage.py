"""The server that is attacked, and the accounts on it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.fuzzing.attackers import Doors, Member
from benchmarks.fuzzing.conversations import Corpora
from benchmarks.fuzzing.frames import Targets
from tests.support.processes import ChatServer, Stores, new_address, phc
from tests.support.servers import free_port

TARGETS, MEMBERS = range(10_001, 10_009), range(7_000_001, 7_000_033)
"""
Attackers write to targets, and know their passwords. They log in as members, whose passwords they do not tell.
Members, and who gets a uid after them, are far from whatever a mutation makes of a target.
"""

_TOLD, _UNTOLD = "密码-1", "密码-2"

_NO_LIMITS = (
    "--rate",
    "0",
    "--request-rate",
    "0",
    "--max-per-ip",
    "1000",
    "--registration",
    "open",
)


class FourDoors(ChatServer):
    """A server with plain ports and ports over TLS, in both byte orders, that slows nobody down."""

    def __init__(self, stores: Stores) -> None:
        self._ports = {
            (legacy, tls): free_port() for legacy in (False, True) for tls in (False, True)
        }
        places = {
            (legacy, tls): f"{'ssl' if tls else 'tcp'}:{port}:interface=127.0.0.1"
            for (legacy, tls), port in self._ports.items()
        }
        legacy = [word for tls in (False, True) for word in ("--legacy-port", places[True, tls])]
        ports = places[False, False], places[False, True]
        super().__init__(*stores.options, *_NO_LIMITS, *legacy, ports=ports)
        self.port = self._ports[False, True]

    @property
    def doors(self) -> Doors:
        """Where it listens."""
        return Doors(self._ports, self.ca)


@dataclass(frozen=True)
class People:
    """Whom attackers log in as, and what they say of their targets."""

    members: tuple[Member, ...]
    corpora: Corpora


def settle(stores: Stores, server: ChatServer) -> People:
    """Make the accounts on a server that runs."""
    for uids, password in ((TARGETS, _TOLD), (MEMBERS, _UNTOLD)):
        for uid in uids:
            row = uid, f"user {uid}", phc(password)
            stores.sql("INSERT INTO user (id, username, password) VALUES (?, ?, ?)", row)
    targets = Targets(tuple(TARGETS), _TOLD, _token(server, TARGETS[0], _TOLD))
    members = [Member(uid, _UNTOLD, _token(server, uid, _UNTOLD)) for uid in MEMBERS]
    return People(tuple(members), Corpora.about(targets))


def restore(stores: Stores) -> None:
    """Give targets their password back, which attackers change."""
    stores.sql(
        "UPDATE user SET password = ? WHERE id BETWEEN ? AND ?",
        (phc(_TOLD), TARGETS[0], TARGETS[-1]),
    )


def _token(server: ChatServer, uid: int, password: str) -> str:
    client = server.structured(source=new_address())
    token: str = client.log_in(uid, password)["token"]
    client.close()
    return token
