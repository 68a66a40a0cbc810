-- Senders: which numbers of their devices were accepted, and which log-in of a device is the last.

-- Redis's own time, in seconds.
local function seconds() return math.floor(now() / 1000) end

-- A sender's field in an inbox: "SHARE ACKNOWLEDGED", then " DEVICE N ID" for each device, the last used first, then
-- " /" and ",DEVICE:USED:N:DIGESTS" for each. Servers before this version carry the second part along and do not read it.
-- If its N is not the one of the first part, such a server has stored something since.
local function sender_of(senders, sender)
  local field = redis.call('HGET', senders, sender)
  if not field then return 0, -1, '', '' end
  local share, acknowledged, devices = string.match(field, '^(%d+) (%d+)(.*)$')
  local numbers, notes = string.match(devices, '^(.-) /(%S*)$')
  return tonumber(share), tonumber(acknowledged), numbers or devices, notes or ''
end

local function set_sender(senders, sender, share, acknowledged, numbers, notes)
  local field = number(share) .. ' ' .. number(acknowledged) .. numbers
  redis.call('HSET', senders, sender, notes == '' and field or field .. ' /' .. notes)
end

-- A device's newest N and the ID under which it was stored, and the numbers of the other devices.
local function find_number(numbers, device)
  local from, to, n, id = string.find(numbers, ' ' .. device .. ' (%d+) (%d+)')
  if not from then return 0, 0, numbers end
  return tonumber(n), tonumber(id), string.sub(numbers, 1, from - 1) .. string.sub(numbers, to + 1)
end

-- When a device was used, its digests if they end with the N given, and the notes of the other devices.
local function find_note(notes, device, n)
  local from, to, used, noted, digests = string.find(notes, ',' .. device .. ':(%d+):(%d+):(%x*)')
  if not from then return seconds(), '', notes end
  if tonumber(noted) ~= n then digests = '' end
  return tonumber(used), digests, string.sub(notes, 1, from - 1) .. string.sub(notes, to + 1)
end

-- Whether a device is still remembered at its place, 1 for the last used. Time comes first: a device that was used a moment
-- ago may have a message on its way, however many others there are.
local function is_remembered(used, place)
  local age = seconds() - used
  return age < args.memory and place < args.most and (place < args.devices or age < args.recent)
end

-- The devices that are remembered beside a new one: their numbers, and their notes.
local function remembered(numbers, notes)
  local kept, place = {}, 1
  for device, n in string.gmatch(numbers, ' (%x+) (%d+) %d+') do
    if is_remembered(find_note(notes, device, tonumber(n)), place) then
      kept[device], place = true, place + 1
    end
  end
  numbers = string.gsub(numbers, ' (%x+) %d+ %d+', function(device) return not kept[device] and '' or nil end)
  notes = string.gsub(notes, ',(%x+):%d+:%d+:%x*', function(device) return not kept[device] and '' or nil end)
  return numbers, notes
end

-- A text's digest of `args.digits` digits; those of a device's last `args.digests` messages are remembered.
local function digest(text) return string.sub(redis.sha1hex(text), 1, args.digits) end

-- Whether a message, `back` numbers before the last one accepted, may be the one that was accepted under its number.
local function is_the_same(digests, back, text)
  local from = #digests - (back + 1) * args.digits + 1
  return from < 1 or string.sub(digests, from, from + args.digits - 1) == digest(text)
end

-- A user's devices that send stand in one text, " DEVICE:USED:GENERATION" for each, the last used first. Returns a
-- device's generation, nil if it has none, and the text of the other devices.
local function find_generation(devices, device)
  local from, to, generation = string.find(devices, ' ' .. device .. ':%d+:(%d+)')
  if not from then return nil, devices end
  return tonumber(generation), string.sub(devices, 1, from - 1) .. string.sub(devices, to + 1)
end

-- The newest generation that a user's sessions took, and the text of the devices.
local function generations(uid)
  local newest, devices = string.match(redis.call('GET', generations_of(uid)) or '0', '^(%d+)(.*)$')
  return tonumber(newest), devices
end

local function set_generation(uid, newest, device, generation, others)
  local devices = ' ' .. device .. ':' .. seconds() .. ':' .. number(generation) .. others
  redis.call('SET', generations_of(uid), number(newest) .. devices)
end

local function remembered_generations(devices)
  local place = 1
  return (string.gsub(devices, ' %x+:(%d+):%d+', function(used)
    if not is_remembered(tonumber(used), place) then return '' end
    place = place + 1
  end))
end

-- Take a generation above all that this user's sessions have taken. It also becomes the device's, if there is one.
local function take_generation(uid, before, device)
  local newest, devices = generations(uid)
  local generation = math.max(before, newest) + 1
  if device then
    local known, others = find_generation(devices, device)
    if not known then others = remembered_generations(others) end
    set_generation(uid, generation, device, generation, others)
  end
  return generation
end

-- Note that a session of a device has this generation, of which the store has lost the claim.
local function restore_generation(uid, device, generation)
  local newest, devices = generations(uid)
  local _, others = find_generation(devices, device)
  set_generation(uid, math.max(newest, generation), device, generation, others)
end
