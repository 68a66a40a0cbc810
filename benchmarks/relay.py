"""
The bare relay: what a chat over TLS on Twisted costs when it keeps no promise at all.

Frames of 2 bytes length and UTF-8; who has said ``auth UID x`` is in a dict, and ``msg UID TEXT`` goes to its reader
and, as the confirmation, to its sender, in the words of the server's text dialect, so that frames are as many and as
long. There is no store, no password, no limit. With ``--everybody`` there is one room, whatever its name: ``msg #NAME
TEXT`` goes to all who are in the dict.

    python benchmarks/relay.py --port 10009 --keys keys
    python benchmarks/relay.py --port 10009 --keys keys --everybody
"""

from __future__ import annotations

import argparse
import time
from functools import lru_cache
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int16StringReceiver

PLEASE_LOG_IN = "请登陆!".encode()
LOGGED_IN = "认证成功!".encode()
OFFLINE = "[离线消息]\n".encode()

online: dict[bytes, Relayed] = {}
"""Who is here, by uid in ASCII."""


class Relayed(Int16StringReceiver):
    """One connection."""

    uid = b""
    transport: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.sendString(PLEASE_LOG_IN)

    def stringReceived(self, string: bytes) -> None:
        word, first, rest = string.split(b" ", 2)
        if word == b"msg":
            self._relay(first, rest)
        else:
            self.uid = first
            online[first] = self
            self.sendString(LOGGED_IN)

    def connectionLost(self, reason: Any = None) -> None:
        if online.get(self.uid) is self:
            del online[self.uid]

    def _relay(self, to: bytes, text: bytes) -> None:
        shown = b"%b\n[ user %b|UID:%b ]:%b" % (_stamp(int(time.time())), self.uid, self.uid, text)
        reader = online.get(to)
        if reader is not None:
            reader.sendString(shown)
        self.sendString(shown if reader is not None else OFFLINE + shown)


class RelayedToEverybody(Relayed):
    """One connection of a room in which everybody is."""

    def _relay(self, to: bytes, text: bytes) -> None:
        words = (_stamp(int(time.time())), to, self.uid, self.uid, text)
        shown = b"%b\n[ %b|user %b|UID:%b ]:%b" % words
        for reader in online.values():
            if reader is not self:
                reader.sendString(shown)
        self.sendString(shown)


@lru_cache(maxsize=2)
def _stamp(second: int) -> bytes:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)).encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", required=True, help="folder of server.key and server.crt")
    parser.add_argument("--everybody", action="store_true", help="all are in one room")
    options = parser.parse_args()
    protocol = RelayedToEverybody if options.everybody else Relayed
    files = f"privateKey={options.keys}/server.key:certKey={options.keys}/server.crt"
    place = f"ssl:{options.port}:{files}:interface=127.0.0.1:backlog=4096"
    endpoint: Any = serverFromString(reactor, place)
    endpoint.listen(Factory.forProtocol(protocol))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
