"""The campaign's Redis, which keeps all that it has confirmed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import closing, suppress
from pathlib import Path

from benchmarks.campaign.process import Process, wait_until


class Redis(Process):
    """``socket``, in ``folder``, is where it listens, and nowhere else; its ``data`` are in there, too."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise SystemExit("redis-server is not installed (Debian: apt install redis-server)")
        self.socket = folder / "redis.sock"
        self.data = folder / "appendonlydir"
        always = [
            *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
        ]
        super().__init__([program, *always], folder, "redis")

    def start(self) -> None:
        super().start()
        wait_until(self._answers, "Redis", 20)

    def _answers(self) -> bool:
        """Whether it has read its data; the socket of the process before may still be there."""
        with suppress(OSError):
            return self.ask("PING") == "+PONG"
        return False

    def ask(self, command: str) -> str:
        """The first line of its answer to a command in one line."""
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(5)
            line.connect(str(self.socket))
            line.sendall(command.encode() + b"\r\n")
            return line.recv(4096).decode().partition("\r\n")[0]

    def keep_file(self) -> None:
        """Write to the newest append-only file from now on, and begin no newer one before it starts again."""
        self.ask("CONFIG SET auto-aof-rewrite-percentage 0")

    def mend_file(self) -> None:
        """Remove half a transaction from the end of its newest append-only file, while it does not run."""
        program = shutil.which("redis-check-aof") or shutil.which("valkey-check-aof")
        if program is None:
            raise SystemExit("redis-check-aof is not installed (Debian: apt install redis-tools)")
        mending = [program, "--fix", str(self.data / "appendonly.aof.manifest")]
        done = subprocess.run(mending, input="y\n", capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(mending)}: {done.stdout}{done.stderr}")

    def batches(self) -> int:
        """How many batches with messages it has taken."""
        return int(self.text("GET", "chat:life").rpartition(" ")[2] or 0)

    def text(self, *words: str) -> str:
        """Its answer to a command, which is one text; '' if there is none."""
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(10)
            line.connect(str(self.socket))
            sent = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            line.sendall(f"*{len(words)}\r\n{sent}".encode())
            answer = line.makefile("rb")
            kind, size = (head := answer.readline())[:1], head[1:].strip()
            if kind != b"$":
                raise RuntimeError(f"Redis answered {head!r} to {words[0]}")
            return answer.read(int(size)).decode() if int(size) > 0 else ""

    def run(self, script: str, key: str, *words: str) -> str:
        """What a script answers."""
        return self.text("EVAL", script, "1", key, *words)

    def left(self, uids: list[int]) -> int:
        """How many messages wait in these users' inboxes."""
        return sum(self.length(f"chat:{{{uid}}}:inbox") for uid in uids)

    def length(self, stream: str) -> int:
        """How many entries a stream has, 0 if there is none."""
        return int(self.ask(f"XLEN {stream}").lstrip(":"))
