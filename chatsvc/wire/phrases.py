"""The texts of the text dialect, in each language; the structured dialect's errors contain them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatsvc.wire.history_phrases import EN_HISTORY, ZH_HISTORY, HistoryPhrases
from chatsvc.wire.problems import Problem as P
from chatsvc.wire.room_phrases import EN_ROOMS, ZH_ROOMS, RoomPhrases

LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class Phrases:
    """
    The texts of one language, with fields for ``str.format``.

    Clients may compare them: docs/protocol.md promises the sentences of both languages to the letter.
    """

    please_log_in: str
    logged_in: str
    registered: str
    password_changed: str
    logged_out: str
    kicked: str
    farewell: str
    offline: str
    found: str
    found_nobody: str
    online: str
    away: str
    pong: str
    lang_set: str
    bye: str
    help: str
    many: str
    rooms: RoomPhrases
    history: HistoryPhrases
    problems: Mapping[P, str]


ZH = Phrases(
    please_log_in="请登陆!",
    logged_in="认证成功!",
    registered="注册成功! 您的UID: {uid}",
    password_changed="密码已修改!",
    logged_out="您已退出登录!",
    kicked="有用户登录您的账号,您已被挤下线!",
    farewell="再见!",
    offline="[离线消息]",
    found="{name}: {users}",
    found_nobody="没有找到用户 {name}!",
    online="在线",
    away="离线",
    pong="服务器在线!",
    lang_set="已切换为中文!",
    bye="服务器即将停止, 请在 {retry_after} 秒后重新连接!",
    help="""命令使用说明:
  auth UID 密码          登录
  msg UID 内容           给用户发送消息, 对方不在线时留言
  logout                 退出登录
  register 用户名 密码   注册新账号
  passwd 旧密码 新密码   修改密码
  find 用户名            查找用户的UID, 以及是否在线
  lang zh|en             选择语言
  help 或 ?              显示本说明
  quit                   断开连接""",
    many="很多",
    rooms=ZH_ROOMS,
    history=ZH_HISTORY,
    problems={
        P.NOT_LOGGED_IN: "请登陆!",
        P.ALREADY_LOGGED_IN: "您已登录!",
        P.BAD_CREDENTIALS: "认证失败!",
        P.WRONG_OLD_PASSWORD: "旧密码不正确!",
        P.BAD_PASSWORD: "密码不可用: 长度应为1到1024字节!",
        P.ODD_PASSWORD: "密码不可用: 不能含有控制字符或不可见字符!",
        P.BAD_NAME: "用户名不可用: 1到32个可见字符, 不能含有 [ ] |",
        P.NAME_TAKEN: "用户名已被使用, 请换一个!",
        P.REGISTRATION_CLOSED: "本服务器不开放注册, 请联系管理员!",
        P.UNKNOWN_USER: "系统不存在该userid!",
        P.INBOX_FULL: "消息未发送: 对方有 {waiting} 条未读消息, 收件箱已满!",
        P.SHARE_FULL: "消息未发送: 对方读到您的消息之前不能再收更多 (收件箱中有 {waiting} 条未读)!",
        P.TOO_LONG: "消息太长, 最多8192字节, 未发送!",
        P.GAP: "消息编号不连续, 应为 {expected}!",
        P.THROTTLED: "尝试太频繁, 请在 {retry_after} 秒后重试!",
        P.TOO_MANY_DEVICES: "您在线的设备已达上限, 请先退出其中一台!",
        P.UNKNOWN_ROOM: "没有这个聊天室!",
        P.NOT_A_MEMBER: "您不是该聊天室的成员, 请先使用 join #名称 加入!",
        P.FORBIDDEN: "您无权这样做!",
        P.ROOM_FULL: "该聊天室人数已满!",
        P.TOO_MANY_ROOMS: "您的聊天室已达上限, 请先离开其中一个!",
        P.BANNED: "您已被禁止加入该聊天室!",
        P.ROOM_NAME_TAKEN: "聊天室名称已被使用, 请换一个!",
        P.BAD_ROOM_NAME: "聊天室名称不可用: 1到32个可见字符, 不能含有空格和 # [ ] |",
        P.LONG_TOPIC: "主题太长, 最多512字节!",
        P.HISTORY_OFF: "本服务器不保存历史消息!",
        P.NOTHING_TO_SEARCH: "请输入要查找的词语!",
        P.STORE_UNAVAILABLE: "服务暂时不可用, 请稍后重试!",
        P.MAYBE_NOT_STORED: "存储暂时不可用, 消息可能未保存!",
        P.TOO_MANY_CONNECTIONS: "连接过多, 请稍后重试!",
        P.NOT_UTF8: "内容不是UTF-8编码, 请检查客户端的编码设置!",
        P.NOT_JSON: "不是一个有效的JSON对象!",
        P.BAD_FIELD: "请求缺少字段或字段的值无效!",
        P.UNKNOWN_COMMAND: "输入的命令不支持,请使用 help 或 ? 查看帮助!",
        P.UID_NOT_INTEGER: "userid为整数!",
        P.AUTH_USAGE: "提示:认证格式: [ auth userid pwd ]",
        P.SEND_USAGE: "提示:消息格式: [ msg userid content ]",
        P.REGISTER_USAGE: "提示:注册格式: [ register name pwd ]",
        P.PASSWD_USAGE: "提示:修改密码格式: [ passwd old new ]",
        P.FIND_USAGE: "提示:查找格式: [ find name ]",
        P.LANG_USAGE: "提示:语言格式: [ lang zh|en ]",
        P.CREATE_USAGE: "提示:创建聊天室格式: [ create #name ] [ create #name private ]",
        P.JOIN_USAGE: "提示:加入聊天室格式: [ join #name ]",
        P.LEAVE_USAGE: "提示:离开聊天室格式: [ leave #name ]",
        P.MEMBERS_USAGE: "提示:查看成员格式: [ members #name ]",
        P.INVITE_USAGE: "提示:邀请格式: [ invite #name userid ]",
        P.REMOVE_USAGE: "提示:移出格式: [ remove #name userid ]",
        P.TOPIC_USAGE: "提示:更改主题格式: [ topic #name text ]",
        P.ROOM_SEND_USAGE: "提示:聊天室消息格式: [ msg #name content ]",
        P.HISTORY_USAGE: "提示:历史消息格式: [ history userid 条数 ] [ history #name 条数 ]",
        P.SEARCH_USAGE: "提示:查找消息格式: [ search 词语 ]",
    },
)

EN = Phrases(
    please_log_in="Please log in!",
    logged_in="Logged in!",
    registered="Registered! Your UID: {uid}",
    password_changed="Password changed!",
    logged_out="You are logged out!",
    kicked="Your account logged in elsewhere, you are logged out here!",
    farewell="Goodbye!",
    offline="[offline message]",
    found="{name}: {users}",
    found_nobody="Nobody is called {name}!",
    online="online",
    away="away",
    pong="The server is there!",
    lang_set="English it is!",
    bye="The server is stopping, please connect again in {retry_after} s!",
    help="""Commands:
  auth UID PASSWORD      log in
  msg UID TEXT           send a message; it waits for a user who is away
  logout                 log out
  register NAME PASSWORD make an account
  passwd OLD NEW         change your password
  find NAME              the UIDs of that name, and whether they are online
  lang zh|en             choose a language
  help or ?              show this
  quit                   close the connection""",
    many="many",
    rooms=EN_ROOMS,
    history=EN_HISTORY,
    problems={
        P.NOT_LOGGED_IN: "Please log in!",
        P.ALREADY_LOGGED_IN: "You are logged in already!",
        P.BAD_CREDENTIALS: "Log-in failed!",
        P.WRONG_OLD_PASSWORD: "The old password is wrong!",
        P.BAD_PASSWORD: "This password cannot be used: it has 1 to 1024 bytes!",
        P.ODD_PASSWORD: "This password cannot be used: it has a control character or an invisible one!",
        P.BAD_NAME: "This name cannot be used: 1 to 32 visible characters, none of [ ] |",
        P.NAME_TAKEN: "This name is taken, please choose another!",
        P.REGISTRATION_CLOSED: "This server takes no registrations, please ask its admin!",
        P.UNKNOWN_USER: "There is no such userid!",
        P.INBOX_FULL: "Not sent: the inbox is full, {waiting} messages wait in it!",
        P.SHARE_FULL: "Not sent: too many of your messages wait to be read ({waiting} in the inbox)!",
        P.TOO_LONG: "Not sent: the message is too long, 8192 bytes at most!",
        P.GAP: "The numbers of the messages have a gap, {expected} is expected!",
        P.THROTTLED: "Too many tries, please try again in {retry_after} s!",
        P.TOO_MANY_DEVICES: "Too many of your devices are online, please log out on one of them!",
        P.UNKNOWN_ROOM: "There is no such room!",
        P.NOT_A_MEMBER: "You are no member of this room, please use join #NAME first!",
        P.FORBIDDEN: "You may not do that!",
        P.ROOM_FULL: "The room is full!",
        P.TOO_MANY_ROOMS: "You have too many rooms, please leave one of them!",
        P.BANNED: "You may not join this room any more!",
        P.ROOM_NAME_TAKEN: "This room's name is taken, please choose another!",
        P.BAD_ROOM_NAME: "This room's name cannot be used: 1 to 32 visible characters, no space, none of # [ ] |",
        P.LONG_TOPIC: "The topic is too long, 512 bytes at most!",
        P.HISTORY_OFF: "This server keeps no history!",
        P.NOTHING_TO_SEARCH: "There is no word to look for!",
        P.STORE_UNAVAILABLE: "Temporarily unavailable, please try again later!",
        P.MAYBE_NOT_STORED: "The store is unavailable, the message may not have been stored!",
        P.TOO_MANY_CONNECTIONS: "Too many connections, please try again later!",
        P.NOT_UTF8: "This is not UTF-8, please check your client's encoding!",
        P.NOT_JSON: "This is no valid JSON object!",
        P.BAD_FIELD: "A field is missing or has a wrong value!",
        P.UNKNOWN_COMMAND: "Unknown command, please see help or ?!",
        P.UID_NOT_INTEGER: "A userid is a whole number!",
        P.AUTH_USAGE: "Usage: [ auth userid pwd ]",
        P.SEND_USAGE: "Usage: [ msg userid content ]",
        P.REGISTER_USAGE: "Usage: [ register name pwd ]",
        P.PASSWD_USAGE: "Usage: [ passwd old new ]",
        P.FIND_USAGE: "Usage: [ find name ]",
        P.LANG_USAGE: "Usage: [ lang zh|en ]",
        P.CREATE_USAGE: "Usage: [ create #name ] [ create #name private ]",
        P.JOIN_USAGE: "Usage: [ join #name ]",
        P.LEAVE_USAGE: "Usage: [ leave #name ]",
        P.MEMBERS_USAGE: "Usage: [ members #name ]",
        P.INVITE_USAGE: "Usage: [ invite #name userid ]",
        P.REMOVE_USAGE: "Usage: [ remove #name userid ]",
        P.TOPIC_USAGE: "Usage: [ topic #name text ]",
        P.ROOM_SEND_USAGE: "Usage: [ msg #name content ]",
        P.HISTORY_USAGE: "Usage: [ history userid N ] [ history #name N ]",
        P.SEARCH_USAGE: "Usage: [ search words ]",
    },
)

PHRASES = {"zh": ZH, "en": EN}
