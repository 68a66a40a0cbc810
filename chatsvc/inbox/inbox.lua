-- The inbox in Redis. One script with several entrances, chosen by ARGV[1]; every answer is one JSON text, because one
-- long string costs the asking process less than many short ones. Keys and fields: design section 4.
-- Numbers travel as strings where Lua's doubles or its %.14g would round them.

local entrance, asked = ARGV[1], cjson.decode(ARGV[2])

local function number(value) return string.format('%.0f', value) end
local function inbox_of(uid) return 'chat:{' .. uid .. '}:inbox' end
local function senders_of(uid) return 'chat:{' .. uid .. '}:from' end
local function session_of(uid) return 'chat:{' .. uid .. '}:session' end
local function epoch_of(uid) return 'chat:{' .. uid .. '}:epoch' end

-- The last id that an inbox gave out, and how many messages wait in it.
local function ends(inbox)
  if redis.call('EXISTS', inbox) == 0 then return 0, 0 end
  local info = redis.call('XINFO', 'STREAM', inbox)
  local last, waiting = 0, 0
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = tonumber(string.match(info[i + 1], '^%d+')) end
    if info[i] == 'length' then waiting = info[i + 1] end
  end
  return last, waiting
end

local function add(inbox, id, sender, name, at, text)
  redis.call('XADD', inbox, number(id) .. '-0', 'f', sender, 'u', name, 'a', at, 't', text)
end

-- What the older server left moves in, ahead of everything else; sender 0 marks it.
local function adopt(uid)
  local old = 'list_usermessages_of_userid:userid:' .. uid
  if redis.call('EXISTS', old) == 0 then return end
  local inbox = inbox_of(uid)
  local last = ends(inbox)
  for _, text in ipairs(redis.call('LRANGE', old, 0, -1)) do
    last = last + 1
    add(inbox, last, '0', '', '0', text)
  end
  redis.call('DEL', old)
end

-- Messages accepted before `asked.expired` (ms) have waited too long; the older server's carry no time and stay.
local function expire(inbox)
  if not asked.expired then return end
  local keep = nil
  repeat
    local page = redis.call('XRANGE', inbox, '-', '+', 'COUNT', 100)
    local gone = 0
    for _, entry in ipairs(page) do
      local at = tonumber(entry[2][6])
      if at == 0 or at >= asked.expired then break end
      gone, keep = gone + 1, tonumber(string.match(entry[1], '^%d+')) + 1
    end
    if gone > 0 then redis.call('XTRIM', inbox, 'MINID', number(keep)) end
  until gone < 100
end

-- A sender's field: "SHARE ACKNOWLEDGED" and then "DEVICE N ID" for each device, the last used first.
local function sender_record(senders, sender)
  local words = {}
  local field = redis.call('HGET', senders, sender)
  if field then for word in string.gmatch(field, '%S+') do words[#words + 1] = word end end
  return words
end

local function device_at(words, device)
  for i = 3, #words, 3 do if words[i] == device then return i end end
end

local function remember(senders, sender, words, share, acknowledged, device, n, id)
  local kept = {number(share), number(acknowledged)}
  if device then
    kept[3], kept[4], kept[5] = device, n, number(id)
  end
  for i = 3, #words, 3 do
    if words[i] ~= device and #kept < 2 + 3 * asked.devices then
      kept[#kept + 1], kept[#kept + 2], kept[#kept + 3] = words[i], words[i + 1], words[i + 2]
    end
  end
  redis.call('HSET', senders, sender, table.concat(kept, ' '))
  redis.call('EXPIRE', senders, asked.memory)
end

-- draft: to, sender, name, at, text, device, n, again (strings; device and n only with a number)
local function append(draft)
  local to, sender, name, at, text, device, n, again = unpack(draft)
  adopt(to)
  local inbox, senders = inbox_of(to), senders_of(to)
  local last, waiting = ends(inbox)
  local words = sender_record(senders, sender)
  if n then
    local seen = device_at(words, device)
    local newest = seen and tonumber(words[seen + 1]) or 0
    local offered = tonumber(n)
    if offered == newest then return {'duplicate', tonumber(words[seen + 2]), waiting} end
    if offered < newest then return {'duplicate', 0, waiting} end
    if offered > newest + 1 or again then return {'gap', number(newest + 1)} end
  end
  if waiting >= asked.waiting then
    expire(inbox)
    last, waiting = ends(inbox)
    if waiting >= asked.waiting then return {'full', waiting, false} end
  end
  local acknowledged, share = last - waiting, 0
  if words[1] and tonumber(words[2]) == acknowledged then share = tonumber(words[1]) end
  if share >= asked.share then return {'full', waiting, true} end
  add(inbox, last + 1, sender, name, at, text)
  remember(senders, sender, words, share + 1, acknowledged, device, n, last + 1)
  return {'stored', last + 1, waiting + 1}
end

local function generation_of(uid)
  local session = redis.call('GET', session_of(uid))
  return session and tonumber(string.match(session, '%d+$')) or 0
end

local function remove(uid, generation, up_to)
  local inbox = inbox_of(uid)
  -- An id that was not given out yet is one of a store that has since lost it.
  if generation_of(uid) ~= generation or up_to > ends(inbox) then return false end
  redis.call('XTRIM', inbox, 'MINID', number(up_to + 1))
  return true
end

local function claim_for(uid, generation)
  redis.call('SET', session_of(uid), asked.node .. ' ' .. number(generation))
end

local function renew_epoch(uid)
  redis.call('SET', epoch_of(uid), asked.fresh)
end

local function epoch(uid)
  redis.call('SET', 'chat:epoch', asked.fresh, 'NX')
  return redis.call('GET', 'chat:epoch') .. '.' .. (redis.call('GET', epoch_of(uid)) or '0')
end

local entrances = {}

function entrances.commit()
  local outcomes, refused = {}, {}
  -- First, or what is appended now could pass for what a session was handed before the store lost it.
  for i, removal in ipairs(asked.removals) do
    local well, done = pcall(remove, unpack(removal))
    if well and not done then refused[#refused + 1] = i - 1 end
  end
  for i, draft in ipairs(asked.drafts) do
    -- One that fails leaves the others alone.
    local well, outcome = pcall(append, draft)
    outcomes[i] = well and outcome or {'failed', type(outcome) == 'table' and outcome.err or tostring(outcome)}
  end
  return {outcomes, refused}
end

function entrances.claim()
  local uid, inbox = asked.uid, inbox_of(asked.uid)
  adopt(uid)
  if redis.call('EXISTS', inbox) == 1 then expire(inbox) end
  local last, waiting = ends(inbox)
  if asked.after and asked.after > last then renew_epoch(uid) end
  local generation = generation_of(uid) + 1
  claim_for(uid, generation)
  return {generation, epoch(uid), last, waiting}
end

function entrances.read()
  local page = {}
  adopt(asked.uid)
  for i, entry in ipairs(redis.call('XRANGE', inbox_of(asked.uid), asked.from, '+', 'COUNT', asked.limit)) do
    local fields = entry[2]
    page[i] = {tonumber(string.match(entry[1], '^%d+')), fields[2], fields[4], fields[6], fields[8]}
  end
  return page
end

function entrances.count()
  adopt(asked.uid)
  return {redis.call('XLEN', inbox_of(asked.uid))}
end

function entrances.restored()
  redis.call('SET', 'chat:epoch', asked.fresh)
  return {}
end

function entrances.stale()
  local stale = {}
  for _, cursor in ipairs(asked.cursors) do
    if cursor[2] > ends(inbox_of(cursor[1])) then
      renew_epoch(cursor[1])
      -- What its session still has to remove was of the epoch before.
      claim_for(cursor[1], math.max(generation_of(cursor[1]), cursor[3]) + 1)
      stale[#stale + 1] = cursor[1]
    end
  end
  return stale
end

local answer = entrances[entrance]()
return #answer == 0 and '[]' or cjson.encode(answer)
