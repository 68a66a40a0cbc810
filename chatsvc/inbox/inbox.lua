-- The inbox in Redis. One script with several entrances, chosen by ARGV[1]; every answer is one JSON text, because one
-- long string costs the asking process less than many short ones. Keys and fields: design section 4.
-- Numbers travel as strings where Lua's doubles or its %.14g would round them.

local entrance, asked = ARGV[1], cjson.decode(ARGV[2])

local function number(value) return string.format('%.0f', value) end
local function inbox_of(uid) return 'chat:{' .. uid .. '}:inbox' end
local function senders_of(uid) return 'chat:{' .. uid .. '}:from' end
local function session_of(uid) return 'chat:{' .. uid .. '}:session' end
local function epoch_of(uid) return 'chat:{' .. uid .. '}:epoch' end
local function old_list_of(uid) return 'list_usermessages_of_userid:userid:' .. uid end

-- The last id that an inbox gave out, and how many messages wait in it.
local function ends(inbox)
  local info = redis.pcall('XINFO', 'STREAM', inbox)
  if info.err then
    if redis.call('EXISTS', inbox) == 0 then return 0, 0 end
    error(info)
  end
  local last, waiting
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = tonumber(string.match(info[i + 1], '^%d+'))
    elseif info[i] == 'length' then
      waiting = info[i + 1]
    end
    if last and waiting then break end
  end
  return last, waiting
end

local function add(inbox, id, sender, name, at, text)
  redis.call('XADD', inbox, id, 'f', sender, 'u', name, 'a', at, 't', text)
end

-- What the older server left moves in, ahead of everything else; sender 0 marks it.
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

-- An inbox while a batch is stored in it.
local books = {}

local function open_book(book)
  book.last, book.waiting = ends(book.inbox)
  return book
end

local function book_of(uid)
  local book = books[uid]
  if not book then
    adopt(uid)
    book = open_book({inbox = inbox_of(uid), senders = senders_of(uid)})
    books[uid] = book
  end
  return book
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

-- A sender's field: "SHARE ACKNOWLEDGED", and then " DEVICE N ID" for each device, the last used first.
local function sender_of(senders, sender)
  local field = redis.call('HGET', senders, sender)
  if not field then return 0, -1, '' end
  local share, acknowledged, devices = string.match(field, '^(%d+) (%d+)(.*)$')
  return tonumber(share), tonumber(acknowledged), devices
end

-- The newest N of a device, the ID it got, and the other devices.
local function find_device(devices, device)
  local from, to, n, id = string.find(devices, ' ' .. device .. ' (%d+) (%d+)')
  if from then return tonumber(n), tonumber(id), string.sub(devices, 1, from - 1) .. string.sub(devices, to + 1) end
  local _, others = string.gsub(devices, ' %S+ %S+ %S+', '')
  if others >= asked.devices then devices = string.match(devices, '^(.*) %S+ %S+ %S+$') end
  return 0, 0, devices
end

-- draft: to, sender, name, at, text, device, n, again (strings; device and n only with a number)
local function append(draft)
  local to, sender, name, at, text, device, n, again = unpack(draft)
  local book = book_of(to)
  local share, since, devices = sender_of(book.senders, sender)
  if n then
    local newest, id, others = find_device(devices, device)
    local offered = tonumber(n)
    if offered == newest then return {'duplicate', id, book.waiting} end
    if offered < newest then return {'duplicate', 0, book.waiting} end
    if offered > newest + 1 or again then return {'gap', number(newest + 1)} end
    devices = ' ' .. device .. ' ' .. n .. ' ' .. number(book.last + 1) .. others
  end
  if book.waiting >= asked.waiting then
    expire(book.inbox)
    open_book(book)
    if book.waiting >= asked.waiting then return {'full', book.waiting, false} end
  end
  local acknowledged = book.last - book.waiting
  if since ~= acknowledged then share = 0 end
  if share >= asked.share then return {'full', book.waiting, true} end
  add(book.inbox, book.last + 1, sender, name, at, text)
  book.last, book.waiting = book.last + 1, book.waiting + 1
  redis.call('HSET', book.senders, sender, number(share + 1) .. ' ' .. number(acknowledged) .. devices)
  if not book.renewed then book.renewed = redis.call('EXPIRE', book.senders, asked.memory) end
  return {'stored', book.last, book.waiting}
end

local function generation_of(uid)
  local session = redis.call('GET', session_of(uid))
  return session and tonumber(string.match(session, '%d+$')) or 0
end

local function remove(uid, generation, up_to)
  local book = book_of(uid)
  -- An id that was not given out yet is one of a store that has since lost it.
  if generation_of(uid) ~= generation or up_to > book.last then return false end
  book.waiting = book.waiting - redis.call('XTRIM', book.inbox, 'MINID', up_to + 1)
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

function entrances.backlogs()
  local found = {}
  for _, uid in ipairs(asked.uids) do
    local last, waiting = ends(inbox_of(uid))
    local old = redis.call('LLEN', old_list_of(uid))
    local oldest = redis.call('XRANGE', inbox_of(uid), '-', '+', 'COUNT', 1)[1]
    if waiting + old > 0 then
      found[#found + 1] = {uid, waiting + old, last + old, oldest and oldest[2][6] or '0'}
    end
  end
  return found
end

function entrances.purge()
  adopt(asked.uid)
  return {redis.call('XTRIM', inbox_of(asked.uid), 'MINID', number(asked.up_to + 1))}
end

local answer = entrances[entrance]()
return #answer == 0 and '[]' or cjson.encode(answer)
