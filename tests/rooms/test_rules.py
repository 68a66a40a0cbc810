"""Who may do what in a room: every cell of the table."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.rooms.room import MEMBER, MODERATOR, OWNER, PRIVATE, PUBLIC, ROLES
from chatsvc.rooms.rules import Action, inviting, may, may_act_on

A = Action

EXPECTED = {
    MEMBER: {A.SEND, A.LEAVE, A.SEE_MEMBERS, A.READ_HISTORY, A.INVITE_INTO_PUBLIC},
    MODERATOR: {
        *(A.SEND, A.LEAVE, A.SEE_MEMBERS, A.READ_HISTORY, A.INVITE_INTO_PUBLIC),
        *(A.INVITE_INTO_PRIVATE, A.REMOVE, A.BAN, A.UNBAN, A.TOPIC, A.RETRACT),
    },
    OWNER: {
        *(A.SEND, A.LEAVE, A.SEE_MEMBERS, A.READ_HISTORY, A.INVITE_INTO_PUBLIC),
        *(A.INVITE_INTO_PRIVATE, A.REMOVE, A.BAN, A.UNBAN, A.TOPIC, A.RETRACT),
        *(A.RENAME, A.KIND, A.HISTORY, A.ROLE, A.CLOSE),
    },
}

ACTS_ON = {
    (OWNER, OWNER),
    (OWNER, MODERATOR),
    (OWNER, MEMBER),
    (OWNER, None),
    (MODERATOR, MEMBER),
    (MODERATOR, None),
    (MEMBER, None),
}


class RulesTests(SynchronousTestCase):
    def test_every_action(self) -> None:
        """A member could do what only moderators or owners may, or they could not."""
        for role, action in product(ROLES, Action):
            self.assertEqual(may(role, action), action in EXPECTED[role], (role, action))

    def test_on_whom(self) -> None:
        """A moderator could act on another one or on an owner, or an owner not on everybody."""
        for role, other in product(ROLES, (*ROLES, None)):
            self.assertEqual(may_act_on(role, other), (role, other) in ACTS_ON, (role, other))

    def test_inviting(self) -> None:
        """Members could let anybody into a private room, or nobody into a public one."""
        self.assertEqual(inviting(PUBLIC), A.INVITE_INTO_PUBLIC)
        self.assertEqual(inviting(PRIVATE), A.INVITE_INTO_PRIVATE)
