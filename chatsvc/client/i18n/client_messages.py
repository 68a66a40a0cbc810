"""The texts that the client itself says to its user; all others come from the server."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass

from chatsvc.client.transport.certificates import Flaw
from chatsvc.client.transport.failures import Cause, cause, system_number
from chatsvc.client.transport.known_servers import KnownServersProblem, KnownServersUnusable


@dataclass(frozen=True)
class ClientMessages:
    """
    The texts of one language.

    ``system`` has its words for some of the system's errors, by ``errno``; the others go by their names.
    """

    unreachable: str
    trying_on: str
    not_trusted: str
    not_accepted: str
    not_pinned: str
    unknown: str
    changed: str
    changed_since: str
    lost: str
    back: str
    postponed: str
    undecided: str
    unconfirmed: str
    given_up: str
    state_unusable: str
    forgotten: str
    missed: str
    device_taken: str
    device_forgotten: str
    too_many_devices: str
    no_rooms: str
    causes: Mapping[Cause, str]
    flaws: Mapping[Flaw, str]
    troubles: Mapping[KnownServersProblem, str]
    system: Mapping[int, str]

    def reason(self, problem: BaseException | None) -> str:
        """Why there is no connection."""
        system = self.system_error(system_number(problem))
        return self.causes[cause(problem)].format(system=system, kind=type(problem).__name__)

    def known_servers(self, problem: KnownServersUnusable) -> str:
        """What is wrong with the file of known servers."""
        system = self.system_error(problem.number)
        return self.troubles[problem.trouble].format(
            path=problem.path, line=problem.line, system=system
        )

    def system_error(self, number: int) -> str:
        """What the system's error means."""
        return self.system.get(number) or errno.errorcode.get(number, str(number))


ZH = ClientMessages(
    unreachable="无法连接 {server}: {reason}",
    trying_on="无法连接 {server}: {reason}; 将继续尝试, quit 或 Ctrl-D 退出",
    not_trusted="无法信任 {server}: {reason} (可用 --ca 指定可信证书)",
    not_accepted="未信任 {server}: {reason}; 其证书指纹为 {fingerprint}, 与管理员核对后可用"
    " --fingerprint 信任它, 或用 --ca 指定可信证书",
    not_pinned="不信任 {server}: 其证书指纹为 {fingerprint}, 与 --fingerprint 指定的不同",
    unknown="""\
无法确认 {server} 的身份: {reason}.
  证书属于: {names}
  签发者:   {issuer}
  指纹:     {fingerprint}
服务器启动时会在日志中写出自己的指纹, 请与管理员核对.
信任这个证书吗? o 仅此一次, a 始终信任, n 不信任: """,
    changed="""\
警告: {server} 的证书已改变!
可能有人正在窃听或冒充该服务器; 也可能只是服务器更换了证书. 尚未发送任何内容.
  以前的指纹: {expected}
  现在的指纹: {fingerprint}
  现在的证书: {reason}
请向管理员核对. 如确已更换, 请删除 {path} 的第 {line} 行, 再重新连接.""",
    changed_since="""\
警告: {server} 的证书在重新连接时已改变!
可能有人正在窃听或冒充该服务器; 也可能只是服务器更换了证书. 尚未发送任何内容.
  刚才的指纹: {expected}
  现在的指纹: {fingerprint}
  现在的证书: {reason}
请向管理员核对. 如确已更换, 请重新启动客户端.""",
    lost="与 {server} 的连接已断开 ({reason}), {delay:.1f} 秒后重新连接",
    back="已重新连接!",
    postponed="存储暂时不可用, 消息将自动重发: {text}",
    undecided="连接已断开, 不知道命令是否已执行!",
    unconfirmed="{count} 条消息尚未确认, 将在下次登录后自动重发",
    given_up="与 {server} 的连接在 {seconds:.0f} 秒内未能恢复: {reason}",
    state_unusable="无法使用状态文件: {reason}",
    forgotten="已保存的登录 (UID: {uid}) 不再有效, 请重新登录!",
    missed="有些消息 (最多 {count} 条) 已不再保存, 此处无法显示!",
    device_taken="本终端状态的副本已在别处登录, 您已被挤下线! 再次登录后将是另一台设备",
    device_forgotten="此设备已被移除, 请重新登录!",
    too_many_devices="登录失败: 您的设备已达上限, 且全部在线! 请在其中一台上输入 devices, 再用 forget 编号 移除一台",
    no_rooms="本客户端暂不支持聊天室和历史消息, 没有发送! 聊天室的消息会为您保留; 要把这一行发给某人请用 msg UID 内容",
    causes={
        Cause.REFUSED: "连接被拒绝",
        Cause.NO_SUCH_HOST: "找不到该主机",
        Cause.TIMED_OUT: "连接超时",
        Cause.UNREACHABLE: "网络不可达",
        Cause.NO_ANSWER: "服务器没有响应",
        Cause.CLOSED: "服务器关闭了连接",
        Cause.CLOSED_EARLY: "TLS 握手完成之前连接就被关闭",
        Cause.LOST: "连接中断",
        Cause.NOT_UNDERSTOOD: "服务器的回答无法理解",
        Cause.NO_TLS: "对方不使用 TLS",
        Cause.NO_COMMON_TLS: "没有双方都支持的 TLS 版本或加密方式",
        Cause.WANTS_CERTIFICATE: "服务器要求客户端证书",
        Cause.TLS_FAILED: "TLS 握手失败",
        Cause.SYSTEM: "{system}",
        Cause.OTHER: "未知错误 {kind}",
    },
    flaws={
        Flaw.SELF_SIGNED: "证书是自签名的",
        Flaw.UNKNOWN_ISSUER: "证书的签发者不受信任",
        Flaw.EXPIRED: "证书已过期",
        Flaw.NOT_YET_VALID: "证书尚未生效",
        Flaw.OTHER_NAME: "证书不属于该主机名",
        Flaw.NOT_FOR_SERVERS: "证书不是服务器证书",
        Flaw.WEAK: "证书的密钥或签名太弱",
        Flaw.INVALID: "证书无效",
    },
    troubles={
        KnownServersProblem.OPEN_TO_OTHERS: "{path} 可被其他用户修改: 请执行 chmod 600",
        KnownServersProblem.OF_SOMEBODY_ELSE: "{path} 属于其他用户",
        KnownServersProblem.NO_FILE: "{path} 不是普通文件",
        KnownServersProblem.MALFORMED: "{path} 第 {line} 行不是 HOST:PORT SHA256:… 的格式",
        KnownServersProblem.SYSTEM: "无法使用 {path}: {system}",
    },
    system={
        errno.EPERM: "不允许的操作",
        errno.EACCES: "没有权限",
        errno.EROFS: "文件系统只读",
        errno.ENOSPC: "磁盘已满",
        errno.EDQUOT: "超出磁盘配额",
        errno.EIO: "读写错误",
        errno.ENOTDIR: "路径中有一部分不是文件夹",
        errno.EISDIR: "那是一个文件夹",
        errno.EMFILE: "打开的文件太多",
        errno.ENFILE: "系统打开的文件太多",
        errno.EINVAL: "地址或参数无效",
        errno.EADDRNOTAVAIL: "地址不可用",
        errno.EAFNOSUPPORT: "不支持这种地址",
        errno.EHOSTUNREACH: "主机不可达",
        errno.ENETDOWN: "网络已断开",
        errno.ECONNRESET: "连接被重置",
        errno.ECONNABORTED: "连接被中止",
        errno.EPIPE: "已没有读者",
    },
)

EN = ClientMessages(
    unreachable="Cannot connect to {server}: {reason}",
    trying_on="Cannot connect to {server}: {reason}; trying again, quit or Ctrl-D to leave",
    not_trusted="Cannot trust {server}: {reason} (--ca names a certificate to trust)",
    not_accepted="{server} is not trusted: {reason}; if the admin confirms its certificate {fingerprint},"
    " name that with --fingerprint, or a file of trusted certificates with --ca",
    not_pinned="{server} is not trusted: its certificate is {fingerprint}, not the one of --fingerprint",
    unknown="""\
Nothing proves that this is {server}: {reason}.
  certificate for: {names}
  issued by:       {issuer}
  fingerprint:     {fingerprint}
The server logs its fingerprint when it starts: compare, or ask its admin.
Trust this certificate? o once, a always, n no: """,
    changed="""\
WARNING: THE CERTIFICATE OF {server} HAS CHANGED!
Somebody may be listening in or posing as the server. Or the server has a new one. Nothing was sent yet.
  known until now: {expected}
  shown now:       {fingerprint}
  which proves nothing: {reason}
Ask the server's admin. If the change is right, remove line {line} of {path} and connect again.""",
    changed_since="""\
WARNING: THE CERTIFICATE OF {server} HAS CHANGED SINCE THE LAST CONNECTION!
Somebody may be listening in or posing as the server. Or the server has a new one. Nothing was sent yet.
  shown before: {expected}
  shown now:    {fingerprint}
  which proves nothing: {reason}
Ask the server's admin. If the change is right, start the client again.""",
    lost="The connection to {server} was lost ({reason}), connecting again in {delay:.1f} s",
    back="Connected again!",
    postponed="The store is unavailable, the message will be sent again by itself: {text}",
    undecided="The connection was lost, it is not known whether the command was carried out!",
    unconfirmed="Not confirmed yet: {count}; sent again after the next log-in",
    given_up="The connection to {server} did not come back within {seconds:.0f} s: {reason}",
    state_unusable="The state cannot be used: {reason}",
    forgotten="The remembered log-in of UID {uid} no longer works, please log in again!",
    missed="Some messages ({count} at most) are no longer kept, and cannot be shown here!",
    device_taken="A copy of this terminal's state logged in elsewhere, you are logged out here! When you log in again"
    " it is another device",
    device_forgotten="This device was forgotten, please log in again!",
    too_many_devices="Log-in failed: you have as many devices as are allowed, and all are online! On one of them, type"
    " devices, then forget NUMBER",
    no_rooms="This client has no rooms yet, and no history: nothing was sent! What comes into your rooms waits for you."
    " To send this line to a person, use msg UID TEXT",
    causes={
        Cause.REFUSED: "connection refused",
        Cause.NO_SUCH_HOST: "no such host",
        Cause.TIMED_OUT: "timed out",
        Cause.UNREACHABLE: "network unreachable",
        Cause.NO_ANSWER: "no answer",
        Cause.CLOSED: "closed by the server",
        Cause.CLOSED_EARLY: "closed before TLS was set up",
        Cause.LOST: "connection lost",
        Cause.NOT_UNDERSTOOD: "the server's answer makes no sense",
        Cause.NO_TLS: "the other end does not speak TLS",
        Cause.NO_COMMON_TLS: "no TLS version or cipher that both ends support",
        Cause.WANTS_CERTIFICATE: "the server asks for a client certificate",
        Cause.TLS_FAILED: "the TLS handshake failed",
        Cause.SYSTEM: "{system}",
        Cause.OTHER: "unknown error {kind}",
    },
    flaws={
        Flaw.SELF_SIGNED: "the certificate is self-signed",
        Flaw.UNKNOWN_ISSUER: "the certificate's issuer is not trusted",
        Flaw.EXPIRED: "the certificate has expired",
        Flaw.NOT_YET_VALID: "the certificate is not valid yet",
        Flaw.OTHER_NAME: "the certificate is for another name",
        Flaw.NOT_FOR_SERVERS: "the certificate is not for servers",
        Flaw.WEAK: "the certificate's key or signature is too weak",
        Flaw.INVALID: "the certificate is invalid",
    },
    troubles={
        KnownServersProblem.OPEN_TO_OTHERS: "{path} can be changed by other users: chmod 600",
        KnownServersProblem.OF_SOMEBODY_ELSE: "{path} belongs to another user",
        KnownServersProblem.NO_FILE: "{path} is not a regular file",
        KnownServersProblem.MALFORMED: "{path}: line {line} does not have the form HOST:PORT SHA256:…",
        KnownServersProblem.SYSTEM: "{path} cannot be used: {system}",
    },
    system={number: os.strerror(number) for number in errno.errorcode},
)

CLIENT_MESSAGES = {"zh": ZH, "en": EN}
