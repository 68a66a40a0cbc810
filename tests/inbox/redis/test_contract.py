"""What every store does, on a real Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.redis.inbox import RedisInbox
from tests.inbox.contract import every
from tests.inbox.fixtures import DAY, READER, A
from tests.inbox.redis.stores import OnRedis
from tests.support.servers import redis

_OLDER = """
local entries = redis.call('XRANGE', KEYS[1], '-', '+')
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]
redis.call('DEL', KEYS[1])
for _, entry in ipairs(entries) do
  local fields = entry[2]
  fields[6] = string.format('%.0f', fields[6] - ARGV[1])
  fields[10] = string.gsub(fields[10], '^%d+', function(serial)
    return string.format('%.0f', serial - ARGV[1] * 1000)
  end)
  redis.call('XADD', KEYS[1], entry[1], unpack(fields))
end
redis.call('XSETID', KEYS[1], last)
"""
"""The stream with all times earlier: field 6 (``a``), and the serial in 10 (``x``), which has Redis's own time."""


_UNUSED = """
local field = redis.call('HGET', KEYS[1], ARGV[1])
field = string.gsub(field, ',(%x+):(%d+):', function (device, used)
  return ',' .. device .. ':' .. string.format('%.0f', used - ARGV[2]) .. ':'
end)
redis.call('HSET', KEYS[1], ARGV[1], field)
"""


_UNUSED_DEVICES = """
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.find(fields[i], '^%x+$') or fields[i] == '-' then
    local value = string.gsub(fields[i + 1], '^(%S+ %d+ %d+ %d+ %d+ %d+) (%d+)', function (before, used)
      return before .. ' ' .. string.format('%.0f', used - ARGV[1])
    end)
    redis.call('HSET', KEYS[1], fields[i], value)
  end
end
"""
"""The user's devices with their last use earlier."""


class RedisContractTests(OnRedis, every.InboxContract):
    """Inboxes in a real Redis."""

    def time(self) -> int:
        """The store's time in ms."""
        return int(time.time() * 1000)

    async def pass_days(self, days: float) -> None:
        """Make all that waits for READER so much older."""
        key = f"chat:{{{READER}}}:inbox"
        redis().execute("EVAL", _OLDER, "1", key, str(int(days * DAY * 1000)), db=self.db)

    async def pass_days_for_devices(self, days: float) -> None:
        """Make so much older when A's devices were used to write to READER."""
        key = f"chat:{{{READER}}}:from"
        redis().execute("EVAL", _UNUSED, "1", key, str(A), str(int(days * DAY)), db=self.db)

    async def pass_days_for_registered(self, days: float) -> None:
        """Make so much older when READER's devices were used to read."""
        key = f"chat:{{{READER}}}:devices"
        words = ("EVAL", _UNUSED_DEVICES, "1", key, str(int(days * DAY * 1000)))
        redis().execute(*words, db=self.db)

    async def leave_older(self, acknowledged: int, texts: Sequence[str]) -> None:
        """Leave READER's inbox as the version before did."""
        key = f"chat:{{{READER}}}:inbox"
        for n, text in enumerate(texts, start=acknowledged + 1):
            words = ("f", A, "u", "名", "a", 1_700_000_000_000, "t", text)
            redis().execute("XADD", key, f"{n}-0", *words, db=self.db)
        redis().execute("SET", f"chat:{{{READER}}}:session", "gone 7", db=self.db)
        redis().execute("INCRBY", "chat:waiting", len(texts), db=self.db)

    async def store_as_before(self, text: str) -> None:
        """Store a text of A for READER as a node of the version before does."""
        self.append_as_before(text)

    async def make(self, limits: InboxLimits) -> RedisInbox:
        """A store that is open."""
        inbox = self.store(limits, room_limits=self.room_limits)
        self.assertEqual(await inbox.open(self.watcher), [])
        return inbox
