"""The texts of the text dialect about the history, in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HistoryPhrases:
    """
    The texts of one language about the history; contract, as those of ``Phrases`` are.

    ``changes`` are what stands behind the ``*`` where an earlier message was changed.
    """

    nothing: str
    older: str
    nothing_found: str
    more_found: str
    edited: str
    changes: Mapping[str, str]
    help: str


ZH_HISTORY = HistoryPhrases(
    nothing="没有历史消息!",
    older="还有更早的消息, 未显示",
    nothing_found="没有找到!",
    more_found="还有更多, 未显示",
    edited="(已修改)",
    changes={"edited": "{who} 改为: {text}", "retracted": "{who} 撤回了一条消息"},
    help="""历史消息命令说明:
  history UID 条数       与用户的历史消息, 不写条数为20条
  history #名称 条数     聊天室的历史消息
  search 词语            查找消息, 多个词语用空格分开
  help history           显示本说明""",
)

EN_HISTORY = HistoryPhrases(
    nothing="No messages!",
    older="There are earlier ones, not shown",
    nothing_found="Nothing was found!",
    more_found="There are more, not shown",
    edited="(edited)",
    changes={"edited": "{who} edited a message: {text}", "retracted": "{who} retracted a message"},
    help="""Commands for the history:
  history UID N          what was said with a user, 20 messages without N
  history #NAME N        what was said in a room
  search WORDS           look for messages that have all these words
  help history           show this""",
)
