"""Problems: why a command was refused, and the codes that programs get."""

from __future__ import annotations

from enum import Enum


class Problem(Enum):
    """
    Why a command was refused; finer than the structured dialect's codes, for people are told more than programs.

    The values are the labels of the metric ``chatsvc_refusals_total``.
    """

    NOT_LOGGED_IN = "not-logged-in"
    ALREADY_LOGGED_IN = "already-logged-in"
    BAD_CREDENTIALS = "bad-credentials"
    WRONG_OLD_PASSWORD = "wrong-old-password"
    BAD_PASSWORD = "bad-password"
    ODD_PASSWORD = "odd-password"
    BAD_NAME = "bad-name"
    NAME_TAKEN = "name-taken"
    REGISTRATION_CLOSED = "registration-closed"
    UNKNOWN_USER = "unknown-user"
    INBOX_FULL = "inbox-full"
    SHARE_FULL = "share-full"
    TOO_LONG = "too-long"
    GAP = "gap"
    THROTTLED = "throttled"
    TOO_MANY_DEVICES = "too-many-devices"
    UNKNOWN_ROOM = "unknown-room"
    NOT_A_MEMBER = "not-a-member"
    FORBIDDEN = "forbidden"
    ROOM_FULL = "room-full"
    TOO_MANY_ROOMS = "too-many-rooms"
    BANNED = "banned"
    ROOM_NAME_TAKEN = "room-name-taken"
    BAD_ROOM_NAME = "bad-room-name"
    LONG_TOPIC = "long-topic"
    HISTORY_OFF = "history-off"
    NOTHING_TO_SEARCH = "nothing-to-search"
    STORE_UNAVAILABLE = "store-unavailable"
    MAYBE_NOT_STORED = "maybe-not-stored"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    BAD_FIELD = "bad-field"
    UNKNOWN_COMMAND = "unknown-command"
    UID_NOT_INTEGER = "uid-not-integer"
    AUTH_USAGE = "auth-usage"
    SEND_USAGE = "send-usage"
    REGISTER_USAGE = "register-usage"
    PASSWD_USAGE = "passwd-usage"
    FIND_USAGE = "find-usage"
    LANG_USAGE = "lang-usage"
    CREATE_USAGE = "create-usage"
    JOIN_USAGE = "join-usage"
    LEAVE_USAGE = "leave-usage"
    MEMBERS_USAGE = "members-usage"
    INVITE_USAGE = "invite-usage"
    REMOVE_USAGE = "remove-usage"
    TOPIC_USAGE = "topic-usage"
    ROOM_SEND_USAGE = "room-send-usage"
    HISTORY_USAGE = "history-usage"
    SEARCH_USAGE = "search-usage"


_CODES = {
    Problem.NOT_LOGGED_IN: "not-logged-in",
    Problem.BAD_CREDENTIALS: "bad-credentials",
    Problem.WRONG_OLD_PASSWORD: "bad-credentials",
    Problem.REGISTRATION_CLOSED: "registration-closed",
    Problem.UNKNOWN_USER: "unknown-user",
    Problem.INBOX_FULL: "inbox-full",
    Problem.SHARE_FULL: "inbox-full",
    Problem.TOO_LONG: "too-long",
    Problem.GAP: "gap",
    Problem.THROTTLED: "throttled",
    Problem.TOO_MANY_DEVICES: "too-many-devices",
    Problem.UNKNOWN_ROOM: "unknown-room",
    Problem.NOT_A_MEMBER: "not-a-member",
    Problem.FORBIDDEN: "forbidden",
    Problem.ROOM_FULL: "room-full",
    Problem.TOO_MANY_ROOMS: "too-many-rooms",
    Problem.BANNED: "banned",
    Problem.ROOM_NAME_TAKEN: "name-taken",
    Problem.HISTORY_OFF: "forbidden",
    Problem.STORE_UNAVAILABLE: "store-unavailable",
    Problem.MAYBE_NOT_STORED: "store-unavailable",
    Problem.TOO_MANY_CONNECTIONS: "too-many-connections",
    Problem.NOT_UTF8: "not-utf8",
}


def code_of(problem: Problem) -> str:
    """Return the structured dialect's code for a problem."""
    return _CODES.get(problem, "bad-request")
