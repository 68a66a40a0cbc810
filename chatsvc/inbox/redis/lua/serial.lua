-- Serials: each names a message in the whole service, and they grow. One is the larger of the last one + 10 and 1000 times
-- Redis's time in ms; its last digit is the number of the store.

local function last_serial() return tonumber(redis.call('GET', 'chat:serial') or '0') end

-- Reserve serials for so many messages; returns the first one. The others follow by tens.
local function reserve_serials(count)
  local first = math.max(last_serial() + 10, now() * 1000)
  redis.call('SET', 'chat:serial', number(first + 10 * (count - 1)))
  return first
end

-- By how much (ms) serials go on ahead of the clock where the data is not what it was: what was lost may have been stored
-- under a clock that was ahead of this one.
local AHEAD = 60000

-- Go on above a serial that a node has seen. `moved`: this data was held by another process, or has gone back.
local function go_on_above(seen, moved)
  local last = last_serial()
  local above = math.max(last, math.ceil(seen / 10) * 10)
  if moved then above = math.max(above, (now() + AHEAD) * 1000) end
  if above > last then redis.call('SET', 'chat:serial', number(above)) end
end
