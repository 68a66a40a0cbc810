-- How a node finds out that this is not the data that it knows, as in rollback.py.

-- The mark of this data: which process of Redis holds it (its run_id), and how many batches with messages it has taken.
local known_run, known_batches
local function data_mark()
  if not known_run then
    local run, batches = string.match(redis.call('GET', 'chat:life') or '- 0', '^(%S+) (%d+)$')
    known_run, known_batches = run, tonumber(batches)
  end
  return known_run, known_batches
end

local function set_data_mark(run, batches)
  redis.call('SET', 'chat:life', run .. ' ' .. number(batches))
  known_run, known_batches = run, batches
end

-- How many batches an earlier process had taken when it ended; nil: this data was never held by that process.
local function batches_at_end_of(run)
  return tonumber(string.match(redis.call('GET', 'chat:lives') or '', ' ' .. run .. ':(%d+)'))
end

-- The most earlier processes that are remembered.
local RUNS = 64

-- Note that this process of Redis holds the data from now on, if it is not the one before. Its run_id is asked of Redis
-- itself: the node may have sent the command while it still talked to the process before. Returns whether the data was
-- held by another process.
local function begin_run()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or '-'
  local before, batches = data_mark()
  if before == run then return false end
  if before ~= '-' then
    local runs = {before .. ':' .. number(batches)}
    for other in string.gmatch(redis.call('GET', 'chat:lives') or '', '%S+') do
      if #runs < RUNS then runs[#runs + 1] = other end
    end
    redis.call('SET', 'chat:lives', ' ' .. table.concat(runs, ' '))
  end
  set_data_mark(run, batches)
  return before ~= '-'
end

-- Whether this data lacks batches of which this node knows that they were stored.
local function has_lost_writes()
  if not args.known then return false end
  local expected_run, expected_batches = unpack(args.known)
  local run, batches = data_mark()
  if run ~= expected_run then batches = batches_at_end_of(expected_run) or -1 end
  return batches < expected_batches
end

-- The most epochs that are remembered.
local EPOCHS = 64

-- Begin a new epoch, and remember those before it: that of this data, and the one that a node knows.
local function begin_epoch(known)
  local before, found = {}, {}
  local current = redis.call('GET', 'chat:epoch') or ''
  local all = current .. ' ' .. (known or '') .. ' ' .. (redis.call('GET', 'chat:epochs') or '')
  for epoch in string.gmatch(all, '%x+') do
    if not found[epoch] and #before < EPOCHS then
      found[epoch] = true
      before[#before + 1] = epoch
    end
  end
  -- This first: a Redis that is full may refuse the second, and the next call then does both again.
  redis.call('SET', 'chat:epochs', ' ' .. table.concat(before, ' ') .. ' ')
  redis.call('SET', 'chat:epoch', args.fresh)
end

-- Whether an epoch is one before the present one. If this data does not know an epoch, an older copy of the data was put
-- back after that epoch began.
local function has_passed(epoch)
  return string.find(redis.call('GET', 'chat:epochs') or '', ' ' .. epoch .. ' ', 1, true) ~= nil
end

-- Whether this is not the data that this node knows: it was deleted, or older data was put in its place, or it went back
-- and on from there. The generations and ids that this node knows then mean nothing here. The first node that notices
-- begins a new epoch, by which all others notice.
local went_back = false
local function is_another_store()
  if not args.epoch then return false end
  if args.epoch ~= redis.call('GET', 'chat:epoch') then
    if has_passed(args.epoch) then
      pcall(go_on_above, tonumber(args.seen), false)
      return true
    end
  elseif not has_lost_writes() then
    return false
  end
  -- A Redis that is full refuses: then the next call notices again. Serials first, or it would not.
  went_back = pcall(go_on_above, tonumber(args.seen), true) and pcall(begin_epoch, args.epoch)
  return true
end

-- Whether the data that this node knows is lost; found out before the command is carried out.
local lost = is_another_store()
