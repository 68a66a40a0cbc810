"""``chatsvc send`` and ``chatsvc listen`` as scripts run them: processes against a real server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from chatsvc.client.state.outbox import Outbox
from tests.client.programs import PASSWORD, PATIENCE, Outcome, ProgramCase
from tests.support.forked import ForkedProgram
from tests.support.processes import new_address, timeless

CHATSVC = str(Path(sys.executable).with_name("chatsvc"))


class ScriptCase(ProgramCase):
    """Two accounts: ``uid`` does errands, with its password in a file, ``other`` is whom they are about."""

    def setUp(self) -> None:
        super().setUp()
        self.password = self.folder / "password"
        self.password.write_text(f"{PASSWORD}\n")
        self.password.chmod(0o600)

    def register(self) -> int:
        """A new account, from an address that has made none: there is a limit."""
        client = self.server.structured(source=new_address())
        self.addCleanup(client.close)
        name = f"n{os.urandom(6).hex()}"
        answer = client.ask(type="register", n=1, name=name, password=PASSWORD)
        return int(answer["uid"])

    def environment(self, **more: str) -> dict[str, str]:
        here = {
            "CHATSVC_CONNECT": f"localhost:{self.server.port}",
            "CHATSVC_CA": self.server.ca,
            "CHATSVC_STATE": str(self.folder / "state"),
            "CHATSVC_UID": str(self.uid),
            "CHATSVC_PASSWORD_FILE": str(self.password),
            "LANG": "en_US.UTF-8",
        }
        return super().environment(**{**here, **more})

    def begin(self, *words: str, **env: str) -> ForkedProgram:
        """Start a command."""
        return self.program([CHATSVC, *words], **env)

    def run_to_end(self, *words: str, stdin: str = "", **env: str) -> Outcome:
        """Run a command to its end."""
        return self.ended(self.begin(*words, **env), stdin)

    def ended(self, process: ForkedProgram, stdin: str | None = None) -> Outcome:
        """How a command ends."""
        output, errors = process.communicate(stdin, PATIENCE)
        return Outcome(process.returncode, timeless(output), errors)

    def send(self, *words: str, stdin: str = "", **env: str) -> Outcome:
        """Send something to ``other``."""
        return self.run_to_end("send", "--to", str(self.other), *words, stdin=stdin, **env)

    def done(self, outcome: Outcome) -> str:
        """It went well; what it printed."""
        self.assertEqual((outcome.status, outcome.errors), (0, ""), outcome)
        return outcome.output

    def failed(self, outcome: Outcome, *words: str, status: int = 1) -> None:
        """It failed, and said why in one line that has these words."""
        self.assertEqual((outcome.status, outcome.output), (status, ""), outcome)
        self.assertEqual(outcome.errors.count("\n"), 1, outcome.errors)
        for word in words:
            self.assertIn(word, outcome.errors)

    def write(self, to: int, *texts: str, uid: int = 0) -> None:
        """Let somebody write messages."""
        client = self.server.structured(device=os.urandom(8).hex())
        self.addCleanup(client.close)
        client.log_in(uid or self.uid, PASSWORD, receive=False)
        for n, text in enumerate(texts, 1):
            answer = client.ask(type="msg", n=n, to=to, text=text)
            self.assertEqual(answer["type"], "sent", answer)

    def unconfirmed(self) -> int:
        """How many messages are on record and not confirmed, in all that was ever used."""
        total = 0
        for path in (self.folder / "state").glob("*/*.db"):
            outbox = Outbox(
                path.parent.parent, path.parent.name.replace("%3A", ":"), int(path.stem)
            )
            total += outbox._one("SELECT count(*) FROM unconfirmed")[0]
            outbox.close()
        return total

    def rename_state(self, port: int) -> None:
        """What was kept for a relay is for the server."""
        (state,) = (self.folder / "state").glob("local*")
        state.rename(state.with_name(state.name.replace(str(port), str(self.server.port))))


def until(stream: object, words: str) -> str:
    """Read lines until one has these words; that line."""
    for line in stream:  # type: ignore[attr-defined]
        if words in line:
            return str(line)
    raise AssertionError(f"{words!r} did not come")
