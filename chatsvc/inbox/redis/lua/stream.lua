-- One inbox: a stream of messages, from the first that waits to the last.

local function id_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

-- The last id that an inbox gave out, how many messages wait in it, and the id up to which it was acknowledged. That is
-- the one before the first that waits: somebody may have deleted an entry behind it.
local function ends(inbox)
  local info = redis.pcall('XINFO', 'STREAM', inbox)
  if info.err then
    if redis.call('EXISTS', inbox) == 0 then return 0, 0, 0 end
    error(info)
  end
  local last, waiting, first
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = tonumber(string.match(info[i + 1], '^%d+'))
    elseif info[i] == 'length' then
      waiting = info[i + 1]
    elseif info[i] == 'first-entry' then
      first = info[i + 1] and id_of(info[i + 1])
    end
  end
  return last, waiting, first and first - 1 or last
end

-- By how many more messages wait in all inboxes.
local change = 0

-- How far (ms) a node's clock may be from Redis's before an entry also carries Redis's own time.
local CLOCKS_APART = 60000

-- Append a message. Its time `at` is in ms, 0 for what the older server left.
local function add(inbox, id, sender, name, at, text)
  local stored = now()
  if at == '0' or math.abs(stored - tonumber(at)) <= CLOCKS_APART then
    redis.call('XADD', inbox, id, 'f', sender, 'u', name, 'a', at, 't', text)
  else
    redis.call('XADD', inbox, id, 'f', sender, 'u', name, 'a', at, 't', text, 's', number(stored))
  end
  change = change + 1
end

-- Remove the messages up to an id; returns how many there were.
local function trim(inbox, up_to)
  local gone = redis.call('XTRIM', inbox, 'MINID', number(up_to + 1))
  change = change - gone
  return gone
end

-- Move in what the older server left, ahead of everything else; sender 0 marks it.
local function adopt(uid)
  local old = old_list_of(uid)
  if redis.call('EXISTS', old) == 0 then return end
  local inbox = inbox_of(uid)
  local last = ends(inbox)
  for _, text in ipairs(redis.call('LRANGE', old, 0, -1)) do
    last = last + 1
    add(inbox, last, '0', '', '0', text)
  end
  redis.call('DEL', old)
end

-- When an entry was accepted: by its node's clock, or by Redis's if the two were apart. 0: the older server left it. nil:
-- another program put it there, and nobody can tell.
local function time_of(entry)
  local fields = entry[2]
  local at = fields[9] == 's' and fields[10] or fields[6]
  return at and #at < 16 and tonumber(string.match(at, '^%d+$')) or nil
end

-- How many messages had waited too long and were removed by this call.
local expired = 0

-- Remove what has waited for more than `args.days`, by Redis's clock. What the older server left has no time and stays.
local function expire(inbox)
  if not args.days then return end
  local oldest = now() - args.days * 86400000
  local from, over, up_to = '-', false, nil
  repeat
    local page = redis.call('XRANGE', inbox, from, '+', 'COUNT', 100)
    over = #page < 100
    for _, entry in ipairs(page) do
      local at = time_of(entry)
      if at == 0 or at and at >= oldest then
        over = true
        break
      end
      up_to = at and id_of(entry) or up_to
      from = '(' .. entry[1]
    end
  until over
  if up_to then expired = expired + trim(inbox, up_to) end
end
