-- Commands for a session and its reader: claim an inbox or a device, read, and check what was handed out.

-- Whether nobody waits for a claim any more: the user may have logged in elsewhere by now.
local function is_late() return args['until'] and now() > args['until'] end

function commands.claim()
  local uid, inbox = args.uid, inbox_of(args.uid)
  local node, before = session(uid)
  if args.renewed and is_taken(node, before, lost and 0 or args.renewed) then return {} end
  if is_late() then return {'late'} end
  adopt(uid)
  if redis.call('EXISTS', inbox) == 1 then expire(inbox) end
  local last, waiting, acknowledged = ends(inbox)
  if args.after and args.after > last then renew_epoch(uid) end
  local generation = take_generation(uid, before, args.device)
  take_over(uid, node, generation)
  return {generation, epoch(uid), last, waiting, acknowledged, expired}
end

-- A session that only sends takes over the device and leaves the inbox alone.
function commands.claim_device()
  if is_late() then return {'late'} end
  adopt(args.uid)
  local _, before = session(args.uid)
  local generation = take_generation(args.uid, before, args.device)
  return {generation, redis.call('XLEN', inbox_of(args.uid))}
end

-- Give up a session of which this node knows nothing: its claim ran after it had been given up.
function commands.release()
  local node, generation = session(args.uid)
  if node == args.node then claim_for(args.uid, '-', generation) end
  return {}
end

function commands.read()
  local page = {}
  adopt(args.uid)
  for i, entry in ipairs(redis.call('XRANGE', inbox_of(args.uid), args.from, '+', 'COUNT', args.limit)) do
    local fields = entry[2]
    page[i] = {id_of(entry), fields[2], fields[4], fields[6], fields[8]}
  end
  local run, batches = data_mark()
  return {run, batches, page}
end

-- Whether the message at a cursor is not the one that was handed to its session: the ids were given out twice.
local function is_another(inbox, id, at)
  local entry = redis.call('XRANGE', inbox, number(id), number(id))[1]
  return entry ~= nil and (at == cjson.null or (tonumber(entry[2][6]) or 0) ~= at)
end

-- cursor: uid, id, generation, time of the message that was handed out last or null, the last id that the client knows
function commands.check()
  local stale, taken = {}, {}
  for _, cursor in ipairs(args.cursors) do
    local uid, id, generation, at, shown = unpack(cursor)
    local node, current = session(uid)
    local inbox = inbox_of(uid)
    local last = ends(inbox)
    if is_taken(node, current, lost and 0 or generation) then
      taken[#taken + 1] = {uid, number(current)}
    elseif id > last or is_another(inbox, id, at) or lost and id < shown then
      -- Or the client was shown more in an earlier session, and nobody can tell whether that is still what is there.
      renew_epoch(uid)
      -- The removals that its session still has to send are of the epoch before.
      take_over(uid, node, math.max(current, generation) + 1)
      stale[#stale + 1] = uid
    else
      if lost then keep_epoch(uid) end
      if current < generation then take_over(uid, node, generation) end -- the store has lost the claim
    end
  end
  return {stale, taken}
end
