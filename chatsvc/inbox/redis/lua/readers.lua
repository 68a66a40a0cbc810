-- Commands for a session and its reader: claim an inbox or a device, read, and check what was handed out.

-- Whether nobody waits for a claim any more: the user may have logged in elsewhere by now.
local function is_late() return args['until'] and now() > args['until'] end

-- End the sessions of the unnamed device, or of a registered one, that are `device`, with and without the feature: it
-- numbers the messages of one series.
local function end_same_device(log, device, generation)
  local known = log.devices and log.devices[device]
  if known then
    notify_taken(known.node, log.uid, generation, device)
    known.node, known.generation, known.is_changed, log.is_changed = '-', generation, true, true
  end
end

local function is_unnamed_session_of(log, device)
  local _, sending = generations(log.uid)
  return log.node ~= '-' and find_generation(sending, device) == log.generation
end

local function end_unnamed(log, generation)
  notify_taken(log.node, log.uid, generation)
  log.node, log.generation = '-', generation
  claim_for(log.uid, '-', generation, log.is_marked)
end

-- Claim an inbox for the unnamed device.
function commands.claim()
  local log = log_of(args.uid)
  if args.renewed then
    if is_held(log.node, log.generation, args.renewed) then return {} end
    if log.devices and not log.devices[UNNAMED] then return {'unregistered'} end
  end
  if is_late() then return {'late'} end
  expire(log)
  if args.after and args.after > log.last then renew_epoch(log.uid) end
  local older = log.node
  local generation = take_generation(log.uid, log.generation, args.device)
  if args.device then end_same_device(log, args.device, generation) end
  log.node, log.generation = args.node, generation
  claim_for(log.uid, args.node, generation, log.is_marked)
  notify_taken(older, log.uid, generation)
  local position = log.acknowledged
  if log.devices then
    local device = log.devices[UNNAMED]
    if not device then
      device = {
        node = args.node, generation = generation, position = position,
        serial = 0, bytes = log.acknowledged_bytes, first = now(), client = '',
      }
      log.devices[UNNAMED] = device
    end
    device.used, device.is_changed, log.is_changed = now(), true, true
    device.position = math.min(math.max(device.position, log.front), log.last)
    position = device.position
  end
  settle(log)
  return {generation, epoch(log.uid), log.last, log.waiting, position, expired}
end

-- Where a registered device begins to read.
local function begin_of(log, device)
  local after, serial = args.after, tonumber(args.serial)
  if not serial then
    return device and math.min(math.max(device.position, log.front), log.last) or log.acknowledged
  end
  local note = after and after > log.front and note_at(log.inbox, after)
  if note and note.id == after and note.serial == serial then return after end
  local last = last_not_above(log, serial)
  note = last > log.front and note_at(log.inbox, last)
  -- Of what has no serial, ids tell what it knows: a node of before there were serials may have stored it last.
  if serial == 0 then return math.max(log.front, math.min(after or 0, last)) end
  if after and note and note.serial == 0 then return math.max(log.front, math.min(after, last)) end
  return last
end

-- The serial up to which a client knows all that there is, if that of the last message that it has shown is `serial`. A node
-- of before there were serials may have stored that message, after others that have one.
local function serial_known(log, begin, note, serial)
  if note and note.serial == 0 then return number(math.max(tonumber(serial), serial_at(log.inbox, begin))) end
  return serial
end

-- What a registered device should be told that it missed: after, until and the serial of the first message that is still
-- there; nil: nothing. What lies between what it has shown and its position was not for it, unless it has an older state.
local function missed_by(log, device)
  local after, serial = args.after, tonumber(args.serial)
  if not (after and serial) or after >= log.front then return nil end
  if device and serial >= device.serial and device.position >= log.front then return nil end
  local first = log.length > 0 and note_of(redis.call('XRANGE', log.inbox, '-', '+', 'COUNT', 1)[1])
  return {after, log.front, number(first and first.serial or 0)}
end

-- The store's serial when a device was registered (0: that is not known), and its program.
local function registration_of(device)
  local serial, program = string.match(device.client, '^%+(%d+) (.*)$')
  return tonumber(serial or '0'), program or device.client
end

-- Make room for another registered device, if there has to be; whether there is.
local function has_room(log)
  while true do
    local unused, count = least_used(log)
    if count < args.most_devices then return true end
    if not unused then return false end
    forget_device(log, unused)
  end
end

-- A device's client has shown all that lies before where it begins. A claim that only renews one passes nothing: what a
-- session was handed may never be shown.
local function pass_to_beginning(log, device, begin, note, missed)
  device.position = math.min(math.max(device.position, begin), log.last)
  if note and device.position == begin then device.bytes = note.bytes end
  local serial = tonumber(args.serial or '0')
  -- Until it has shown more it is told again: the answer may be lost.
  if missed then serial = serial + 1 end
  device.serial = math.max(device.serial, math.min(serial, last_serial() + 1))
  raise_acknowledged(log, begin, note)
  recount(log)
end

-- Claim an inbox for a registered device; the first claim registers it.
function commands.claim_registered()
  local log, name = log_of(args.uid), args.device
  local device = log.devices and log.devices[name]
  if args.renewed then
    if not device then return {'unregistered'} end
    if is_held(device.node, device.generation, args.renewed) then return {} end
  end
  if is_late() then return {'late'} end
  if not log.devices then begin_devices(log, redis.call('EXISTS', session_of(log.uid)) == 1) end
  if not device and not has_room(log) then return {'too-many'} end
  expire(log)
  local begin, missed = begin_of(log, device), missed_by(log, device)
  local before = math.max(log.generation, device and device.generation or 0)
  local registered_at = device and registration_of(device) or last_serial()
  local is_same = is_unnamed_session_of(log, name)
  local generation = take_generation(log.uid, before, name)
  if is_same then end_unnamed(log, generation) end
  if device then
    notify_taken(device.node, log.uid, generation, name)
  else
    device = {position = begin, serial = 0, first = now(), bytes = log.acknowledged_bytes}
    log.devices[name] = device
  end
  device.node, device.generation, device.used, device.client = args.node, generation, now(), '+' .. number(registered_at) .. ' ' .. args.client
  device.is_changed, log.is_changed = true, true
  local note = note_at(log.inbox, begin)
  if not args.renewed then pass_to_beginning(log, device, begin, note, missed) end
  settle(log)
  local serial = args.serial and serial_known(log, begin, note, args.serial)
    or number(note and note.id == begin and note.serial > 0 and note.serial or last_serial())
  return {
    generation, log.last, log.waiting, device.position, expired, begin, serial, missed or false,
    number(registered_at),
  }
end

-- A session that only sends takes over the device and leaves the inbox alone.
function commands.claim_device()
  if is_late() then return {'late'} end
  local log = log_of(args.uid)
  local generation = take_generation(log.uid, log.generation, args.device)
  return {generation, log.waiting}
end

-- Give up the sessions of a user of whom this node knows nothing: their claims ran after they had been given up.
function commands.release()
  local log = log_of(args.uid)
  if log.node == args.node then claim_for(log.uid, '-', log.generation, log.is_marked) end
  for name, device in pairs(log.devices or {}) do
    if name ~= UNNAMED and device.node == args.node then
      device.node, device.is_changed, log.is_changed = '-', true, true
    end
  end
  settle(log)
  return {}
end

function commands.read()
  -- What stands here behind a cursor of other data is not what comes next.
  if lost then return {} end
  local page = {}
  if redis.call('EXISTS', old_list_of(args.uid)) == 1 then log_of(args.uid) end
  for i, entry in ipairs(redis.call('XRANGE', inbox_of(args.uid), args.from, '+', 'COUNT', args.limit)) do
    local fields, note = entry[2], note_of(entry)
    local to = note.to
    if note.reference ~= '' then to = (to ~= '' and to or '0') .. ' ' .. note.reference end
    page[i] = {note.id, number(note.serial), to, note.device, fields[2], fields[4], fields[6], fields[8]}
  end
  local run, batches = data_mark()
  return {run, batches, page, number(last_serial())}
end

-- The registered devices of a user.
function commands.devices()
  local log, found = look_at(args.uid), {}
  for name, device in pairs(log.devices or {}) do
    if name ~= UNNAMED then
      local _, program = registration_of(device)
      found[#found + 1] = {name, program, number(device.first), number(device.used), is_alive(device.node) and device.node ~= '-'}
    end
  end
  return found
end

-- Forget a registered device. Returns whether it was there, and the sessions of this node that end.
function commands.forget()
  local log = log_of(args.uid)
  -- A session that sends under the name, and is no registered device's, sends no more either.
  local _, sending = generations(log.uid)
  if find_generation(sending, args.device) then take_generation(log.uid, log.generation, args.device) end
  if not (log.devices and log.devices[args.device]) then return {false, forgotten} end
  forget_device(log, args.device, true)
  settle(log)
  return {true, forgotten}
end

-- Whether the message at a cursor is not the one that was handed to its session: the ids were given out twice.
local function is_another(inbox, id, at)
  local entry = redis.call('XRANGE', inbox, number(id), number(id))[1]
  return entry ~= nil and (at == cjson.null or (tonumber(entry[2][6]) or 0) ~= at)
end

-- The comparisons' results, as the command `check` returns them.
local stale, taken, stepped_back = {}, {}, {}

local function claim_again(log, generation)
  notify_taken(log.node, log.uid, generation)
  log.node, log.generation = args.node, generation
  claim_for(log.uid, args.node, generation, log.is_marked)
end

local function check_unnamed(log, cursor)
  local uid, id, generation, at, shown = unpack(cursor)
  local current = log.generation
  if is_held(log.node, current, generation) then
    taken[#taken + 1] = {uid, '', number(current)}
  elseif log.devices and not log.devices[UNNAMED] then
    forgotten[#forgotten + 1] = {uid, ''}
  elseif id > log.last or is_another(log.inbox, id, at) or lost and id < shown then
    -- Or the client was shown more in an earlier session, and nobody can tell whether that is still what is there.
    renew_epoch(uid)
    -- The removals that its session still has to send are of the epoch before.
    claim_again(log, math.max(current, generation) + 1)
    stale[#stale + 1] = uid
  else
    if lost then keep_epoch(uid) end
    -- The store has lost the claim, or taken this node for dead.
    if current < generation or log.node == '-' then claim_again(log, generation) end
  end
end

local function check_registered(log, cursor)
  local uid, id, generation, _, _, name, serial = unpack(cursor)
  local device = log.devices and log.devices[name]
  if not device then
    forgotten[#forgotten + 1] = {uid, name}
  elseif is_held(device.node, device.generation, generation) then
    taken[#taken + 1] = {uid, name, number(device.generation)}
  else
    if device.generation < generation then
      restore_generation(uid, name, generation)
      device.generation = generation
      notify_taken(device.node, uid, generation, name)
    end
    device.node, device.is_changed, log.is_changed = args.node, true, true
    local place = math.min(id, last_not_above(log, tonumber(serial)))
    if place < id then
      device.generation = take_generation(uid, math.max(log.generation, device.generation), name)
      device.position = math.min(device.position, place)
      stepped_back[#stepped_back + 1] = {uid, name, place, number(device.generation)}
    end
  end
end

-- cursor: uid, id, generation, time of the message that was handed out last or null, the last id that the client knows, and
-- for a registered device its name and the serial of that message
function commands.check()
  for _, cursor in ipairs(args.cursors) do
    local log = log_of(cursor[1])
    if cursor[6] then check_registered(log, cursor) else check_unnamed(log, cursor) end
  end
  for _, log in pairs(logs) do settle(log) end
  return {stale, taken, stepped_back, forgotten}
end
