-- The archive's queue: what was stored and is not in SQL yet. One node at a time takes it from the front, the one that has
-- the lease.

local QUEUE, LEASE, REFUSED = 'chat:archive', 'chat:archiver', 'chat:archive:refused'

-- What tells an entry from another one that may get its id after a fail-over.
local function mark_of(entry) return redis.sha1hex(entry[2][#entry[2]]) end

-- Delete what is in SQL: all up to the entry `last`, if that still is the same one. What SQL refuses goes elsewhere.
local function delete_archived(last, mark, refused)
  local entry = redis.call('XRANGE', QUEUE, last, last)[1]
  if not entry or mark_of(entry) ~= mark then return end
  for _, id in ipairs(refused) do
    local other = redis.call('XRANGE', QUEUE, id, id)[1]
    if other then redis.call('XADD', REFUSED, '*', unpack(other[2])) end
  end
  local ms, place = string.match(last, '^(%d+)-(%d+)$')
  redis.call('XTRIM', QUEUE, 'MINID', ms .. '-' .. number(place + 1))
end

-- Take or renew the lease, delete what is done, and return what comes next; false: another node has the lease.
function commands.take_archive()
  local holder = redis.call('GET', LEASE)
  if holder and holder ~= args.node then return {false} end
  redis.call('SET', LEASE, args.node, 'PX', args.lease)
  if holder and args.done then delete_archived(unpack(args.done)) end
  local page = {}
  local entries = redis.call('XRANGE', QUEUE, '-', '+', 'COUNT', args.limit)
  for i, entry in ipairs(entries) do
    page[i] = {entry[1], i == #entries and mark_of(entry) or '', entry[2]}
  end
  return {true, page}
end

function commands.leave_archive()
  if redis.call('GET', LEASE) == args.node then redis.call('DEL', LEASE) end
  return {}
end

-- How many entries are looked at to estimate the bytes of all.
local SAMPLE = 10

-- The first and the last id, '' if there is none, how many entries there are, and about how many bytes they have.
function commands.archive_ends()
  local first = redis.call('XRANGE', QUEUE, '-', '+', 'COUNT', SAMPLE)
  if #first == 0 then return {'', '', 0, 0} end
  local last, length, bytes = redis.call('XREVRANGE', QUEUE, '+', '-', 'COUNT', SAMPLE), redis.call('XLEN', QUEUE), 0
  for _, page in ipairs({first, last}) do
    for _, entry in ipairs(page) do
      for _, field in ipairs(entry[2]) do bytes = bytes + #field end
    end
  end
  return {first[1][1], last[1][1], length, math.floor(bytes / (#first + #last) * length)}
end

local answer = commands[command]()
return #answer == 0 and '[]' or cjson.encode(answer)
