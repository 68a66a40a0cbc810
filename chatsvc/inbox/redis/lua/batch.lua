-- A batch: removals, then messages. All of it is stored in one step, so that what is confirmed is stored once (P1 of
-- docs/protocol.md).

-- The state of each inbox that this batch touches, by uid.
local states = {}

local function read_state(state)
  state.last, state.waiting, state.acknowledged = ends(state.inbox)
  return state
end

local function state_of(uid)
  local state = states[uid]
  if not state then
    adopt(uid)
    state = read_state({inbox = inbox_of(uid), senders = senders_of(uid)})
    state.node, state.generation = session(uid)
    state.elsewhere = is_elsewhere(state.node)
    states[uid] = state
  end
  return state
end

-- The messages to publish for other nodes when the batch is stored, by node.
local for_nodes = {}

-- Where the senders of this batch are logged in: node and generation, by uid.
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

-- The generations of the devices that send in this batch, by sender and device.
local sending = {}

-- Whether a device has logged in again since the session that took this generation.
local function is_superseded(sender, device, generation)
  local key = sender .. ' ' .. device
  if not sending[key] then
    local newest, devices = generations(sender)
    local current, others = find_generation(devices, device)
    sending[key] = current or 0
    if sending[key] < generation then -- the store has lost that log-in
      set_generation(sender, math.max(newest, generation), device, generation, others)
      sending[key] = generation
    end
  end
  return generation < sending[key]
end

-- How many messages this batch has stored.
local appended = 0

-- Store a message, or say why not. draft: to, sender, name, at, text and perhaps device, n, again (strings, '' if there is
-- none), generation, sending.
local function append(draft)
  local to, sender, name, at, text, device, n, again, generation, sent_by = unpack(draft)
  if generation and generation > 0 and has_moved(sender, generation) then return {'moved'} end
  if sent_by and sent_by > 0 and is_superseded(sender, device, sent_by) then return {'moved'} end
  local state = state_of(to)
  local share, since, numbers, notes = sender_of(state.senders, sender)
  if n and n ~= '' then
    local newest, id, others = find_number(numbers, device)
    local _, digests, other_notes = find_note(notes, device, newest)
    local back = newest - tonumber(n)
    if back >= 0 and is_the_same(digests, back, text) then
      return {'duplicate', back == 0 and id or 0, state.waiting, state.elsewhere}
    end
    -- Also for another text under a number that was accepted: that text was never stored.
    if back ~= -1 or again ~= '' then return {'gap', number(newest + 1)} end
    if newest == 0 then others, other_notes = remembered(others, other_notes) end
    digests = string.sub(digests .. digest(text), -args.digests * args.digits)
    numbers = ' ' .. device .. ' ' .. n .. ' ' .. number(state.last + 1) .. others
    notes = ',' .. device .. ':' .. seconds() .. ':' .. n .. ':' .. digests .. other_notes
  end
  if state.waiting >= args.waiting then
    expire(state.inbox)
    read_state(state)
    if state.waiting >= args.waiting then return {'full', state.waiting, false} end
  end
  local acknowledged = state.acknowledged
  if since ~= acknowledged then share = 0 end
  if share >= args.share then return {'full', state.waiting, true} end
  add(state.inbox, state.last + 1, sender, name, at, text)
  appended = appended + 1
  state.last, state.waiting = state.last + 1, state.waiting + 1
  set_sender(state.senders, sender, share + 1, acknowledged, numbers, notes)
  if not state.renewed then state.renewed = redis.call('EXPIRE', state.senders, args.memory) end
  if not state.elsewhere then return {'stored', state.last, state.waiting} end
  local messages = for_nodes[state.node] or {}
  for_nodes[state.node] = messages
  messages[#messages + 1] = {to, number(state.last), sender, name, at, text}
  return {'stored', state.last, state.waiting, true}
end

-- Remove what a session has received.
local function remove(uid, generation, up_to, leaving)
  local state = state_of(uid)
  if is_taken(state.node, state.generation, generation) then return 'taken' end
  if state.generation ~= generation then return 'refused' end
  -- An id that was not given out yet was given out by a store that has since lost it.
  local known = up_to <= state.last
  -- First, because a Redis that is full refuses the rest.
  if known then
    state.waiting = state.waiting - trim(state.inbox, up_to)
    state.acknowledged = math.max(state.acknowledged, up_to)
  end
  if leaving then
    claim_for(uid, '-', generation)
    state.node, state.elsewhere = '-', false
  end
  return known and 'removed' or 'refused'
end

-- Why one message was not stored. A Redis that stores none at all is no primary any more: that fails the whole batch.
local function reason(problem)
  local words = type(problem) == 'table' and problem.err or tostring(problem)
  if string.find(words, 'READONLY', 1, true) then error(problem, 0) end
  return words
end

-- Whether this batch overtook the one before, because the script was flushed in between. The node then sends it again, so
-- that its batches are carried out in the order in which it sent them.
local function is_out_of_order()
  local key = 'chat:order:' .. args.node
  if args.previous and redis.call('GET', key) ~= number(args.previous) then return true end
  redis.pcall('SET', key, number(args.order), 'PX', 60000)
  return false
end

function commands.commit()
  if is_out_of_order() then return {'again'} end
  local outcomes, done = {}, {}
  -- Removals first, or what is appended now could pass for what a session was handed before the store lost it.
  for i, removal in ipairs(args.removals) do
    local well, verdict = true, 'lost'
    if not lost then well, verdict = pcall(remove, unpack(removal)) end
    done[i] = well and verdict or 'failed'
  end
  for i, draft in ipairs(args.drafts) do
    -- A message that fails leaves the others alone.
    local well, outcome = pcall(append, draft)
    outcomes[i] = well and outcome or {'failed', reason(outcome)}
  end
  local run, batches = data_mark()
  if appended > 0 then
    batches = batches + 1
    pcall(set_data_mark, run, batches)
  end
  for node, messages in pairs(for_nodes) do
    publish(node, {news = messages, run = run, batches = batches, epoch = redis.call('GET', 'chat:epoch')})
  end
  return {outcomes, done, lost and true or false, run, batches, expired}
end
