-- An inbox: a log, how far its user's devices have acknowledged it, and how many messages wait in it.

-- The inboxes that this call touches, by uid.
local logs = {}

-- By how many more messages wait in all inboxes.
local change = 0

-- How many messages had waited too long and were removed by this call.
local expired = 0

-- Count the messages that no device has acknowledged: all behind that id that are no copies.
local function recount(log)
  local waiting = log.length
  if log.devices then
    waiting = log.last - log.acknowledged - math.max(0, log.copies - log.acknowledged_copies)
  end
  change = change + waiting - log.waiting
  log.waiting = waiting
end

-- Append a message; its time `at` is in ms, 0 for what the older server left. Its serial is a text. `to` and `device` make
-- it a copy; `reference` (perhaps nil) says what it has to do with an earlier message.
local function add(log, sender, name, at, text, serial, to, device, reference)
  local id, note = log.last + 1, serial
  if log.devices then
    log.bytes = log.bytes + #name + #text
    if to then log.copies = log.copies + 1 end
    note = note .. ' ' .. number(log.copies) .. ' ' .. number(log.bytes)
    log.is_changed = true
  elseif reference then
    note = note .. ' 0 0'
  end
  if to or reference then note = note .. ' ' .. (device or '-') .. ' ' .. (to or '0') end
  if reference then note = note .. ' ' .. reference end
  redis.call('XADD', log.inbox, id, 'f', sender, 'u', name, 'a', at, 't', text, 'x', note)
  log.last, log.length = id, log.length + 1
  if to then return end
  log.waiting = log.waiting + 1
  change = change + 1
end

-- Move in what the older server left, ahead of everything else; sender 0 marks it.
local function adopt(log)
  local old = old_list_of(log.uid)
  if redis.call('EXISTS', old) == 0 then return end
  for _, text in ipairs(redis.call('LRANGE', old, 0, -1)) do
    add(log, '0', '', '0', text, '0')
  end
  redis.call('DEL', old)
  log.is_old = true
end

-- An inbox as it is. The id before the first entry was acknowledged: somebody may have deleted one behind it.
local function look_at(uid)
  local log = {uid = uid, inbox = inbox_of(uid), senders = senders_of(uid)}
  log.node, log.generation, log.is_marked = session(uid)
  log.last, log.length, log.front, log.first = ends(log.inbox)
  log.acknowledged, log.waiting = log.front, log.length
  if log.is_marked then
    log.copies, log.bytes, log.acknowledged_copies, log.acknowledged_bytes = 0, 0, 0, 0
    read_devices(log)
    log.waiting = log.last - log.acknowledged - math.max(0, log.copies - log.acknowledged_copies)
  end
  return log
end

-- An inbox that this call may change.
local function log_of(uid)
  local log = logs[uid]
  if not log then
    log = look_at(uid)
    adopt(log)
    log.nodes = nodes_of(log)
    logs[uid] = log -- whole, or not at all: another message of this call would be stored and not confirmed
  end
  return log
end

-- Take note that messages up to an id are acknowledged, if that is news. `note` is that of the entry there.
local function raise_acknowledged(log, up_to, note)
  if up_to <= log.acknowledged then return end
  log.acknowledged, log.is_changed = up_to, true
  if note then log.acknowledged_copies, log.acknowledged_bytes = note.copies, note.bytes end
end

-- Delete entries up to an id.
local function cut(log, up_to)
  if up_to <= log.front then return end
  log.length = log.length - redis.call('XTRIM', log.inbox, 'MINID', number(up_to + 1))
  log.front = math.min(up_to, log.last)
end

-- Delete what every device has acknowledged.
local function trim(log)
  local up_to = log.acknowledged
  for _, device in pairs(log.devices) do up_to = math.min(up_to, device.position) end
  cut(log, up_to)
end

-- Remove messages up to an id, whoever has them. Registered devices stay where they are: they are told that they missed
-- something.
local function remove_up_to(log, up_to)
  up_to = math.min(up_to, log.last)
  local unnamed = log.devices and log.devices[UNNAMED]
  if unnamed and unnamed.position < up_to then unnamed.position, unnamed.is_changed, log.is_changed = up_to, true, true end
  raise_acknowledged(log, up_to, log.devices and note_at(log.inbox, up_to))
  cut(log, up_to)
  recount(log)
end

-- Take note that a device has received messages up to an id, and that its client has shown the one with the id `shown`.
local function acknowledge(log, name, up_to, shown)
  local device = log.devices[name]
  -- A Redis that is full takes this, and then also what makes room: it looks at a script's first write only.
  redis.call('HDEL', devices_of(log.uid), '')
  device.used, device.is_changed, log.is_changed = now(), true, true
  local note = note_at(log.inbox, up_to)
  local seen = shown == up_to and note or shown > 0 and note_at(log.inbox, shown)
  if seen and seen.id == shown then device.serial = math.max(device.serial, seen.serial) end
  if up_to <= device.position then return end
  device.position = up_to
  if note then device.bytes = note.bytes end
  raise_acknowledged(log, up_to, note)
  trim(log)
  recount(log)
end

-- Remove what has waited for more than `args.days`, by Redis's clock. What the older server left has no time and stays.
local function expire(log)
  if not args.days then return end
  local oldest = now() - args.days * 86400000
  local from, over, up_to = '-', false, nil
  repeat
    local page = redis.call('XRANGE', log.inbox, from, '+', 'COUNT', 100)
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
  if not up_to then return end
  local before = log.waiting
  remove_up_to(log, up_to)
  expired = expired + before - log.waiting
end

-- Write what has changed in an inbox.
local function settle(log)
  if not log.devices or not log.is_changed then return end
  trim(log)
  recount(log)
  write_devices(log)
end
