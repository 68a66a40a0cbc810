"""``chatsvc listen`` that is logged in for longer than its token works."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from tests.client.programs import PASSWORD
from tests.client.script.script_case import ScriptCase
from tests.support.forked import ForkedProgram


class DeadTokens(ScriptCase):
    """All tokens that are out are worthless after a restart, as they are after ``--token-days``."""

    def listen(self, **env: str) -> ForkedProgram:
        """A listener that is logged in."""
        self.write(self.uid, "first", uid=self.other)
        process = self.begin("listen", "--json", **env)
        assert process.stdout
        self.assertEqual(json.loads(process.stdout.readline())["text"], "first")
        return process

    def lose_tokens(self) -> None:
        self.server.kill()
        secret = Path(self.server.ca).with_name("token.secret")
        secret.write_text(secrets.token_hex(32))
        self.server.start()

    def test_password_known(self) -> None:
        """A listener with a password file would end at its first reconnect after a week."""
        process = self.listen()
        assert process.stdout and process.stderr
        self.lose_tokens()
        self.assertIn("was lost", process.stderr.readline())
        self.assertIn("Connected again", process.stderr.readline())
        self.write(self.uid, "second", uid=self.other)
        self.assertEqual(json.loads(process.stdout.readline())["text"], "second")

    def test_nothing_known(self) -> None:
        """A listener would say that it is connected again before it is refused, or forget its log-in in silence."""
        client = self.server.structured()
        self.addCleanup(client.close)
        token = client.log_in(self.uid, PASSWORD, receive=False)["token"]
        saved = SavedLogin(self.folder / "state", keeps=True)
        saved.keep(SavedAccount(f"localhost:{self.server.port}", self.uid, token))
        process = self.listen(CHATSVC_PASSWORD_FILE="")
        self.lose_tokens()
        ended = self.ended(process)
        lost, forgotten = ended.errors.splitlines()
        self.assertIn("was lost", lost)
        self.assertIn(f"UID {self.uid} no longer works", forgotten)
        self.assertEqual((ended.status, saved.account()), (1, None))
