-- The log of a room, named as in its keys: '#7'. Beside the stream stands the hash `version`: the room's version, the ids
-- `first` and `last`, the serial of the last entry, and how many bytes of names and texts are kept. An entry's last field
-- says "SERIAL BYTES MARK", its own bytes, and which device is not handed it, '*' if none is to be left out; an event has
-- "SERIAL BYTES * VERSION".

local function entries_of(name) return 'chat:{' .. name .. '}:log' end
local function version_of(name) return 'chat:{' .. name .. '}:version' end
local function members_of(name) return 'chat:{' .. name .. '}:members' end
-- The nodes at which a room is read.
local function readers_of(name) return 'chat:{' .. name .. '}:nodes' end

-- The rooms that this call touches, by name.
local rooms = {}

-- A room's log as it is; `version` is nil if there is none. It has what an inbox has where its senders' numbers are judged.
local function room_of(name)
  local room = rooms[name]
  if room then return room end
  room = {name = name, inbox = entries_of(name), senders = senders_of(name), waiting = 0, nodes = NOWHERE}
  local fields = redis.call('HMGET', version_of(name), 'version', 'first', 'last', 'serial', 'bytes')
  room.version = tonumber(fields[1]) or nil
  room.front, room.last = (tonumber(fields[2]) or 1) - 1, tonumber(fields[3]) or 0
  room.serial, room.bytes = tonumber(fields[4]) or 0, tonumber(fields[5]) or 0
  rooms[name] = room
  return room
end

-- The other nodes at which a room is read. Those that are not there any more are taken out.
local function nodes_of_room(room)
  if room.elsewhere then return room.elsewhere end
  local found, gone = {}, {}
  for _, node in ipairs(redis.call('SMEMBERS', readers_of(room.name))) do
    if is_elsewhere(node) then
      found[#found + 1] = node
    elseif node ~= args.node then
      gone[#gone + 1] = node
    end
  end
  if #gone > 0 then redis.call('SREM', readers_of(room.name), unpack(gone)) end
  room.elsewhere = found
  return found
end

-- Add an entry to a room's log, and publish it later; `mark` is what stands behind the bytes in its last field. All that can
-- be refused was read before: nothing fails between the two writes.
local function add_to_room(room, sender, name, at, text, mark, serial)
  local id, size = room.last + 1, #name + #text
  local note = serial .. ' ' .. number(size) .. ' ' .. mark
  redis.call('XADD', room.inbox, number(id), 'f', sender, 'u', name, 'a', at, 't', text, 'x', note)
  room.last, room.serial, room.bytes = id, tonumber(serial), room.bytes + size
  redis.call('HSET', version_of(room.name), 'last', number(id), 'serial', serial, 'bytes', number(room.bytes))
  appended = appended + 1
  local entry = {room.name, id, sender, name, at, text, note}
  for _, node in ipairs(nodes_of_room(room)) do
    local news = for_nodes[node] or {messages = {}, marks = {}}
    for_nodes[node] = news
    news.rooms = news.rooms or {}
    news.rooms[#news.rooms + 1] = entry
  end
  return entry
end

-- Delete the entries up to `room.front`.
local function cut_room(room)
  if room.front == room.last then room.bytes = 0 end
  redis.call('XTRIM', room.inbox, 'MINID', number(room.front + 1))
  redis.call('HSET', version_of(room.name), 'first', number(room.front + 1), 'bytes', number(room.bytes))
end

-- Delete the oldest entries until the others are within the window and its bytes.
local function trim_room(room)
  local function is_over() return room.last - room.front > args.window or room.bytes > args.room_bytes end
  if not is_over() then return end
  -- Mostly the batch has brought as many as the window has too many; how many the bytes are too many, nobody knows.
  local count = math.max(1, math.min(64, room.last - room.front - args.window))
  repeat
    local page = redis.call('XRANGE', room.inbox, number(room.front + 1), '+', 'COUNT', count)
    for _, entry in ipairs(page) do
      -- What was retracted has left a gap before the entry.
      room.front = math.max(room.front, math.min(id_of(entry) - 1, room.last - args.window))
      if not is_over() then break end
      room.front, room.bytes = id_of(entry), room.bytes - note_of(entry).copies
    end
  until not is_over() or #page < count
  cut_room(room)
end

local function trim_rooms()
  for _, room in pairs(rooms) do
    if room.version then trim_room(room) end
  end
end

-- The serial of a log's entry; nil: it is not kept.
local function serial_of_entry(room, id)
  if id <= room.front or id > room.last then return nil end
  if id == room.last then return room.serial end
  local note = note_at(room.inbox, id)
  return note and note.id == id and note.serial or nil
end

-- The serial of the last entry up to an id, which need not be there: it may have been retracted; nil: none is kept.
local function serial_up_to(room, id)
  if id <= room.front then return nil end
  if id >= room.last then return room.serial end
  local note = note_at(room.inbox, id)
  return note and note.serial
end

-- The serial of a log's first entry; 0: there is none.
local function first_serial(room)
  if room.front == room.last then return 0 end
  if room.first then return room.first end
  local entry = redis.call('XRANGE', room.inbox, '-', '+', 'COUNT', 1)[1]
  room.first = entry and note_of(entry).serial or 0
  return room.first
end

-- An account's position in a room stands among its devices, in a field of the room's name: "ID SERIAL". Returns both; nil:
-- there is none.
local function parse_position(text)
  local id, serial = string.match(text or '', '^(%d+) (%d+)$')
  return tonumber(id), tonumber(serial)
end
