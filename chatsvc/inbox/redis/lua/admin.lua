-- Commands for administration and measuring.

function commands.count()
  return {log_of(args.uid).waiting}
end

function commands.total()
  return {tonumber(redis.call('GET', 'chat:waiting') or 0)}
end

-- Whether an entry is a copy, or the mark of a joining; of an invitation, `to` says for which room it is.
local function is_passed_over(note) return note.to ~= '' and string.byte(note.to) ~= 105 end -- 'i'

-- When the first message was accepted that no device has acknowledged, as its node said.
local function oldest_of(log)
  local from = log.acknowledged + 1
  repeat
    local page = redis.call('XRANGE', log.inbox, number(from), '+', 'COUNT', 64)
    for _, entry in ipairs(page) do
      if not is_passed_over(note_of(entry)) then return entry[2][6] or '0' end
      from = id_of(entry) + 1
    end
  until #page < 64
  return '0'
end

-- What waits for each user, what the older server left included; nothing is moved.
function commands.backlogs()
  local found = {}
  for _, uid in ipairs(args.uids) do
    local log = look_at(uid)
    local old = redis.call('LLEN', old_list_of(uid))
    if log.waiting + old > 0 then
      found[#found + 1] = {uid, log.waiting + old, log.last + old, oldest_of(log)}
    end
  end
  return found
end

function commands.purge()
  -- A write even where nothing is to be removed: by that `chatsvc check` sees that this Redis takes writes.
  redis.call('HDEL', devices_of(args.uid), '')
  local log = log_of(args.uid)
  local before = log.waiting
  remove_up_to(log, args.up_to)
  settle(log)
  return {before - log.waiting}
end

-- Register the unnamed devices of users whose inboxes are of before there were devices: they hold those inboxes. Returns for
-- how many users something waits, and how much.
function commands.upgrade()
  local users, waiting = 0, 0
  for _, uid in ipairs(args.uids) do
    local log = look_at(uid)
    if log.is_marked == nil and log.length > 0 then claim_for(uid, '-', 0) end
    local here = log.waiting + redis.call('LLEN', old_list_of(uid))
    if here > 0 then users, waiting = users + 1, waiting + here end
  end
  return {users, waiting}
end

-- The data has serials from now on. Returns whether it had none.
function commands.upgraded()
  local is_new = last_serial() == 0
  if is_new then reserve_serials(1) end
  return {is_new}
end

-- A back-up was restored.
function commands.restored()
  begin_epoch()
  return {}
end
