"""The texts of the commands for scripts; they also use the client's and the server's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScriptMessages:
    """The texts of one language; ``line`` and ``lines`` stand before the others."""

    line: str
    lines: str
    sent: str
    not_sent: str
    in_doubt: str
    not_seen: str
    in_time: str
    lost_track: str
    no_answer: str
    too_few: str
    unwritable: str
    interrupted: str
    closed: str
    nothing: str


ZH = ScriptMessages(
    line="第 {first} 行: ",
    lines="第 {first} 至 {last} 行: ",
    sent="消息已送达服务器, 不要再次发送: {reason}",
    not_sent="未发送: {reason}",
    in_doubt="不知道服务器是否已收到: {reason}; 再次执行同一命令即可完成, 不会重复发送",
    not_seen="已发送, 但没有看到 {to} 在线: {reason}",
    in_time="等待了 {seconds:g} 秒",
    lost_track="服务器已不再记得这条消息的编号",
    no_answer="{seconds:g} 秒内没有答复",
    too_few="还缺 {count} 条消息",
    unwritable="无法写入标准输出: {reason}",
    interrupted="已中断",
    closed="{stream} 已关闭",
    nothing="没有可发送的内容",
)

EN = ScriptMessages(
    line="line {first}: ",
    lines="lines {first} to {last}: ",
    sent="the server has it, do not send it again: {reason}",
    not_sent="not sent: {reason}",
    in_doubt="it is not known whether the server has it: {reason}; the same command again finishes this,"
    " and sends nothing twice",
    not_seen="sent, but {to} was not seen online: {reason}",
    in_time="waited for {seconds:g} s",
    lost_track="the server no longer knows the number of this message",
    no_answer="no answer within {seconds:g} s",
    too_few="{count} more messages were wanted",
    unwritable="standard output: {reason}",
    interrupted="interrupted",
    closed="{stream} is closed",
    nothing="there is nothing to send",
)

SCRIPT_MESSAGES = {"zh": ZH, "en": EN}
