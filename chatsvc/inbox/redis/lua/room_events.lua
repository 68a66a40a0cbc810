-- Events of rooms: what changes a room in SQL, put into its log in the order of the versions.

-- Messages that this call has put into inboxes, as they are published, with their marks.
local delivered = {messages = {}, marks = {}}

local function deliver(log, message, mark)
  publish_later(log, message, mark)
  delivered.messages[#delivered.messages + 1], delivered.marks[#delivered.marks + 1] = message, mark
end

-- Mark in the inbox of who has joined that the event with this id did it. It counts as a copy.
local function mark_joining(log, room, event, id, serial)
  if not log.devices then begin_devices(log, redis.call('EXISTS', session_of(log.uid)) == 1) end
  local to = 'j' .. string.sub(room.name, 2) .. ':' .. number(id) .. ':' .. serial
  add(log, event.by, event.name, event.at, '', serial, to, '-')
  deliver(log, {log.uid, number(log.last), event.by, event.name, event.at, ''}, {serial, to, '-'})
end

-- Whether an inbox takes no invitation of a sender.
local function is_full_for(log, share, since)
  if log.waiting >= args.waiting then expire(log) end
  if since ~= log.acknowledged then share = 0 end
  return log.waiting >= args.waiting or share >= args.share
end

-- Put an invitation into an inbox. It is a message as any other, and says for which room it is where a copy says to whom.
local function invite(log, room, event, serial)
  local sender, name, text = event.invited.sender, event.invited.name, event.invited.text
  local share, since, numbers, notes = sender_of(log.senders, sender)
  if is_full_for(log, share, since) then return false end
  local to = 'i' .. string.sub(room.name, 2) .. ':' .. event.invited.room_name
  if log.devices then log.bytes, log.is_changed = log.bytes + #name + #text, true end
  local note = serial .. ' ' .. number(log.copies or 0) .. ' ' .. number(log.bytes or 0) .. ' - ' .. to
  redis.call('XADD', log.inbox, log.last + 1, 'f', sender, 'u', name, 'a', event.at, 't', text, 'x', note)
  log.last, log.length, log.waiting, change = log.last + 1, log.length + 1, log.waiting + 1, change + 1
  if since ~= log.acknowledged then share = 0 end
  set_sender(log.senders, sender, share + 1, log.acknowledged, numbers, notes)
  redis.call('EXPIRE', log.senders, args.memory)
  appended = appended + 1
  deliver(log, {log.uid, number(log.last), sender, name, event.at, text}, {serial, to, '-'})
  return true
end

-- Note that the invitation of a version was not stored because the inbox was full; the last 64 are remembered.
local function note_full(room, version)
  local key = version_of(room.name)
  local versions, count = number(version), 1
  for other in string.gmatch(redis.call('HGET', key, 'full') or '', '%d+') do
    if count < 64 then versions, count = versions .. ' ' .. other, count + 1 end
  end
  redis.call('HSET', key, 'full', versions)
end

local function change_members(room, event)
  if event.closes then
    redis.call('DEL', members_of(room.name))
    return
  end
  for _, member in ipairs(event.members) do
    local uid, role = unpack(member)
    if role then
      redis.call('HSET', members_of(room.name), uid, role)
    else
      redis.call('HDEL', members_of(room.name), uid)
    end
  end
end

-- Let a closed room's log go after a while, in which members who were away can read it to its end.
local function expire_closed(room)
  for _, key in ipairs({room.inbox, version_of(room.name), room.senders, readers_of(room.name)}) do
    redis.call('EXPIRE', key, args.memory)
  end
end

-- The entries that this call has put into the log.
local entries = {}

-- Carry out the event that follows the log's version. Returns its place: id, serial, and whether it is an invitation for
-- which there was no room. First everything is read that will be written: nothing fails between the writes.
local function apply(room, event)
  local log = event.joins and log_of(event.user) or event.invited and log_of(event.invited.user)
  if log then redis.call('HGET', log.senders, '') end
  redis.call('HGET', members_of(room.name), '')
  nodes_of_room(room)
  if room.last > room.front then note_at(room.inbox, room.last) end
  local serial, id, is_full = number(reserve_serials(1)), 0, false
  room.version = event.version
  redis.call('HSET', version_of(room.name), 'version', number(event.version))
  change_members(room, event)
  if event.event ~= '' then
    entries[#entries + 1] = add_to_room(room, event.by, event.name, event.at, event.text, '* ' .. number(event.version), serial)
    id = room.last
  end
  if event.closes then expire_closed(room) end
  if event.joins then mark_joining(log, room, event, id, serial) end
  if event.invited and not invite(log, room, event, serial) then
    note_full(room, event.version)
    is_full = true
  end
  return {id, serial, is_full}
end

-- An entry's version; nil: it is a message.
local function entry_version(entry)
  return tonumber(string.match(entry[2][10] or '', '^%d+ %d+ %* (%d+)$'))
end

-- Look from the end of a log for the event of a version. Returns its id and serial; else nil, one less than the serial of
-- the event behind it (or the last serial), and whether there is an event before it.
local function find_event(room, version)
  local from, above = '+', room.serial
  repeat
    local page = redis.call('XREVRANGE', room.inbox, from, '-', 'COUNT', 64)
    for _, entry in ipairs(page) do
      local other = entry_version(entry)
      if other == version then return id_of(entry), note_of(entry).serial end
      if other and other < version then return nil, above, true end
      if other then above = note_of(entry).serial - 1 end
    end
    if #page > 0 then from = '(' .. page[#page][1] end
  until #page < 64
  return nil, above, false
end

-- The place of an event that the log has already. If it has no entry, the serial is one that all entries before it are not
-- above: of a version that came with the members as a whole, the serial at which they came.
local function place_of(room, event)
  local id, serial, has_others = find_event(room, event.version)
  if id then return {id, number(serial), false} end
  local loaded, full = unpack(redis.call('HMGET', version_of(room.name), 'loaded', 'full'))
  local loaded_version, loaded_serial = string.match(loaded or '', '^(%d+) (%d+)$')
  local first = first_serial(room)
  local before = first > 0 and first - 1 or room.serial
  if loaded and event.version <= tonumber(loaded_version) then
    serial = first > 0 and math.max(tonumber(loaded_serial), before) or tonumber(loaded_serial)
  elseif event.event ~= '' and not has_others then
    serial = before
  end
  local is_full = string.find(' ' .. (full or '') .. ' ', ' ' .. number(event.version) .. ' ', 1, true) ~= nil
  return {0, number(serial), is_full}
end

-- event: version, event, by, user, name, at, text (the rest of the event, as JSON), members (uid and role each; false: no
-- member any more), joins, closes, invited. Returns the places of the events, as far as their versions follow the log's; the
-- log's version; and what was stored.
function commands.apply()
  if lost then return {} end
  local room, places = room_of(args.room), {}
  for _, event in ipairs(args.events) do
    local version = room.version or 0
    if event.version > version + 1 then break end
    local carry_out = event.version <= version and place_of or apply
    places[#places + 1] = carry_out(room, event)
  end
  trim_rooms()
  for _, log in pairs(logs) do
    if log.devices and log.is_changed then forget_devices(log) end
    settle(log)
  end
  local run, batches = publish_news()
  return {
    places, room.version or false, entries, delivered.messages, delivered.marks, forgotten,
    run, batches, number(last_serial()),
  }
end

-- Give a log its members whole, `members` by uid, under a version that is above its own. Returns whether that was news.
function commands.load()
  if lost then return {} end
  local room = room_of(args.room)
  if room.version and room.version >= args.version then return {false} end
  redis.call('DEL', members_of(room.name))
  for uid, role in pairs(args.members) do redis.call('HSET', members_of(room.name), uid, role) end
  local serial = last_serial()
  local fields = {'version', number(args.version), 'loaded', number(args.version) .. ' ' .. number(serial)}
  if not room.version then
    -- What is left of a log whose version is gone: nobody knows what it lacks. Its ids are not given out again.
    room.last = ends(room.inbox)
    room.front = room.last
    redis.call('DEL', room.inbox)
  end
  if room.front == room.last then
    local last = math.max(room.last, args.last)
    for _, word in ipairs({'first', number(last + 1), 'last', number(last), 'serial', number(serial), 'bytes', '0'}) do
      fields[#fields + 1] = word
    end
  end
  redis.call('HSET', version_of(room.name), unpack(fields))
  return {true}
end
