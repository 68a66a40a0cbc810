"""What the client itself says to its user; all else are the server's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """One language."""

    unreachable: str
    not_trusted: str
    lost: str
    back: str
    postponed: str
    undecided: str
    unconfirmed: str
    given_up: str
    state_unusable: str
    forgotten: str


ZH = Words(
    unreachable="无法连接 {server}: {reason}",
    not_trusted="无法信任 {server}: {reason} (可用 --ca 指定可信证书)",
    lost="与 {server} 的连接已断开 ({reason}), {delay:.1f} 秒后重新连接",
    back="已重新连接!",
    postponed="存储暂时不可用, 消息将自动重发: {text}",
    undecided="连接已断开, 不知道命令是否已执行!",
    unconfirmed="{count} 条消息尚未确认, 将在下次登录后自动重发",
    given_up="与 {server} 的连接在 {seconds:.0f} 秒内未能恢复: {reason}",
    state_unusable="无法使用状态文件: {reason}",
    forgotten="已保存的登录 (UID: {uid}) 不再有效, 请重新登录!",
)

EN = Words(
    unreachable="Cannot connect to {server}: {reason}",
    not_trusted="Cannot trust {server}: {reason} (--ca names a certificate to trust)",
    lost="The connection to {server} was lost ({reason}), connecting again in {delay:.1f} s",
    back="Connected again!",
    postponed="The store is unavailable, the message will be sent again by itself: {text}",
    undecided="The connection was lost, it is not known whether the command was carried out!",
    unconfirmed="Not confirmed yet: {count}; sent again after the next log-in",
    given_up="The connection to {server} did not come back within {seconds:.0f} s: {reason}",
    state_unusable="The state cannot be used: {reason}",
    forgotten="The remembered log-in of UID {uid} no longer works, please log in again!",
)

WORDS = {"zh": ZH, "en": EN}
