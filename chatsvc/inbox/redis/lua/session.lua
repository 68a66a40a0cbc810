-- Who is logged in where, and how other nodes learn of it.

-- Which node holds the session of a user's unnamed device ('-': none), its generation, and whether the user has, or had,
-- registered devices, so that their key must be read. The last is nil if the unnamed device has never logged in.
local function session(uid)
  local found = redis.call('GET', session_of(uid))
  if not found then return '-', 0, nil end
  local node, generation, mark = string.match(found, '^(%S+) (%d+)(.*)$')
  return node, tonumber(generation), mark == ' +'
end

local leases = {}

-- Whether a node is another one, and alive.
local function is_elsewhere(node)
  if node == args.node or node == '-' then return false end
  if leases[node] == nil then leases[node] = redis.call('EXISTS', lease_of(node)) == 1 end
  return leases[node]
end

-- Whether a node is there: this one, or another one that is alive.
local function is_alive(node) return node == args.node or is_elsewhere(node) end

-- Whether another node has claimed a device since this one claimed it under `generation`. If two nodes have the same
-- generation, the store has lost the first claim and given its generation out again.
local function is_taken(node, current, generation)
  return node ~= args.node and (current > generation or current == generation and node ~= '-')
end

-- The same for a reader that may know lost data: its generation means nothing then, but another node's claim does.
local function is_held(node, current, generation)
  if lost then return node ~= args.node and node ~= '-' end
  return is_taken(node, current, generation)
end

-- Publish something for a node; subscriber.py says what it can be.
local function publish(node, content) redis.call('PUBLISH', lease_of(node), cjson.encode(content)) end

-- Record that a node holds the session of a user's unnamed device; `mark` as session() returns it.
local function claim_for(uid, node, generation, mark)
  redis.call('SET', session_of(uid), node .. ' ' .. number(generation) .. (mark and ' +' or ''))
end

-- Notify the node that had the session of a device (nil: the unnamed one) of a log-in under a newer generation.
local function notify_taken(node, uid, generation, device)
  if is_elsewhere(node) then publish(node, {taken = {{uid, number(generation), device}}, by = args.origin}) end
end

local function renew_epoch(uid)
  redis.call('SET', epoch_of(uid), args.fresh)
end

-- An inbox's epoch under the one that is common to all. Its own part is "COMMON|EPOCH" if it kept EPOCH although COMMON
-- has begun.
local function epoch_under(common, uid)
  local own = redis.call('GET', epoch_of(uid)) or '0'
  return string.match(own, '^' .. common .. '|(.*)$') or common .. '.' .. own
end

local function epoch(uid)
  redis.call('SET', 'chat:epoch', args.fresh, 'NX')
  return epoch_under(redis.call('GET', 'chat:epoch'), uid)
end

-- Keep the epoch of an inbox whose reader is here and was handed nothing that is not in it: for that reader nothing was
-- lost.
local function keep_epoch(uid)
  local common = redis.call('GET', 'chat:epoch')
  redis.call('SET', epoch_of(uid), common .. '|' .. epoch_under(args.epoch, uid))
end
