"""The table of handlers."""

from __future__ import annotations

from chatsvc.handlers import (
    account,
    changes,
    connection,
    devices,
    history,
    login,
    messages,
    room_messages,
    rooms,
)
from chatsvc.session import Route, Session
from chatsvc.wire import commands as c


async def _nothing(session: Session, command: c.Command) -> None:
    """Take the place of a handler for what is malformed beyond recognition: it is refused before."""


ROUTES: dict[type[c.Command], Route] = {
    c.Hello: Route(connection.hello),
    c.Auth: Route(login.auth),
    c.Send: Route(messages.send, needs_login=True),
    c.Register: Route(account.register),
    c.Passwd: Route(account.passwd, needs_login=True),
    c.Renew: Route(login.renew, needs_login=True),
    c.Find: Route(account.find, needs_login=True),
    c.Devices: Route(devices.list_devices, needs_login=True),
    c.Forget: Route(devices.forget, needs_login=True),
    c.SendToRoom: Route(room_messages.send, True, room_messages.send_at_once),
    c.CreateRoom: Route(rooms.create, needs_login=True),
    c.JoinRoom: Route(rooms.join, needs_login=True),
    c.LeaveRoom: Route(rooms.leave, needs_login=True),
    c.Invite: Route(rooms.invite, needs_login=True),
    c.RemoveMember: Route(rooms.remove, needs_login=True),
    c.Unban: Route(rooms.unban, needs_login=True),
    c.SetRole: Route(rooms.set_role, needs_login=True),
    c.ChangeRoom: Route(rooms.change, needs_login=True),
    c.CloseRoom: Route(rooms.close, needs_login=True),
    c.ListRooms: Route(rooms.list_rooms, needs_login=True),
    c.ListMembers: Route(rooms.list_members, needs_login=True),
    c.HelpOnRooms: Route(rooms.show_help),
    c.HelpOnHistory: Route(history.show_help),
    c.ReadHistory: Route(history.read, True, history.beside),
    c.Search: Route(history.search, True, history.beside),
    c.ListConversations: Route(history.list_conversations, True, history.beside),
    c.MarkRead: Route(history.mark_read, True, history.beside),
    c.ChangeSettings: Route(history.change_settings, True, history.beside),
    c.Edit: Route(changes.edit, True, history.beside),
    c.Retract: Route(changes.retract, True, history.beside),
    c.Logout: Route(login.logout, needs_login=True),
    c.Ping: Route(connection.ping),
    c.Help: Route(connection.show_help),
    c.SetLang: Route(connection.set_lang),
    c.Quit: Route(connection.leave),
    c.Malformed: Route(_nothing),
}
"""How each kind of command is carried out. (An acknowledgement never waits: the session takes it at once.)"""
