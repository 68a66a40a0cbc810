-- A batch: removals, then messages. All of it is stored in one step, so that what is confirmed is stored once (P1 of
-- docs/protocol.md).

-- The sessions of the unnamed devices of this batch's senders, by uid.
local senders = {}

local function session_of_sender(sender)
  local place = senders[sender]
  if not place then
    place = {}
    place.node, place.generation, place.is_marked = session(sender)
    senders[sender] = place
  end
  return place
end

-- The generations of the devices that send in this batch, by sender and device.
local sending = {}

-- Whether a device has logged in again since the session that took this generation.
local function is_superseded(sender, device, generation)
  local key = sender .. ' ' .. device
  if not sending[key] then
    local _, devices = generations(sender)
    sending[key] = find_generation(devices, device) or 0
    if sending[key] < generation then
      restore_generation(sender, device, generation)
      sending[key] = generation
    end
  end
  return generation < sending[key]
end

-- Whether a session's message comes from the registered device that it says: nil, or why it is not stored. Then also the
-- inbox that a copy goes into; nil: none does.
local function check_own_inbox(to, sender, device, sent_by, registered)
  local own = log_of(sender)
  if registered then
    local known = own.devices and own.devices[device]
    if not known then
      forgotten[#forgotten + 1] = {sender, device}
      return {'unregistered'}
    end
    if known.generation > sent_by then return {'moved'} end
  end
  if to ~= sender and own.devices and has_another(own, device) then return nil, own end
end

-- What the inbox knows of a message's number: an outcome if it is not the next one, else the numbers and notes of the
-- sender's devices with it.
local function judge_number(log, text, device, n, again, numbers, notes)
  local newest, id, others = find_number(numbers, device)
  local _, digests, other_notes = find_note(notes, device, newest)
  local back = newest - tonumber(n)
  if back >= 0 and is_the_same(digests, back, text) then
    local note = back == 0 and note_at(log.inbox, id)
    local serial = note and note.id == id and note.serial or 0
    return {'duplicate', back == 0 and id or 0, log.waiting, #log.nodes > 0, number(serial)}
  end
  -- Also for another text under a number that was accepted: that text was never stored.
  if back ~= -1 or again ~= '' then return {'gap', number(newest + 1)} end
  if newest == 0 then others, other_notes = remembered(others, other_notes) end
  digests = string.sub(digests .. digest(text), -args.digests * args.digits)
  numbers = ' ' .. device .. ' ' .. n .. ' ' .. number(log.last + 1) .. others
  notes = ',' .. device .. ':' .. seconds() .. ':' .. n .. ':' .. digests .. other_notes
  return nil, numbers, notes
end

-- Put what is stored on its way into the archive, too; `place` is its recipient's uid, or a room as '#7'.
local function archive(place, sender, name, at, text, serial, reference)
  if not args.archive then return end
  local note = serial .. ' ' .. place
  if reference then note = note .. ' ' .. reference end
  redis.call('XADD', 'chat:archive', '*', 'f', sender, 'u', name, 'a', at, 't', text, 'x', note)
end

-- Whether a message is none of its own, but changes the one that its reference names.
local function is_change(reference) return reference and string.byte(reference) ~= 97 end -- 'a'

-- That a message was retracted is remembered for an hour (seconds): a change that was judged before must not come after it (P6).
local REMEMBERED = 3600

local function is_retracted(target) return redis.call('EXISTS', 'chat:retracted:' .. target) == 1 end
local function note_retracted(target) redis.call('SET', 'chat:retracted:' .. target, '', 'EX', REMEMBERED) end

-- What is published of a message of an inbox besides.
local function news_mark(serial, to, device, reference)
  if not (to or reference) then return {serial} end
  to = to or '0'
  return {serial, reference and to .. ' ' .. reference or to, device or '-'}
end

-- Put a copy of what a user sends into that user's own inbox, for the other devices.
local function add_copy(own, to, sender, name, at, text, serial, device, reference)
  device = device ~= '' and device or '-'
  add(own, sender, name, at, text, serial, to, device, reference)
  publish_later(own, {sender, number(own.last), sender, name, at, text}, news_mark(serial, to, device, reference))
end

-- Store a message under a serial, or say why not. draft: to, sender, name, at, text and perhaps device, n, again (strings,
-- '' if there is none), generation, sending, registered, reference. All that can be refused comes before the first write.
-- A change of an earlier message goes only into an inbox with a registered device; its id is 0 if it is in none.
local function append(draft, serial)
  local to, sender, name, at, text, device, n, again, generation, sent_by, registered, reference = unpack(draft)
  local has_devices, trouble, own = registered, nil, nil
  if generation and generation > 0 then
    local place = session_of_sender(sender)
    if is_taken(place.node, place.generation, generation) then return {'moved'} end
    has_devices = place.is_marked
  end
  if has_devices then
    trouble, own = check_own_inbox(to, sender, device, sent_by, registered)
    if trouble then return trouble end
  end
  if sent_by and sent_by > 0 and is_superseded(sender, device, sent_by) then return {'moved'} end
  local log = log_of(to)
  local share, since, numbers, notes = sender_of(log.senders, sender)
  if n and n ~= '' then
    trouble, numbers, notes = judge_number(log, text, device, n, again, numbers, notes)
    if trouble then return trouble end
  end
  local kind, target = string.match(reference or '', '^(%a)(%d+)$')
  if is_change(reference) and is_retracted(target) then return {'gone'} end
  if since ~= log.acknowledged then share = 0 end
  local is_here = not is_change(reference) or log.devices and has_another(log, '')
  if is_here then
    if log.waiting >= args.waiting then
      expire(log)
      if log.waiting >= args.waiting then return {'full', log.waiting, false} end
      if since ~= log.acknowledged then share = 0 end
    end
    if share >= args.share then return {'full', log.waiting, true} end
    add(log, sender, name, at, text, serial, nil, nil, reference)
    share = share + 1
  end
  appended = appended + 1
  set_sender(log.senders, sender, share, log.acknowledged, numbers, notes)
  if not log.renewed then log.renewed = redis.call('EXPIRE', log.senders, args.memory) end
  archive(to, sender, name, at, text, serial, reference)
  if kind == 'x' then note_retracted(target) end
  local is_elsewhere_too, id = #log.nodes > 0, is_here and log.last or 0
  if is_elsewhere_too and is_here then
    publish_later(log, {to, number(id), sender, name, at, text}, news_mark(serial, nil, nil, reference))
  end
  if own then add_copy(own, to, sender, name, at, text, serial, device, reference) end
  if not (own or is_elsewhere_too) then return {'stored', id, log.waiting} end
  return {'stored', id, log.waiting, is_elsewhere_too, is_elsewhere(log.node), own and own.last or 0}
end

-- Remove what the session of the unnamed device has received.
local function remove_of_unnamed(log, generation, up_to, leaving)
  if log.devices and not log.devices[UNNAMED] then return 'unregistered' end
  if is_taken(log.node, log.generation, generation) then return 'taken' end
  if log.generation ~= generation then return 'refused' end
  -- An id that was not given out yet was given out by a store that has since lost it.
  local known = up_to <= log.last
  -- First, because a Redis that is full refuses the rest.
  if known and log.devices then
    acknowledge(log, UNNAMED, up_to, 0)
  elseif known then
    remove_up_to(log, up_to)
  end
  if leaving then
    claim_for(log.uid, '-', generation, log.is_marked)
    log.node = '-'
    if log.devices then log.devices[UNNAMED].node = '-' end
    log.nodes = nodes_of(log)
  end
  return known and 'removed' or 'refused'
end

-- Remove what the session of a registered device has received.
local function remove_of_registered(log, generation, up_to, leaving, name, shown)
  local device = log.devices and log.devices[name]
  if not device then return 'unregistered' end
  if is_taken(device.node, device.generation, generation) then return 'taken' end
  if device.generation ~= generation then return 'refused' end
  local known = up_to <= log.last
  if known then acknowledge(log, name, up_to, shown) end
  if leaving then
    device.node, device.is_changed, log.is_changed = '-', true, true
    log.nodes = nodes_of(log)
  end
  return known and 'removed' or 'refused'
end

local function remove(uid, generation, up_to, leaving, device, shown)
  if device then return remove_of_registered(log_of(uid), generation, up_to, leaving, device, shown) end
  return remove_of_unnamed(log_of(uid), generation, up_to, leaving)
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

-- Reserve serials for so many messages, if they can be stored; returns the first one.
local function begin_to_store(count)
  if args.archive then
    -- Another kind of key, or one without ids to give out, must show before the first write.
    local last = redis.call('XREVRANGE', 'chat:archive', '+', '-', 'COUNT', 1)[1]
    if last and last[1] == '18446744073709551615-18446744073709551615' then error('chat:archive takes nothing more', 0) end
  end
  return reserve_serials(count)
end

-- Carry out a batch; `store` stores one draft, `acknowledge` (nil: nothing) takes note of what else was acknowledged. The draft
-- with the number i has the serial that is returned, and 10 * (i - 1) more.
local function commit(store, acknowledge)
  if is_out_of_order() then return {'again'} end
  local outcomes, done = {}, {}
  -- Removals first, or what is appended now could pass for what a session was handed before the store lost it.
  for i, removal in ipairs(args.removals) do
    local well, verdict = true, 'lost'
    if not lost then well, verdict = pcall(remove, unpack(removal)) end
    done[i] = well and verdict or 'failed'
  end
  if acknowledge then acknowledge() end
  local ready, serial = false, 0
  if #args.drafts > 0 then ready, serial = pcall(begin_to_store, #args.drafts) end
  for i, draft in ipairs(args.drafts) do
    -- A message that fails leaves the others alone.
    local well, outcome = false, serial
    if ready then well, outcome = pcall(store, draft, number(serial + 10 * (i - 1))) end
    outcomes[i] = well and outcome or {'failed', reason(outcome)}
  end
  for _, log in pairs(logs) do
    if log.devices and log.is_changed then forget_devices(log) end
    settle(log)
  end
  local run, batches = publish_news()
  return {outcomes, done, lost and true or false, run, batches, expired, number(ready and serial or 0), forgotten}
end
