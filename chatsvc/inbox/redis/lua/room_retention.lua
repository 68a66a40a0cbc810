-- The end of what is too old in rooms' logs.

-- Delete a log's first entries whose serials are below `before`, `limit` at most. Returns how many these were. What another
-- program put there has the serial 0.
local function expire_room(name, before, limit)
  local room, count = room_of(name), 0
  if room.front == room.last or first_serial(room) >= before then return 0 end
  local is_end
  repeat
    local most = math.min(64, limit - count)
    local page = redis.call('XRANGE', room.inbox, number(room.front + 1), '+', 'COUNT', most)
    is_end = #page < most
    for _, entry in ipairs(page) do
      local note = note_of(entry)
      if note.serial >= before or note.id > room.last then
        is_end = true
        break
      end
      room.front, room.bytes, count = note.id, room.bytes - note.copies, count + 1
    end
  until is_end or count == limit
  cut_room(room)
  return count
end

-- rooms, before, limit. Returns the rooms that may have more; and the names of those whose logs cannot be read, with why: they
-- hold up no others.
function commands.expire_rooms()
  if lost then return {} end
  local left, more, broken = args.limit, {}, {}
  for _, name in ipairs(args.rooms) do
    if left > 0 then
      local is_well, count = pcall(expire_room, name, tonumber(args.before), left)
      if is_well then
        left = left - count
      else
        broken[#broken + 1] = {name, type(count) == 'table' and count.err or tostring(count)}
      end
    end
    if left == 0 then more[#more + 1] = name end
  end
  return {more, broken}
end
