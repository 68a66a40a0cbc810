-- What else a node asks, or an administrator.

-- Whether nobody waits for a claim any more: the user may be logged in elsewhere by now.
local function is_late() return asked['until'] and now() > asked['until'] end

function entrances.claim()
  local uid, inbox = asked.uid, inbox_of(asked.uid)
  local node, before = session(uid)
  if asked.renewed and is_taken(node, before, lost and 0 or asked.renewed) then return {} end
  if is_late() then return {'late'} end
  adopt(uid)
  if redis.call('EXISTS', inbox) == 1 then expire(inbox) end
  local last, waiting, acknowledged = ends(inbox)
  if asked.after and asked.after > last then renew_epoch(uid) end
  local generation = take_generation(uid, before, asked.device)
  take_over(uid, node, generation)
  return {generation, epoch(uid), last, waiting, acknowledged, expired}
end

-- One who only sends takes nothing over but the device.
function entrances.claim_device()
  if is_late() then return {'late'} end
  adopt(asked.uid)
  local _, before = session(asked.uid)
  local generation = take_generation(asked.uid, before, asked.device)
  return {generation, redis.call('XLEN', inbox_of(asked.uid))}
end

function entrances.read()
  local page = {}
  adopt(asked.uid)
  for i, entry in ipairs(redis.call('XRANGE', inbox_of(asked.uid), asked.from, '+', 'COUNT', asked.limit)) do
    local fields = entry[2]
    page[i] = {id_of(entry), fields[2], fields[4], fields[6], fields[8]}
  end
  local run, batches = life()
  return {run, batches, page}
end

function entrances.count()
  adopt(asked.uid)
  return {redis.call('XLEN', inbox_of(asked.uid))}
end

function entrances.total()
  return {tonumber(redis.call('GET', 'chat:waiting') or 0)}
end

function entrances.restored()
  begin_epoch()
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

-- A node takes or renews its lease and says something about itself; whether it had one, what time it is, which epoch, by
-- which process of Redis how many batches were taken, and whether that is less than the node knew.
function entrances.join()
  begin_life()
  local had = redis.call('SET', lease_of(asked.node), asked.about, 'PX', asked.lease, 'GET')
  redis.call('SET', 'chat:epoch', asked.fresh, 'NX')
  local run, batches = life()
  local told = {had and true or false, now(), redis.call('GET', 'chat:epoch'), run, batches, went_back}
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

-- cursor: uid, id, generation, time of the message that was handed last or null, the last id that the client knows
function entrances.check()
  local stale, taken = {}, {}
  for _, cursor in ipairs(asked.cursors) do
    local uid, id, generation, at, shown = unpack(cursor)
    local node, current = session(uid)
    local inbox = inbox_of(uid)
    local last = ends(inbox)
    if is_taken(node, current, lost and 0 or generation) then
      taken[#taken + 1] = {uid, number(current)}
    elseif id > last or is_another(inbox, id, at) or lost and id < shown then
      -- Or the client was shown more in an earlier session, and nobody can tell whether that is still what is there.
      renew_epoch(uid)
      -- What its session still has to remove was of the epoch before.
      take_over(uid, node, math.max(current, generation) + 1)
      stale[#stale + 1] = uid
    else
      if lost then keep_epoch(uid) end
      if current < generation then take_over(uid, node, generation) end -- the store has lost the claim
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
