-- The inbox in Redis. One script with several entrances, chosen by ARGV[1]; every answer is one JSON text, because one
-- long string costs the asking process less than many short ones. Keys and fields: design section 4.
-- Numbers travel as strings where Lua's doubles or its %.14g would round them.

local entrance, asked = ARGV[1], cjson.decode(ARGV[2])

local function number(value) return string.format('%.0f', value) end
-- Redis's own time, in ms.
local function now()
  local seconds, micros = unpack(redis.call('TIME'))
  return tonumber(seconds) * 1000 + math.floor(tonumber(micros) / 1000)
end

local function inbox_of(uid) return 'chat:{' .. uid .. '}:inbox' end
local function senders_of(uid) return 'chat:{' .. uid .. '}:from' end
local function session_of(uid) return 'chat:{' .. uid .. '}:session' end
local function epoch_of(uid) return 'chat:{' .. uid .. '}:epoch' end
-- The key of a node's lease, and the channel on which it is told of its users.
local function lease_of(node) return 'chat:node:' .. node end
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

-- By how many more messages wait in all inboxes.
local change = 0

local function add(inbox, id, sender, name, at, text)
  redis.call('XADD', inbox, id, 'f', sender, 'u', name, 'a', at, 't', text)
  change = change + 1
end

-- Remove the messages up to an id; how many there were.
local function trim(inbox, up_to)
  local gone = redis.call('XTRIM', inbox, 'MINID', number(up_to + 1))
  change = change - gone
  return gone
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

-- Which node holds a user's session ('-': none), and its generation.
local function session(uid)
  local node, generation = string.match(redis.call('GET', session_of(uid)) or '- 0', '^(.*) (%d+)$')
  return node, tonumber(generation)
end

local leases = {}

-- Whether a node is another one, and alive.
local function is_elsewhere(node)
  if node == asked.node or node == '-' then return false end
  if leases[node] == nil then leases[node] = redis.call('EXISTS', lease_of(node)) == 1 end
  return leases[node]
end

-- Whether another node has claimed an inbox since this one did. That of two nodes with one generation: the store has lost
-- the one and given it out again.
local function is_taken(node, current, generation)
  return node ~= asked.node and (current > generation or current == generation and node ~= '-')
end

-- Whether this is not the data that this node knows: it was deleted, or older data was put in its place. The generations
-- that this node knows are nothing to it then.
local function is_another_store() return asked.epoch and asked.epoch ~= redis.call('GET', 'chat:epoch') end

local function tell(node, what) redis.call('PUBLISH', lease_of(node), cjson.encode(what)) end

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
    book.node, book.generation = session(uid)
    book.elsewhere = is_elsewhere(book.node)
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
      gone, keep = gone + 1, tonumber(string.match(entry[1], '^%d+'))
    end
    if gone > 0 then trim(inbox, keep) end
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

-- What other nodes are to be told, when the batch is stored.
local news = {}

-- Where the senders of this batch are logged in.
local senders = {}

-- Whether a sender has logged in at another node since the session of this generation.
local function has_moved(sender, generation)
  local place = senders[sender]
  if not place then
    place = {session(sender)}
    senders[sender] = place
  end
  return is_taken(place[1], place[2], generation)
end

-- draft: to, sender, name, at, text and perhaps device, n, again (strings, '' where there is none), generation
local function append(draft)
  local to, sender, name, at, text, device, n, again, generation = unpack(draft)
  if generation and generation > 0 and has_moved(sender, generation) then return {'moved'} end
  local book = book_of(to)
  local share, since, devices = sender_of(book.senders, sender)
  if n and n ~= '' then
    local newest, id, others = find_device(devices, device)
    local offered = tonumber(n)
    if offered == newest then return {'duplicate', id, book.waiting, book.elsewhere} end
    if offered < newest then return {'duplicate', 0, book.waiting, book.elsewhere} end
    if offered > newest + 1 or again ~= '' then return {'gap', number(newest + 1)} end
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
  if not book.elsewhere then return {'stored', book.last, book.waiting} end
  local told = news[book.node] or {}
  news[book.node] = told
  told[#told + 1] = {to, number(book.last), sender, name, at, text}
  return {'stored', book.last, book.waiting, true}
end

local function claim_for(uid, node, generation)
  redis.call('SET', session_of(uid), node .. ' ' .. number(generation))
end

-- Claim an inbox for this node, and tell the one that had it.
local function take_over(uid, node, generation)
  claim_for(uid, asked.node, generation)
  if is_elsewhere(node) then tell(node, {taken = {{uid, number(generation)}}}) end
end

local function remove(uid, generation, up_to, leaving)
  local book = book_of(uid)
  if is_taken(book.node, book.generation, generation) then return 'taken' end
  if book.generation ~= generation then return 'refused' end
  -- An id that was not given out yet is one of a store that has since lost it.
  local known = up_to <= book.last
  -- Before anything that a Redis which is full refuses.
  if known then book.waiting = book.waiting - trim(book.inbox, up_to) end
  if leaving then
    claim_for(uid, '-', generation)
    book.node, book.elsewhere = '-', false
  end
  return known and 'removed' or 'refused'
end

local function renew_epoch(uid)
  redis.call('SET', epoch_of(uid), asked.fresh)
end

local function epoch(uid)
  redis.call('SET', 'chat:epoch', asked.fresh, 'NX')
  return redis.call('GET', 'chat:epoch') .. '.' .. (redis.call('GET', epoch_of(uid)) or '0')
end

-- Why one message was not taken. A Redis that takes none at all is no primary any more, which is said as such.
local function reason(problem)
  local words = type(problem) == 'table' and problem.err or tostring(problem)
  if string.find(words, 'READONLY', 1, true) then error(problem, 0) end
  return words
end

local entrances = {}

function entrances.commit()
  local outcomes, done = {}, {}
  -- First, or what is appended now could pass for what a session was handed before the store lost it.
  local lost = is_another_store()
  for i, removal in ipairs(asked.removals) do
    local well, verdict = true, 'lost'
    if not lost then well, verdict = pcall(remove, unpack(removal)) end
    done[i] = well and verdict or 'failed'
  end
  for i, draft in ipairs(asked.drafts) do
    -- One that fails leaves the others alone.
    local well, outcome = pcall(append, draft)
    outcomes[i] = well and outcome or {'failed', reason(outcome)}
  end
  for node, told in pairs(news) do tell(node, {news = told}) end
  return {outcomes, done, lost and true or false}
end

function entrances.claim()
  local uid, inbox = asked.uid, inbox_of(asked.uid)
  local node, before = session(uid)
  if asked.renewed and is_taken(node, before, is_another_store() and 0 or asked.renewed) then return {} end
  -- Nobody waits for it any more, and the user may be logged in elsewhere by now.
  if asked['until'] and now() > asked['until'] then return {'late'} end
  adopt(uid)
  if redis.call('EXISTS', inbox) == 1 then expire(inbox) end
  local last, waiting = ends(inbox)
  if asked.after and asked.after > last then renew_epoch(uid) end
  local generation = before + 1
  take_over(uid, node, generation)
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

function entrances.total()
  return {tonumber(redis.call('GET', 'chat:waiting') or 0)}
end

function entrances.restored()
  redis.call('SET', 'chat:epoch', asked.fresh)
  return {}
end

-- Which of these users are logged in at other nodes.
function entrances.elsewhere()
  local found = {}
  for _, uid in ipairs(asked.uids) do
    if is_elsewhere((session(uid))) then found[#found + 1] = uid end
  end
  return found
end

-- This node holds a session that it knows nothing of: a claim ran after it had been given up.
function entrances.vacate()
  local node, generation = session(asked.uid)
  if node == asked.node then claim_for(asked.uid, '-', generation) end
  return {}
end

-- A node takes or renews its lease and says something about itself; whether it had one, what
-- time it is, and which epoch.
function entrances.join()
  local had = redis.call('SET', lease_of(asked.node), asked.about, 'PX', asked.lease, 'GET')
  redis.call('SET', 'chat:epoch', asked.fresh, 'NX')
  local told = {had and true or false, now(), redis.call('GET', 'chat:epoch')}
  if had then return told end
  for _, node in ipairs(redis.call('SMEMBERS', 'chat:nodes')) do
    if redis.call('EXISTS', lease_of(node)) == 0 then redis.call('SREM', 'chat:nodes', node) end
  end
  redis.call('SADD', 'chat:nodes', asked.node)
  return told
end

-- What the living nodes say about themselves.
function entrances.nodes()
  local found = {}
  for _, node in ipairs(redis.call('SMEMBERS', 'chat:nodes')) do
    local about = redis.call('GET', lease_of(node))
    if about then found[#found + 1] = {node, about} end
  end
  return found
end

function entrances.leave()
  redis.call('DEL', lease_of(asked.node))
  redis.call('SREM', 'chat:nodes', asked.node)
  return {}
end

-- Whether a message stands at a cursor that is not the one that was handed to its session: the ids were given out twice.
local function is_another(inbox, id, at)
  local entry = redis.call('XRANGE', inbox, number(id), number(id))[1]
  return entry ~= nil and (at == cjson.null or (tonumber(entry[2][6]) or 0) ~= at)
end

-- cursor: uid, id, generation, time of the message that was handed last or null
function entrances.check()
  local stale, taken, lost = {}, {}, is_another_store()
  for _, cursor in ipairs(asked.cursors) do
    local uid, id, generation, at = unpack(cursor)
    local node, current = session(uid)
    local inbox = inbox_of(uid)
    if is_taken(node, current, lost and 0 or generation) then
      taken[#taken + 1] = {uid, number(current)}
    elseif lost or id > ends(inbox) or is_another(inbox, id, at) then
      renew_epoch(uid)
      -- What its session still has to remove was of the epoch before.
      take_over(uid, node, math.max(current, generation) + 1)
      stale[#stale + 1] = uid
    elseif current < generation then
      take_over(uid, node, generation) -- the store has lost the claim
    end
  end
  return {stale, taken}
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
  return {trim(inbox_of(asked.uid), asked.up_to)}
end

local answer = entrances[entrance]()
if change ~= 0 then redis.pcall('INCRBY', 'chat:waiting', number(change)) end
return #answer == 0 and '[]' or cjson.encode(answer)
