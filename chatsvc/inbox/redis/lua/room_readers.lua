-- Commands for those who read rooms.

-- The last id of a room's log whose serial is not above `serial`; the one before its first entry if there is none. All entries
-- have serials.
local function last_up_to(room, serial)
  local low, high = room.front, room.last
  while low < high do
    local middle = math.ceil((low + high) / 2)
    local note = note_at(room.inbox, middle)
    if not note or note.serial <= serial then low = middle else high = middle - 1 end
  end
  local note = note_at(room.inbox, low) -- what was retracted there has left no entry
  return note and math.max(note.id, room.front) or room.front
end

-- A place in a log: its id, and the serial of the last entry up to there, as far as is known. It is behind the entry with
-- this id and serial if the log has it, else behind the last one whose serial is not above that.
local function place_behind(room, id, serial)
  if not serial then
    id = math.min(math.max(id, room.front), room.last)
    return id, serial_up_to(room, id) or 0
  end
  if serial_of_entry(room, id) == serial then return id, serial end
  if serial >= room.serial then return room.last, room.last > room.front and room.serial or serial end
  local last = last_up_to(room, serial)
  return last, serial_of_entry(room, last) or serial
end

-- Where a session begins to read a room that it knows up to an id and a serial (nil: not at all), but not before `floor`:
-- what has a lower serial is not for it.
local function begin_in(room, id, serial, floor)
  local begin, known = room.front, 0
  if id then begin, known = place_behind(room, id, serial) end
  if begin == room.last or first_serial(room) >= floor then return begin, known end
  if begin > room.front and known >= floor then return begin, known end
  local last = last_up_to(room, floor - 1)
  return last, serial_up_to(room, last) or 0
end

-- Hear of what is stored in a room from now on. A Redis that is full takes that too, behind a write that needs no memory.
local function read_here(name) redis.call('SADD', readers_of(name), args.node) end

-- An account's positions by room.
local function positions_of(uid)
  local found, fields = {}, redis.call('HGETALL', devices_of(uid))
  for i = 1, #fields, 2 do
    if string.byte(fields[i]) == 35 then found[fields[i]] = fields[i + 1] end -- '#'
  end
  return found
end

-- start: room, id and serial as the session says (false: it does not), floor.
function commands.open()
  if lost then return {} end
  redis.call('HDEL', devices_of(args.uid), '')
  local ends_of_rooms, others = {}, {}
  local positions = positions_of(args.uid)
  for i, start in ipairs(args.starts) do
    local name, id, serial, floor = unpack(start)
    read_here(name)
    local room = room_of(name)
    if id then serial = tonumber(serial) else id, serial = parse_position(positions[name]) end
    positions[name] = nil
    local begin, known = begin_in(room, id, serial, tonumber(floor))
    -- Who has all of the log needs not know where that begins.
    local first = (begin < room.last or not id or id < room.front) and first_serial(room) or 0
    ends_of_rooms[i] = {
      name, room.version or 0, room.front, room.last, number(room.serial), begin, number(known), id or false, number(first),
    }
  end
  for name in pairs(positions) do others[#others + 1] = name end
  local run, batches = data_mark()
  return {ends_of_rooms, others, run, batches, number(last_serial())}
end

function commands.read_room()
  if lost then return {} end
  redis.call('SREM', readers_of(args.room), '')
  read_here(args.room)
  local room, page = room_of(args.room), {}
  for i, entry in ipairs(redis.call('XRANGE', room.inbox, number(args.after + 1), '+', 'COUNT', args.limit)) do
    local fields = entry[2]
    page[i] = {args.room, id_of(entry), fields[2], fields[4], fields[6], fields[8], fields[10]}
  end
  local run, batches = data_mark()
  return {run, batches, page, room.front, number(first_serial(room)), number(last_serial())}
end

function commands.close_here()
  for _, name in ipairs(args.rooms) do redis.call('SREM', readers_of(name), args.node) end
  return {}
end
