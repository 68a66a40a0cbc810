-- Who is logged in where, and how other nodes learn of it.

-- Which node holds a user's session ('-': none), and its generation.
local function session(uid)
  local node, generation = string.match(redis.call('GET', session_of(uid)) or '- 0', '^(.*) (%d+)$')
  return node, tonumber(generation)
end

local leases = {}

-- Whether a node is another one, and alive.
local function is_elsewhere(node)
  if node == args.node or node == '-' then return false end
  if leases[node] == nil then leases[node] = redis.call('EXISTS', lease_of(node)) == 1 end
  return leases[node]
end

-- Whether another node has claimed an inbox since this one claimed it under `generation`. If two nodes have the same
-- generation, the store has lost the first claim and given its generation out again.
local function is_taken(node, current, generation)
  return node ~= args.node and (current > generation or current == generation and node ~= '-')
end

-- Publish something for a node; subscriber.py says what it can be.
local function publish(node, content) redis.call('PUBLISH', lease_of(node), cjson.encode(content)) end

-- Record that a node holds a user's session.
local function claim_for(uid, node, generation)
  redis.call('SET', session_of(uid), node .. ' ' .. number(generation))
end

-- Claim an inbox for this node, and notify the node that had it.
local function take_over(uid, node, generation)
  claim_for(uid, args.node, generation)
  if is_elsewhere(node) then publish(node, {taken = {{uid, number(generation)}}, by = args.origin}) end
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
