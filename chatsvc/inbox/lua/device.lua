-- Devices that send: which of their numbers were accepted, and which log-in of them is the last.

-- Devices stand in one text, " DEVICE:USED:REST" for each, the last used first; USED is in seconds.

-- What a text says of a device after USED, and the others.
local function find_device(devices, device)
  local from, to, rest = string.find(devices, ' ' .. device .. ':%d+:(%S*)')
  if not from then return nil, devices end
  return rest, string.sub(devices, 1, from - 1) .. string.sub(devices, to + 1)
end

-- The devices that are still remembered beside a new one: by time first. One that was used a moment ago may have a
-- message on its way, however many others there are.
local function remembered(devices)
  local kept, seconds = {''}, math.floor(now() / 1000)
  for device, used in string.gmatch(devices, '(%x+:(%d+):%S*)') do
    local age, place = seconds - tonumber(used), #kept
    if age < asked.memory and place < asked.most and (place < asked.devices or age < asked.recent) then
      kept[#kept + 1] = device
    end
  end
  return table.concat(kept, ' ')
end

local function put_device(device, rest, others)
  return ' ' .. device .. ':' .. math.floor(now() / 1000) .. ':' .. rest .. others
end

-- A sender's field: "SHARE ACKNOWLEDGED", and then the devices, of each N:ID:DIGESTS. Servers before this version wrote
-- " DEVICE N ID" for each.
local function sender_of(senders, sender)
  local field = redis.call('HGET', senders, sender)
  if not field then return 0, -1, '' end
  local share, acknowledged, devices = string.match(field, '^(%d+) (%d+)(.*)$')
  if devices ~= '' and not string.find(devices, ':', 1, true) then
    local seconds = math.floor(now() / 1000)
    devices = string.gsub(devices, ' (%x+) (%d+) (%d+)', ' %1:' .. seconds .. ':%2:%3:')
  end
  return tonumber(share), tonumber(acknowledged), devices
end

-- Of how many of a device's messages, and by how many digits, the texts are remembered.
local DIGESTS, DIGITS = 64, 6

local function digest(text) return string.sub(redis.sha1hex(text), 1, DIGITS) end

-- Whether a message that has a number which was accepted may be the one that was accepted.
local function is_the_same(digests, back, text)
  local from = #digests - (back + 1) * DIGITS + 1
  return from < 1 or string.sub(digests, from, from + DIGITS - 1) == digest(text)
end

-- The newest generation that a user's sessions took, and the generation of each device: with which it may send.
local function generations(uid)
  local newest, devices = string.match(redis.call('GET', generations_of(uid)) or '0', '^(%d+)(.*)$')
  return tonumber(newest), devices
end

local function set_generation(uid, newest, device, generation, others)
  local devices = put_device(device, number(generation), others)
  redis.call('SET', generations_of(uid), number(newest) .. devices)
end

-- A generation above all that this user's sessions have taken, which also becomes the device's, if there is one.
local function take_generation(uid, before, device)
  local newest, devices = generations(uid)
  local generation = math.max(before, newest) + 1
  if device then
    local known, others = find_device(devices, device)
    if not known then others = remembered(others) end
    set_generation(uid, generation, device, generation, others)
  end
  return generation
end
