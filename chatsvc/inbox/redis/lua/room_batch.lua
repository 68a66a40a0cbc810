-- A batch with messages to rooms, or acknowledgements of them.

-- Whether a message comes from the registered device that it says: nil, or why it is not stored.
local function check_device(sender, device, sent_by)
  local own, known = logs[sender], nil
  if own then
    known = own.devices and own.devices[device]
  else
    local field = redis.call('HGET', devices_of(sender), device)
    known = field and parse_device(field)
  end
  if not known then
    forgotten[#forgotten + 1] = {sender, device}
    return {'unregistered'}
  end
  if sent_by < known.generation then return {'moved'} end
end

-- Delete a message from a room's log, and what has edited it (P6): their ids stay empty.
local function delete_from_room(room, target)
  local from, done = '+', false
  repeat
    local page = redis.call('XREVRANGE', room.inbox, from, '-', 'COUNT', 64)
    for _, entry in ipairs(page) do
      local serial, size, reference = string.match(entry[2][10] or '', '^(%d+) (%d+) %S+ ?(%S*)$')
      done = done or not serial or tonumber(serial) <= tonumber(target)
      if serial == target and not tonumber(reference) or reference == 'e' .. target then
        redis.call('XDEL', room.inbox, entry[1])
        room.bytes = math.max(0, room.bytes - tonumber(size))
      end
    end
    if #page > 0 then from = '(' .. page[#page][1] end
  until done or #page < 64
end

-- Store a message in a room's log under a serial, or say why not. draft: room, sender, name, at, text, device, n, again
-- (strings, '' if there is none), generation, sending (0: none), registered, version, mark, reference (perhaps nil). All
-- that can be refused comes before the first write.
local function append_to_room(draft, serial)
  local name, sender, author, at, text, device, n, again, generation, sent_by, registered, version, mark, reference = unpack(draft, 1, 14)
  if generation > 0 then
    local place = session_of_sender(sender)
    if is_taken(place.node, place.generation, generation) then return {'moved'} end
  end
  local trouble = registered and check_device(sender, device, sent_by)
  if trouble then return trouble end
  if sent_by > 0 and is_superseded(sender, device, sent_by) then return {'moved'} end
  local room = room_of(name)
  if lost or not room.version or room.version < version then return {'behind'} end
  local _, numbers, notes
  if n ~= '' then
    _, _, numbers, notes = sender_of(room.senders, sender)
    trouble, numbers, notes = judge_number(room, text, device, n, again, numbers, notes)
    if trouble then return trouble end
  end
  if not redis.call('HGET', members_of(name), sender) then return {'not-member'} end
  local kind, target = string.match(reference or '', '^(%a)(%d+)$')
  if is_change(reference) and is_retracted(target) then return {'gone'} end
  nodes_of_room(room)
  if is_change(reference) then mark = '*' end -- P5: a change is told to all
  if kind == 'x' then
    delete_from_room(room, target)
    note_retracted(target)
  end
  add_to_room(room, sender, author, at, text, reference and mark .. ' ' .. reference or mark, serial)
  if numbers then
    set_sender(room.senders, sender, 0, 0, numbers, notes)
    if not room.renewed then room.renewed = redis.call('EXPIRE', room.senders, args.memory) end
  end
  archive(name, sender, author, at, text, serial, reference)
  return {'stored', room.last, 0}
end

local function append_anywhere(draft, serial)
  local is_to_room = string.byte(draft[1]) == 35 -- '#'
  return (is_to_room and append_to_room or append)(draft, serial)
end

-- Take note that an account has acknowledged a room's log up to an id. Its position only grows; `over`: it ends, unless it is
-- already one of a later membership.
local function acknowledge_room(uid, name, id, over)
  local room, key = room_of(name), devices_of(uid)
  redis.call('HDEL', key, '') -- a Redis that is full takes this, and then what follows
  local old_id, old_serial = parse_position(redis.call('HGET', key, name))
  local serial = id <= room.last and serial_up_to(room, id) or nil
  if over then
    if old_id and not (serial and old_serial > serial) then redis.call('HDEL', key, name) end
    return
  end
  -- An id that was not given out yet was given out by a store that has since lost it.
  if not room.version or id > room.last then return end
  old_id, old_serial = old_id or 0, old_serial or 0
  serial = serial or old_serial -- what is no longer kept: ids tell
  if serial > old_serial or serial == old_serial and id > old_id then
    redis.call('HSET', key, name, number(id) .. ' ' .. number(serial))
  end
end

local function acknowledge_rooms()
  if lost then return end
  for _, one in ipairs(args.acknowledgements) do pcall(acknowledge_room, unpack(one)) end
end

function commands.commit_rooms()
  local answer = commit(append_anywhere, acknowledge_rooms)
  trim_rooms()
  return answer
end
