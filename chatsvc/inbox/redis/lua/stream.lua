-- A stream of messages: the log of one inbox.

local function id_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

-- A log's last id, how many entries it has, the id before the first of them, and that entry.
local function ends(inbox)
  local info = redis.pcall('XINFO', 'STREAM', inbox)
  if info.err then
    if redis.call('EXISTS', inbox) == 0 then return 0, 0, 0 end
    error(info)
  end
  local last, length, first
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = tonumber(string.match(info[i + 1], '^%d+'))
    elseif info[i] == 'length' then
      length = info[i + 1]
    elseif info[i] == 'first-entry' then
      first = info[i + 1] or nil
    end
  end
  return last, length, first and id_of(first) - 1 or last, first
end

-- What an entry's last field says, "SERIAL", then " COPIES BYTES" if its user had registered devices, then " DEVICE TO" if
-- it is a copy: how many copies, and how many bytes of names and texts, the log had taken by then, this one among them. TO
-- is the user to whom a copy was sent; "iROOM:NAME" in an invitation, which is no copy; "jROOM:ID:SERIAL" in the mark of a
-- joining, which counts as one: the place of the event in the room's log. Neither has a device. Behind TO ("0": this is no
-- copy) may stand a REFERENCE to an earlier message, by its serial: "aSERIAL" answers it, "eSERIAL" edits it, "xSERIAL"
-- retracts it. An entry of before there were serials has 0, and so has one of another program.
local function note_of(entry)
  local fields = entry[2]
  if fields[9] ~= 'x' then
    return {id = id_of(entry), serial = 0, copies = 0, bytes = 0, device = '', to = '', reference = ''}
  end
  local serial, copies, bytes, device, to, reference = string.match(fields[10], '^(%d+) ?(%d*) ?(%d*) ?(%S*) ?(%S*) ?(%S*)$')
  return {
    id = id_of(entry),
    serial = tonumber(serial) or 0,
    copies = tonumber(copies) or 0,
    bytes = tonumber(bytes) or 0,
    device = device or '',
    to = to ~= '0' and to or '',
    reference = reference or '',
  }
end

-- The note of the last entry up to an id; nil: there is none.
local function note_at(inbox, id)
  local entry = redis.call('XREVRANGE', inbox, number(id), '-', 'COUNT', 1)[1]
  return entry and note_of(entry)
end

-- The serial of the last entry up to an id that has one.
local function serial_at(inbox, id)
  local from, count = number(id), 4
  while true do
    local page = redis.call('XREVRANGE', inbox, from, '-', 'COUNT', count)
    for _, entry in ipairs(page) do
      local serial = note_of(entry).serial
      if serial > 0 then return serial end
    end
    if #page < count then return 0 end
    from, count = '(' .. page[#page][1], 256
  end
end

-- The last id of a log whose serial is not above `serial`; the one before its first entry if there is none.
local function last_not_above(log, serial)
  local low, high = log.front, log.last -- up to low none is above
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if serial_at(log.inbox, middle) <= serial then low = middle else high = middle - 1 end
  end
  return low
end

-- When an entry was accepted, in ms: by Redis's clock, which its serial tells, or by its node's if it has none, or if serials
-- are far ahead because that clock was once. 0: the older server left it. nil: another program put it there, and nobody can
-- tell.
local function time_of(entry)
  local fields = entry[2]
  local by_serial = math.floor(note_of(entry).serial / 1000)
  if by_serial > 0 and by_serial <= now() + 2 * AHEAD then return by_serial end
  local at = fields[9] == 's' and fields[10] or fields[6]
  return at and #at < 16 and tonumber(string.match(at, '^%d+$')) or nil
end
