-- Commands for administration and measuring.

function commands.count()
  adopt(args.uid)
  return {redis.call('XLEN', inbox_of(args.uid))}
end

function commands.total()
  return {tonumber(redis.call('GET', 'chat:waiting') or 0)}
end

-- What waits for each user, what the older server left included; nothing is moved.
function commands.backlogs()
  local found = {}
  for _, uid in ipairs(args.uids) do
    local last, waiting = ends(inbox_of(uid))
    local old = redis.call('LLEN', old_list_of(uid))
    local oldest = redis.call('XRANGE', inbox_of(uid), '-', '+', 'COUNT', 1)[1]
    if waiting + old > 0 then
      found[#found + 1] = {uid, waiting + old, last + old, oldest and oldest[2][6] or '0'}
    end
  end
  return found
end

function commands.purge()
  adopt(args.uid)
  return {trim(inbox_of(args.uid), args.up_to)}
end

-- A back-up was restored.
function commands.restored()
  begin_epoch()
  return {}
end
