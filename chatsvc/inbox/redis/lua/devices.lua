-- The devices of a user who has, or had, registered ones. Their key is a hash: `acknowledged`, "ID COPIES BYTES", is the
-- highest position of any device, ever, and what the log had taken by then; `end`, "COPIES BYTES", is what it has taken by
-- now. Each device has a field of its name, '-' for the unnamed one: "NODE GENERATION POSITION SERIAL BYTES FIRST USED
-- CLIENT". SERIAL is that of the last message that was shown at the position, BYTES what the log had taken by then, FIRST
-- and USED are times in ms. CLIENT is "+SERIAL PROGRAM", the store's serial when the device was registered; before there were
-- rooms it was the program alone. Node and generation of the unnamed device stand in its session's key. A room's name, '#7',
-- has the account's position there (room_log.lua).

local UNNAMED = '-'

local function parse_device(text)
  local node, generation, position, serial, bytes, first, used, client =
    string.match(text, '^(%S+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$')
  if not node then error('a field of devices that another program put there') end
  return {
    node = node,
    generation = tonumber(generation),
    position = tonumber(position),
    serial = tonumber(serial),
    bytes = tonumber(bytes),
    first = tonumber(first),
    used = tonumber(used),
    client = client,
  }
end

local function format_device(device)
  return table.concat({
    device.node,
    number(device.generation),
    number(device.position),
    number(device.serial),
    number(device.bytes),
    number(device.first),
    number(device.used),
    device.client,
  }, ' ')
end

-- Another program has deleted the log, and ids begin again: nobody has acknowledged what will get them.
local function begin_anew(log)
  log.acknowledged_copies, log.acknowledged_bytes, log.is_changed = log.copies, log.bytes, true
  for _, device in pairs(log.devices) do
    device.position, device.bytes, device.is_changed = math.min(device.position, log.last), log.bytes, true
  end
end

-- Read the devices of a log's user into it.
local function read_devices(log)
  log.devices = {}
  local acknowledged = 0
  local fields = redis.call('HGETALL', devices_of(log.uid))
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'acknowledged' then
      local id, copies, bytes = string.match(value, '^(%d+) (%d+) (%d+)$')
      acknowledged = tonumber(id)
      log.acknowledged_copies, log.acknowledged_bytes = tonumber(copies), tonumber(bytes)
    elseif name == 'end' then
      local copies, bytes = string.match(value, '^(%d+) (%d+)$')
      log.copies, log.bytes = tonumber(copies), tonumber(bytes)
    elseif string.byte(name) ~= 35 then -- '#'
      log.devices[name] = parse_device(value)
    end
  end
  log.acknowledged = math.max(log.front, math.min(acknowledged, log.last))
  if acknowledged > log.last then begin_anew(log) end
  local unnamed = log.devices[UNNAMED]
  if unnamed then unnamed.node, unnamed.generation = log.node, log.generation end
end

-- Begin to keep the devices of a log's user, at what was acknowledged. The unnamed device is registered if it has logged
-- in, or if something waits since before there were devices.
local function begin_devices(log, has_logged_in)
  log.devices, log.is_marked = {}, true
  log.copies, log.bytes, log.acknowledged_copies, log.acknowledged_bytes = 0, 0, 0, 0
  if has_logged_in or log.is_old or log.first and note_of(log.first).serial == 0 then
    log.devices[UNNAMED] = {
      node = log.node, generation = log.generation, position = log.acknowledged,
      serial = 0, bytes = 0, first = now(), used = now(), client = '', is_changed = true,
    }
  end
  claim_for(log.uid, log.node, log.generation, true)
end

-- Whether a device is too far behind: the unnamed one behind what another has acknowledged, others behind the end.
local function is_too_far_behind(log, name, device)
  local id, bytes = log.last, log.bytes
  if name == UNNAMED then id, bytes = log.acknowledged, log.acknowledged_bytes end
  return id - device.position > args.device_backlog or bytes - device.bytes > args.device_bytes
end

-- Whether the user of a log has another registered device than this one, to which a copy can go. One that is too far
-- behind is about to be forgotten: it gets none, or copies that nobody acknowledges would grow without end.
local function has_another(log, device)
  for name, other in pairs(log.devices) do
    if name ~= UNNAMED and name ~= device and not is_too_far_behind(log, name, other) then return true end
  end
  return false
end

local NOWHERE = {}

-- The other nodes at which devices of a log's user are logged in.
local function nodes_of(log)
  if not log.devices then return is_elsewhere(log.node) and {log.node} or NOWHERE end
  local found = {}
  if is_elsewhere(log.node) then found[1] = log.node end
  local seen = {[log.node] = true}
  for name, device in pairs(log.devices) do
    if name ~= UNNAMED and not seen[device.node] and is_elsewhere(device.node) then
      seen[device.node] = true
      found[#found + 1] = device.node
    end
  end
  return found
end

-- The sessions of this node whose device is not registered any more: uid and device each.
local forgotten = {}

-- Forget a device, and notify its session; `on_request`: somebody asked for it.
local function forget_device(log, name, on_request)
  local device = log.devices[name]
  log.devices[name], log.is_changed = nil, true
  log.removed = log.removed or {}
  log.removed[#log.removed + 1] = name
  local spoken = name == UNNAMED and '' or name
  if device.node == args.node then forgotten[#forgotten + 1] = {log.uid, spoken} end
  if is_elsewhere(device.node) then publish(device.node, {forgotten = {{log.uid, spoken, on_request}}}) end
end

-- Note that a device's node has ended without a word: it was in use until then, for all that anybody knows.
local function log_out(log, name, device)
  device.node, device.used, device.is_changed = '-', now(), true
  if name ~= UNNAMED then return end
  log.node = '-'
  claim_for(log.uid, '-', log.generation, log.is_marked)
end

-- Whether a device was unused for too long, or is too far behind.
local function is_to_be_forgotten(log, name, device)
  if device.node ~= '-' and not is_alive(device.node) then log_out(log, name, device) end
  if device.node == '-' and now() - device.used > args.device_days * 86400000 then return true end
  return is_too_far_behind(log, name, device)
end

-- A batch does that, no claim: a device that finds too much before it could never come in.
local function forget_devices(log)
  for name, device in pairs(log.devices) do
    if is_to_be_forgotten(log, name, device) then forget_device(log, name) end
  end
end

-- The registered device that is offline and was unused longest; nil: all are online. And how many there are.
local function least_used(log)
  local found, count
  count = 0
  for name, device in pairs(log.devices) do
    if name ~= UNNAMED then
      count = count + 1
      local offline = not is_alive(device.node)
      if offline and (not found or device.used < log.devices[found].used) then found = name end
    end
  end
  return found, count
end

local function write_devices(log)
  local fields = {
    'acknowledged', number(log.acknowledged) .. ' ' .. number(log.acknowledged_copies) .. ' ' .. number(log.acknowledged_bytes),
    'end', number(log.copies) .. ' ' .. number(log.bytes),
  }
  for name, device in pairs(log.devices) do
    if device.is_changed then
      fields[#fields + 1] = name
      fields[#fields + 1] = format_device(device)
      device.is_changed = nil
    end
  end
  if log.removed then redis.call('HDEL', devices_of(log.uid), unpack(log.removed)) end
  redis.call('HSET', devices_of(log.uid), unpack(fields))
  log.is_changed, log.removed = nil, nil
end
