"""What the text dialect says of rooms, in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RoomPhrases:
    """
    The texts of one language about rooms, with fields for ``str.format``; contract, as those of ``Phrases`` are.

    ``done`` are the answers to commands, ``events`` what stands behind the ``*`` of an event. ``fields`` are what has
    changed, ``values`` the words for kinds, history rules and roles.
    """

    done: Mapping[str, str]
    events: Mapping[str, str]
    fields: Mapping[str, str]
    no_topic: str
    values: Mapping[str, str]
    admin: str
    no_rooms: str
    listed: str
    listed_joined: str
    listed_one: str
    listed_one_joined: str
    members_of: str
    member: str
    more: str
    missed: str
    one_missed: str
    help: str


ZH_ROOMS = RoomPhrases(
    done={
        "created": "聊天室 #{room} 已创建!",
        "joined": "您已加入 #{room}!",
        "left": "您已离开 #{room}!",
        "invited": "加入 #{room} 的邀请已发出!",
        "member": "已是 #{room} 的成员!",
        "removed": "该用户已不在 #{room}!",
        "unbanned": "该用户可以再次加入 #{room}!",
        "role": "#{room} 的成员角色已更改!",
        "changed": "#{room} 已更改!",
        "closed": "#{room} 已关闭!",
    },
    events={
        "created": "{who} 创建了 #{room}",
        "joined": "{who} 加入了 #{room}",
        "left": "{who} 离开了 #{room}",
        "removed": "{who} 被 {by} 移出了 #{room}",
        "banned": "{who} 被 {by} 移出了 #{room}, 不能再加入",
        "role": "{who} 被 {by} 设为 #{room} 的{role}",
        "changed": "{who} 更改了 #{room}: {changes}",
        "closed": "{who} 关闭了 #{room}",
        "edited": "{who} 在 #{room} 改为: {text}",
        "retracted": "{who} 在 #{room} 撤回了一条消息",
    },
    fields={
        "name": "名称为 #{value}",
        "kind": "类型为{value}",
        "history": "历史为{value}",
        "topic": "主题为 {value}",
    },
    no_topic="没有主题",
    values={
        "public": "公开",
        "private": "私密",
        "all": "成员可读全部",
        "joined": "成员可读加入之后的",
        "owner": "房主",
        "moderator": "管理员",
        "member": "普通成员",
    },
    admin="服务器管理员",
    no_rooms="没有聊天室, 请使用 help rooms 查看帮助!",
    listed="#{room} ({members}人) {topic}",
    listed_joined="#{room} ({members}人, 已加入) {topic}",
    listed_one="#{room} (1人) {topic}",
    listed_one_joined="#{room} (1人, 已加入) {topic}",
    members_of="#{room} 的成员:",
    member="{who} {role} ({state})",
    more="还有更多, 未列出",
    missed="#{room}: 较早的 {count} 条未显示!",
    one_missed="#{room}: 较早的 1 条未显示!",
    help="""聊天室命令说明:
  rooms                  您的聊天室
  rooms 名称             查找聊天室
  rooms #                所有公开的聊天室
  create #名称           创建公开的聊天室, 任何人都可以加入
  create #名称 private   创建私密的聊天室, 受到邀请才能加入
  join #名称             加入聊天室
  leave #名称            离开聊天室
  members #名称          聊天室的成员, 以及是否在线
  invite #名称 UID       邀请用户加入
  remove #名称 UID       移出用户
  topic #名称 主题       更改主题
  msg #名称 内容         在聊天室里发送消息
  help rooms             显示本说明""",
)

EN_ROOMS = RoomPhrases(
    done={
        "created": "The room #{room} is made!",
        "joined": "You are in #{room}!",
        "left": "You have left #{room}!",
        "invited": "The invitation to #{room} is sent!",
        "member": "Already a member of #{room}!",
        "removed": "The user is not in #{room} any more!",
        "unbanned": "The user may join #{room} again!",
        "role": "The role in #{room} is changed!",
        "changed": "#{room} is changed!",
        "closed": "#{room} is closed!",
    },
    events={
        "created": "{who} made #{room}",
        "joined": "{who} joined #{room}",
        "left": "{who} left #{room}",
        "removed": "{who} was removed from #{room} by {by}",
        "banned": "{who} was removed from #{room} by {by} and may not come back",
        "role": "{who} was made {role} of #{room} by {by}",
        "changed": "{who} changed #{room}: {changes}",
        "closed": "{who} closed #{room}",
        "edited": "{who} edited a message in #{room}: {text}",
        "retracted": "{who} retracted a message in #{room}",
    },
    fields={
        "name": "its name is #{value}",
        "kind": "it is {value}",
        "history": "members read {value}",
        "topic": "its topic is {value}",
    },
    no_topic="no topic",
    values={
        "public": "public",
        "private": "private",
        "all": "all that was said",
        "joined": "what was said since they joined",
        "owner": "owner",
        "moderator": "moderator",
        "member": "member",
    },
    admin="the server's admin",
    no_rooms="No rooms, please see help rooms!",
    listed="#{room} ({members} members) {topic}",
    listed_joined="#{room} ({members} members, joined) {topic}",
    listed_one="#{room} (1 member) {topic}",
    listed_one_joined="#{room} (1 member, joined) {topic}",
    members_of="Members of #{room}:",
    member="{who} {role} ({state})",
    more="There are more",
    missed="#{room}: {count} earlier ones are not shown!",
    one_missed="#{room}: 1 earlier one is not shown!",
    help="""Commands for rooms:
  rooms                  your rooms
  rooms NAME             look for rooms
  rooms #                all public rooms
  create #NAME           make a public room, which anybody may join
  create #NAME private   make a private room, which takes an invitation
  join #NAME             join a room
  leave #NAME            leave a room
  members #NAME          who is in a room, and online
  invite #NAME UID       invite a user
  remove #NAME UID       remove a user
  topic #NAME TEXT       change the topic
  msg #NAME TEXT         send a message into a room
  help rooms             show this""",
)
