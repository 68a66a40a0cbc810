-- Who is logged in where, and what other nodes are told of it.

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

local function tell(node, what) redis.call('PUBLISH', lease_of(node), cjson.encode(what)) end

local function claim_for(uid, node, generation)
  redis.call('SET', session_of(uid), node .. ' ' .. number(generation))
end

-- Claim an inbox for this node, and tell the one that had it.
local function take_over(uid, node, generation)
  claim_for(uid, asked.node, generation)
  if is_elsewhere(node) then tell(node, {taken = {{uid, number(generation)}}}) end
end

local function renew_epoch(uid)
  redis.call('SET', epoch_of(uid), asked.fresh)
end

-- An inbox's epoch under the one that is common to all. Its own part is "COMMON|EPOCH" where it kept EPOCH although COMMON
-- has begun.
local function epoch_under(common, uid)
  local own = redis.call('GET', epoch_of(uid)) or '0'
  return string.match(own, '^' .. common .. '|(.*)$') or common .. '.' .. own
end

local function epoch(uid)
  redis.call('SET', 'chat:epoch', asked.fresh, 'NX')
  return epoch_under(redis.call('GET', 'chat:epoch'), uid)
end

-- An inbox whose reader is here, and has been handed nothing that is not in it, goes on as if nothing had been lost.
local function keep_epoch(uid)
  local common = redis.call('GET', 'chat:epoch')
  redis.call('SET', epoch_of(uid), common .. '|' .. epoch_under(asked.epoch, uid))
end
