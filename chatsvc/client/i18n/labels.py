"""The texts that stand on the screen beside the conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Labels:
    """The texts of one language."""

    connected: str
    connecting: str
    away_since: str
    nobody: str
    unread: str
    unconfirmed: str
    unread_from: str
    stored: str
    queued: str
    waiting: str
    more_waiting: str
    refused: str
    talking_to: str
    talking_to_nobody: str
    nobody_wrote: str
    wrote_meanwhile: str
    several: str
    password: str
    old_password: str
    new_password: str
    again: str
    not_the_same: str
    pasted: tuple[str, str]
    """Without and with the choice of one message."""
    doubtful: str
    withheld: str
    dropped: str
    too_long: str
    patience: str
    interrupted: str
    help: str


ZH = Labels(
    connected="已连接",
    connecting="正在连接",
    away_since="自 {since} 起未连接",
    nobody="未登录",
    unread="未读 {count}",
    unconfirmed="待确认 {count}",
    unread_from="以下未读",
    stored="✓ 已送存, 对方在线",
    queued="✉ 共 {waiting} 条等待对方",
    waiting="⋯ 等待确认 → {whom}: {text}",
    more_waiting="⋯ 另有 {count} 条等待确认",
    refused="✗ 未发送 → {whom}: {text}",
    talking_to="现在与 {whom} 对话, 直接输入内容即可发送; /to 结束对话",
    talking_to_nobody="已结束对话",
    nobody_wrote="还没有人给您发消息!",
    wrote_meanwhile="您输入时 {whom} 发来了消息, 回复没有发送! 请确认后再次发送",
    several="有多个用户叫 {name}, 请用UID: {uids}",
    password="密码: ",
    old_password="旧密码: ",
    new_password="新密码: ",
    again="再输一次: ",
    not_the_same="两次输入的密码不同, 未执行!",
    pasted=(
        "粘贴了 {count} 行: [s] 逐行执行  [n] 放弃 ",
        "粘贴了 {count} 行: [s] 逐行发送  [o] 合为一条消息  [n] 放弃 ",
    ),
    doubtful="这一行像是命令, 但不是: [s] 仍发给 {whom}  [n] 修改 ",
    withheld="这一行可能含有密码, 没有发送! 确要发送请用 msg UID 内容",
    dropped="其余 {count} 行可能含有密码, 已放弃!",
    too_long="粘贴的内容太长 ({count} 个字符), 未采用!",
    patience="⋯ 等待服务器回答, Ctrl-C 放弃 ",
    interrupted="已中断",
    help="""终端命令 (前面可加 / ):
  to UID或用户名         直接输入的内容发给此人; 单独的 to 结束
  reply [内容]           回复最近给您发消息的人
  login UID或用户名      登录, 密码不显示
  devices                您的设备: 编号, 程序, 首次登录, 最近使用
  forget 编号            移除一台设备, 它保存的登录随之失效
  //内容                 发送以 / 开头的内容
  Tab 补全, 上下键和 Ctrl-R 查找历史, Ctrl-C 清空本行, 空行时退出""",
)

EN = Labels(
    connected="connected",
    connecting="connecting",
    away_since="not connected since {since}",
    nobody="not logged in",
    unread="{count} unread",
    unconfirmed="{count} unconfirmed",
    unread_from="unread",
    stored="✓ stored, reader online",
    queued="✉ {waiting} waiting for the reader",
    waiting="⋯ not confirmed yet → {whom}: {text}",
    more_waiting="⋯ and {count} more not confirmed yet",
    refused="✗ not sent → {whom}: {text}",
    talking_to="You talk to {whom} now: just type. /to ends it",
    talking_to_nobody="You talk to nobody now",
    nobody_wrote="Nobody has written to you yet!",
    wrote_meanwhile="{whom} wrote while you typed, your reply was not sent! Send it again if it is for them",
    several="Several users are called {name}, use a UID: {uids}",
    password="Password: ",
    old_password="Old password: ",
    new_password="New password: ",
    again="Again: ",
    not_the_same="The two are not the same, nothing was done!",
    pasted=(
        "{count} lines were pasted: [s] carry out line by line  [n] drop ",
        "{count} lines were pasted: [s] send line by line  [o] send as one message  [n] drop ",
    ),
    doubtful="This looks like a command and is none: [s] send it to {whom}  [n] edit it ",
    withheld="There may be a password in this line, it was not sent! To send it, use msg UID TEXT",
    dropped="There may be a password in the other {count} lines, they were dropped!",
    too_long="What was pasted is too long ({count} characters), it was dropped!",
    patience="⋯ waiting for the server, Ctrl-C gives up ",
    interrupted="interrupted",
    help="""At a terminal (with or without / before them):
  to UID or NAME         what you type goes to this person; to alone ends it
  reply [TEXT]           answer whoever wrote last
  login UID or NAME      log in, the password is not shown
  devices                your devices: number, program, first seen, last used
  forget NUMBER          forget a device, and the log-in that it remembers
  //TEXT                 send a text that begins with /
  Tab completes, arrows and Ctrl-R find earlier lines,
  Ctrl-C clears the line, on an empty one it ends the client""",
)

LABELS = {"zh": ZH, "en": EN}
